"""How images arrive, as the command line says it."""

from __future__ import annotations

import fake_backends
import pytest

from bench.cli.scenario_options import images, limits, traffic
from bench.compare.experiment import Limits
from bench.results.percentiles import least_queries
from bench.results.traffic import Limit, Traffic
from columnar_nn.errors import UsageError

GRAPH = fake_backends.tiny_graph()


@pytest.mark.parametrize(
    ("scenario", "rate", "limit", "percentiles", "expected"),
    [
        ("offline", None, None, None, Traffic()),
        ("single-stream", None, None, None, Traffic("single-stream", (50, 90, 99, 99.9))),
        ("multi-stream", None, None, "99,50", Traffic("multi-stream", (50, 99))),
        ("server", "400,200,200", None, "90", Traffic("server", (90,), (200, 400))),
        ("server", "0.5", "1.5s", "90", Traffic("server", (90,), (0.5,), Limit(99, 1.5))),
        ("server", "auto", "10ms", "90", Traffic("server", (90,), (), Limit(99, 0.01))),
        ("server", "auto", "p99.9:500us", "9", Traffic("server", (9,), (), Limit(99.9, 5e-4))),
    ],
)
def test_what_is_asked(
    scenario: str, rate: str | None, limit: str | None, percentiles: str | None, expected: Traffic
) -> None:
    asked = traffic(scenario, rate, limit, percentiles)
    assert asked == expected


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("offline", "100", None, None), "--rate says nothing of --scenario offline: it is of"),
        (("single-stream", None, "10ms", None), "--latency-limit says nothing of"),
        (("offline", None, None, "50"), "of --scenario single-stream or multi-stream or server"),
        (("server", None, None, None), "--scenario server takes --rate, such as"),
        (("server", "auto", None, None), "--rate auto takes --latency-limit, such as"),
        (("server", "fast", None, None), "--rate 'fast': expected numbers above 0"),
        (("server", "0", None, None), "--rate '0': expected numbers above 0"),
        (("server", "nan", None, None), "--rate 'nan': expected numbers above 0"),
        (("server", "1,inf", None, None), "--rate '1,inf': expected numbers above 0"),
        (("server", "1", None, "100"), "--percentiles '100': 100 is not below 100"),
        (("server", "1", None, "p50"), "--percentiles 'p50': expected numbers above 0"),
        (("server", "1", "10", None), "--latency-limit '10': expected a time such as 10ms"),
        (("server", "1", "0ms", None), "--latency-limit '0ms'"),
        (("server", "1", "p100:1ms", None), "--latency-limit 'p100:1ms'"),
        (("server", "1", "1.2.3s", None), "--latency-limit '1.2.3s'"),
    ],
)
def test_what_makes_no_sense_is_one_line(
    given: tuple[str, str | None, str | None, str | None], message: str
) -> None:
    with pytest.raises(UsageError) as caught:
        traffic(*given)
    assert message in str(caught.value)


def test_images_of_a_query() -> None:
    assert images(Traffic(), None, GRAPH) == (1, 10, 100, 1000)
    assert images(Traffic("multi-stream"), None, GRAPH) == (8,)
    assert images(Traffic("multi-stream"), "16,4", GRAPH) == (4, 16)
    assert images(Traffic("server", (), (1.0,)), None, GRAPH) == (1,)
    with pytest.raises(UsageError, match="--samples says nothing of --scenario server"):
        images(Traffic("server", (), (1.0,)), "4", GRAPH)


def test_how_long_is_usual() -> None:
    queries = Traffic("single-stream")
    assert limits(Traffic(), None, None, None) == Limits(5, 0.3, 2.0)
    assert limits(queries, 9, 0.5, 4.0) == Limits(9, 0.5, 4.0)
    assert limits(queries, None, None, None).runs >= least_queries(99)

"""Figures of a session, against what they are of sorted values."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
from difference.made_sessions import session, side
from report import simulated

from bench.difference.difference import difference
from bench.difference.gate import parse_gate
from bench.difference.metric import parse
from bench.difference.wording import names, remarks
from bench.results.results import Results
from bench.results.schema import OBSERVATION, SERVER
from bench.results.traffic import Traffic
from columnar_nn.errors import UsageError

VALUES = random.Random(1).sample(range(1, 1000), 101)


@pytest.mark.parametrize(
    ("name", "place"), [("fastest", 0), ("median", 50), ("p50", 50), ("p90", 90), ("p99", 99)]
)
def test_figures_are_places_among_sorted_values(name: str, place: int) -> None:
    assert parse(name)[0].of(VALUES) == pytest.approx(sorted(VALUES)[place])


@pytest.mark.parametrize(
    ("name", "least"), [("p50", 2), ("p90", 10), ("p99", 100), ("p99.9", 1000)]
)
def test_a_percentile_takes_runs_beyond_it(name: str, least: int) -> None:
    assert parse(name)[0].of([1.0] * (least - 1)) is None
    assert parse(name)[0].of([1.0] * least) == 1.0


def test_what_is_not_positive_is_no_figure() -> None:
    assert parse("median")[0].of([0.0]) is None
    assert parse("median")[0].of([math.nan]) is None
    assert parse("fastest")[0].of([]) is None


@pytest.mark.parametrize("name", ["mean", "p", "p100", "p-1", ""])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(UsageError, match="choose from fastest, median, cold_start, peak_memory"):
        parse(name)


@pytest.mark.parametrize(
    ("name", "observed", "part", "unit"),
    [("cold_start", "cold_start", "total", "s"), ("peak_memory", "rss", "peak", "byte")],
)
def test_figures_of_a_start(name: str, observed: str, part: str, unit: str) -> None:
    def started(session_id: str, value: float) -> Results:
        made = session(session_id, {("columnar", 1): []})
        row = OBSERVATION.row(
            session_id=session_id,
            cell=made["cell"][0]["cell"],
            metric=observed,
            part=[part],
            index=0,
            value=[value],
            unit=unit,
        )
        return Results.of([*made, ("observation", row)])

    sides = [
        side([started(f"{label}{n}", start + n) for n in range(4)])
        for label, start in (("base", 1000.0), ("new", 1500.0))
    ]
    found = difference(*sides, [parse_gate(f"{name}:10%", 0.05)], 0.05, frozenset())
    ((pair, judgement),) = found.rows
    assert list(pair.base) == [1000, 1001, 1002, 1003]
    assert pair.metric.unit == unit
    assert judgement.change == pytest.approx(0.5, abs=1e-3)
    assert found.exit_code(require_conclusive=False) == 1


SERVED = Traffic(SERVER, (50.0, 90.0, 99.0), (100.0,))


def served(queries: int = 700, count: int = 5, **changed: Any) -> list[Results]:
    """Both sides of sessions of two engines, whose queries come one by one and 100 a second."""
    return [
        side(
            [
                simulated.session(
                    SERVED, [100.0], name=f"{label}{n:015}", seed=n, queries=queries, **known
                )
                for n in range(count)
            ]
        )
        for label, known in (("a", {}), ("b", changed))
    ]


def test_of_queries_latencies_are_compared() -> None:
    """Of each engine and scenario three; one by one all of them are what a query takes."""
    found = difference(*served(factor=1.5), [], 0.05, frozenset())
    assert len(found.rows) == 2 * 2 * 3
    assert {pair.metric.title for pair, _ in found.rows} == {
        *("latency, p50", "latency, p90", "latency, p99")
    }
    assert {images for _, images in names(found)} == {
        *("1 image, single-stream", "1 image, server, 100/s")
    }
    for pair, judgement in found.rows:
        alone = simulated.SERVICE_S[pair.subject["backend"]]
        if pair.workload["scenario"] == "single-stream":
            assert list(pair.base) == [alone] * 5
            assert judgement.change == pytest.approx(0.5)
        assert judgement.verdict.value == "slower"


@pytest.mark.parametrize(
    ("queries", "carried"),
    [(700, ["p50", "p90", "p99"]), (661, ["p50", "p90"]), (63, ["p50"]), (10, ["p50"])],
)
def test_percentiles_that_the_queries_do_not_carry_are_left_out(
    queries: int, carried: list[str]
) -> None:
    found = difference(*served(queries, count=4), [], 0.05, frozenset())
    assert list(dict.fromkeys(pair.metric.name for pair, _ in found.rows)) == carried
    open_ = {judgement.verdict.value for _, judgement in found.rows} == {"inconclusive"}
    assert open_ == (queries < 11)
    assert any("p50 takes 11 queries a session" in line for line in remarks(found)) == open_


def test_a_gate_on_a_percentile_is_of_runs_and_of_queries() -> None:
    gates = [parse_gate("p99[scenario=server]:10%", 0.05), parse_gate("p99[rate=100*]:30%", 0.05)]
    found = difference(*served(factor=1.2), gates, 0.05, frozenset())
    assert [pair.workload["scenario"] for pair, _ in found.rows] == ["server"] * 2
    assert found.exit_code(require_conclusive=False) == 1
    times = {("columnar", 1): [1e-3 + n * 1e-6 for n in range(100)]}
    sides = [side([session(f"{label}{n}", times) for n in range(4)]) for label in ("base", "new")]
    ((pair, _),) = difference(*sides, gates[:0], 0.05, frozenset()).rows
    assert pair.metric.title == "fastest"
    gate = parse_gate("p99:10%", 0.05)
    ((pair, _),) = difference(*sides, [gate], 0.05, frozenset()).rows
    assert pair.metric.title == "p99"

"""Figures of a session, against what they are of sorted values."""

from __future__ import annotations

import math
import random

import pytest
from difference.made_sessions import session, side

from bench.difference.difference import difference
from bench.difference.gate import parse_gate
from bench.difference.metric import parse
from bench.results.results import Results
from bench.results.schema import OBSERVATION
from columnar_nn.errors import UsageError

VALUES = random.Random(1).sample(range(1, 1000), 101)


@pytest.mark.parametrize(
    ("name", "place"), [("fastest", 0), ("median", 50), ("p50", 50), ("p90", 90), ("p99", 99)]
)
def test_figures_are_places_among_sorted_values(name: str, place: int) -> None:
    assert parse(name).of(VALUES) == pytest.approx(sorted(VALUES)[place])


@pytest.mark.parametrize(
    ("name", "least"), [("p50", 2), ("p90", 10), ("p99", 100), ("p99.9", 1000)]
)
def test_a_percentile_takes_runs_beyond_it(name: str, least: int) -> None:
    assert parse(name).of([1.0] * (least - 1)) is None
    assert parse(name).of([1.0] * least) == 1.0


def test_what_is_not_positive_is_no_figure() -> None:
    assert parse("median").of([0.0]) is None
    assert parse("median").of([math.nan]) is None
    assert parse("fastest").of([]) is None


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

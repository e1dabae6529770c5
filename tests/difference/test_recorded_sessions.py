"""On recorded sessions of one version: nothing is found where nothing is, and 20% is.

recorded/README.md says how they were recorded.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from itertools import chain, combinations
from pathlib import Path

import pytest
from difference.made_sessions import side

from bench.difference import metric
from bench.difference.difference import Difference, difference
from bench.difference.gate import Outcome, parse_gate
from bench.difference.judgement import Verdict
from bench.difference.permutation import CONFIDENCE
from bench.results import document
from bench.results.results import Results

RECORDED = Path(__file__).parent / "recorded"
TEN = ("ten_quiet", "ten_one_slow", "ten_busy")
CALLED = {Verdict.FASTER, Verdict.SLOWER}
MARGIN = 0.05


@cache
def sessions(name: str) -> list[Results]:
    """In the order in which they were recorded."""
    results = side([document.read(file) for file in RECORDED.glob(f"{name}*.json")])
    rows = sorted(results["session"], key=lambda row: row["started"])
    return [results.session(row["session_id"]) for row in rows]


def slowed(results: Results, factor: float) -> Results:
    """The same sessions of a version whose every run takes so many times as long."""
    return Results.of(
        (name, {**row, "value": [factor * value for value in row["value"]]})
        if name == "observation"
        else (name, row)
        for name, row in results
    )


def verdicts(found: Difference) -> list[Verdict]:
    return [judgement.verdict for _, judgement in found.rows]


def halves(name: str) -> Iterator[tuple[Results, Results]]:
    """Every way to deal ten sessions into two halves, 252 of them."""
    recorded = sessions(name)
    for chosen in combinations(range(10), 5):
        others = [recorded[n] for n in range(10) if n not in chosen]
        yield side([recorded[n] for n in chosen]), side(others)


def compared(base: Results, new: Results, name: str = "fastest") -> Difference:
    return difference(base, new, [parse_gate(f"{name}:10%", MARGIN)], MARGIN, frozenset())


@pytest.mark.slow
@pytest.mark.parametrize("name", TEN)
@pytest.mark.parametrize("figure", ["fastest", "median"])
def test_halves_are_rarely_called_faster_or_slower(name: str, figure: str) -> None:
    alarms = count = 0
    for base, new in halves(name):
        count += 1
        alarms += not CALLED.isdisjoint(verdicts(compared(base, new, figure)))
    assert count == 252
    assert alarms / count <= 1 - CONFIDENCE


@pytest.mark.slow
def test_a_half_that_is_slowed_by_20_percent_is_found() -> None:
    for base, new in halves("ten_quiet"):
        found = compared(base, slowed(new, 1.2))
        assert set(verdicts(found)) == {Verdict.SLOWER}
        assert {gated.outcome for gated in found.gated} == {Outcome.FAILED}
        assert set(verdicts(compared(slowed(base, 1.2), new))) == {Verdict.FASTER}


@pytest.mark.slow
def test_with_one_slow_session_most_cells_are_found() -> None:
    found = [v for b, n in halves("ten_one_slow") for v in verdicts(compared(b, slowed(n, 1.2)))]
    assert found.count(Verdict.SLOWER) / len(found) > 0.8


def test_alternate_sessions_are_the_same_version() -> None:
    recorded = sessions("ten_quiet")
    found = verdicts(compared(side(recorded[::2]), side(recorded[1::2])))
    assert CALLED.isdisjoint(found)
    assert Verdict.SAME in found


def groups(size: int) -> Iterator[tuple[Sequence[int], Sequence[int]]]:
    """Every two disjoint groups of so many sessions or fewer."""
    every = list(chain.from_iterable(combinations(range(size), n) for n in range(1, size)))
    return ((one, other) for one in every for other in every if not {*one} & {*other})


@pytest.mark.parametrize("figure", ["fastest", "median", "p50"])
def test_of_five_on_a_busy_machine_nothing_is_ever_called(figure: str) -> None:
    recorded, pairs = sessions("five_busy"), 0
    for one, other in groups(5):
        pairs += 1
        found = compared(*(side([recorded[n] for n in chosen]) for chosen in (one, other)), figure)
        assert set(verdicts(found)) == {Verdict.INCONCLUSIVE}
        assert Outcome.FAILED not in {gated.outcome for gated in found.gated}
    assert pairs == 180


@pytest.mark.parametrize("name", TEN)
def test_fastest_runs_differ_less_between_sessions_than_medians(name: str) -> None:
    """Why they are the headline: a smaller change can be shown by them."""
    recorded = sessions(name)
    sides = side(recorded[::2]), side(recorded[1::2])
    smallest = [
        sorted(j.smallest for _, j in compared(*sides, figure).rows if j.smallest is not None)
        for figure in (metric.FASTEST.name, "median")
    ]
    middle = [found[len(found) // 2] for found in smallest]
    assert middle[0] < middle[1]

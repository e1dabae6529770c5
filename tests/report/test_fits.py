"""Fits against NumPy's weighted least squares, and against an exhaustive search at the bounds."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.report.fits import Line, changes_of_lead, fit

SIZES = [1.0, 10.0, 100.0, 1000.0]


@pytest.mark.parametrize("seed", range(20))
def test_a_fit_is_numpys_weighted_one(seed: int) -> None:
    generator = np.random.default_rng(seed)
    seconds = (1e-3 + 2e-4 * np.array(SIZES)) * generator.uniform(0.9, 1.1, 4)
    image, call = np.polyfit(SIZES, seconds, 1, w=1 / seconds)
    line = fit(SIZES, [*seconds])
    assert (line.call_s, line.image_s) == pytest.approx((call, image), rel=1e-9)


def test_points_on_a_line_give_it_back() -> None:
    line = fit(SIZES, [0.002 + 0.0005 * n for n in SIZES])
    assert (line.call_s, line.image_s) == pytest.approx((0.002, 0.0005))
    assert line.at(200) == pytest.approx(0.102)


@settings(deadline=None)
@given(st.lists(st.floats(1e-4, 10), min_size=3, max_size=6))
def test_no_line_with_costs_above_0_is_better(seconds: list[float]) -> None:
    sizes = [float(4**k) for k in range(len(seconds))]

    def error(line: Line) -> float:
        return sum((line.at(n) / t - 1) ** 2 for n, t in zip(sizes, seconds, strict=True))

    found = fit(sizes, seconds)
    assert min(found.call_s, found.image_s) >= 0
    for call, image in itertools.product((0.0, 0.5, 0.99, 1.01, 2.0), repeat=2):
        other = Line(found.call_s * call, found.image_s * image)
        assert error(found) <= error(other) * (1 + 1e-9) + 1e-12
    for call, image in itertools.product((0.0, 1e-4, 1e-2, 1.0), repeat=2):
        assert error(found) <= error(Line(call, image)) * (1 + 1e-9) + 1e-12


def test_the_lead_changes_where_the_lowest_line_does() -> None:
    lines = {
        "quick to start": Line(0.001, 0.010),
        "quick to run": Line(0.101, 0.001),
        "never first": Line(0.2, 0.02),
        "middle": Line(0.011, 0.008),
    }
    found = [*changes_of_lead(lines, 1, 1000)]
    grid = np.geomspace(1, 1000, 20001)
    table = np.array([[line.call_s + line.image_s * n for n in grid] for line in lines.values()])
    leaders = [[*lines][row] for row in table.argmin(axis=0)]
    expected = [
        (grid[k], one, other)
        for k, (one, other) in enumerate(itertools.pairwise(leaders))
        if one != other
    ]
    assert [(c.before, c.after) for c in found] == [(one, other) for _, one, other in expected]
    assert [c.samples for c in found] == pytest.approx([n for n, *_ in expected], rel=1e-3)
    assert len(found) == 2


def test_what_lies_outside_was_not_measured() -> None:
    lines = {"a": Line(0.0, 0.010), "b": Line(0.5, 0.001)}
    assert [*changes_of_lead(lines, 1, 50)] == []
    assert [*changes_of_lead({}, 1, 50)] == []
    assert [round(c.samples, 1) for c in changes_of_lead(lines, 1, 100)] == [55.6]

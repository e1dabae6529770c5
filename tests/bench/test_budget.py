"""Which cells are too long to be run, judged by runs of fewer images."""

from __future__ import annotations

import pytest

from bench.compare.budget import budget_for, predict_seconds, too_long


def test_prediction() -> None:
    assert predict_seconds({}, 10) is None
    assert predict_seconds({100: 1.0}, 10) is None, "fewer images predict more, not less"
    assert predict_seconds({1: 0.5}, 10) == pytest.approx(5.0)
    # A constant cost of one second is not multiplied.
    assert predict_seconds({1: 1.1, 10: 2.0}, 100) == pytest.approx(11.0)
    # Noise that makes more images look cheaper does not make them free of cost.
    assert predict_seconds({1: 2.0, 10: 1.0}, 100) == pytest.approx(1.0)


def test_a_cell_is_too_long_by_a_line_at_once_and_by_a_point_only_clearly() -> None:
    assert too_long({}, 10, 1.0) is None
    assert too_long({1: 0.45}, 10, 1.0) is None
    assert too_long({1: 0.55}, 10, 1.0) == pytest.approx(5.5)
    assert too_long({1: 0.1, 10: 0.15}, 100, 1.0) is None
    assert too_long({1: 0.1, 10: 0.25}, 100, 1.0) == pytest.approx(1.75)


@pytest.mark.parametrize(
    ("predicted", "budget"), [(2.0, 3.0), (0.0123, 0.019), (101.3, 160.0), (7.5, 12.0), (0.9, 1.4)]
)
def test_the_budget_that_would_run_it_is_round_and_enough(predicted: float, budget: float) -> None:
    assert budget_for(predicted) == budget
    assert budget_for(predicted) >= predicted * 1.5

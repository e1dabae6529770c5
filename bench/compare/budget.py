"""Which cells are affordable: how long a run would take, judged by runs of fewer images."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from bench.compare.experiment import Limits
from bench.results.result import MIN_RUNS

_DOUBT = 5.0
"""How many times the budget a prediction from a single measurement must be to be believed."""


def predict_seconds(measured: Mapping[int, float], samples: int) -> float | None:
    """Seconds that one run of `samples` would take, from runs of fewer; None without any.

    From several along the line through the two largest; from one in proportion, which takes a
    constant cost for one of every image and is therefore too much.
    """
    counts = sorted(count for count in measured if count < samples)
    if not counts:
        return None
    last = counts[-1]
    slope = measured[last] / last
    if len(counts) > 1:
        before = counts[-2]
        line = (measured[last] - measured[before]) / (last - before)
        slope = min(slope, max(line, 0.0))
    return measured[last] + slope * (samples - last)


def too_long(measured: Mapping[int, float], samples: int, budget: float) -> float | None:
    """The predicted seconds of a run if they exceed the budget, else None.

    A prediction from a single number of samples must exceed it clearly.
    """
    predicted = predict_seconds(measured, samples)
    doubt = 1.0 if sum(count < samples for count in measured) > 1 else _DOUBT
    return predicted if predicted is not None and predicted > budget * doubt else None


def runs_of_a_turn(
    times: Sequence[float], seconds: float, turns_left: int, limits: Limits
) -> dict[str, Any]:
    """`min_runs` and `min_seconds` of a cell's next turn, of so many that are left.

    `times` are those of its runs so far, each of which takes about so many `seconds`.
    """
    done, total = len(times), sum(times)
    runs = math.ceil((limits.runs - done) / turns_left)
    affordable = max(MIN_RUNS - done, int((limits.budget - total) / seconds))
    return {
        "min_runs": max(1, min(runs, affordable)),
        "min_seconds": (limits.min_time - total) / turns_left,
    }


def budget_for(predicted: float) -> float:
    """A budget, in seconds, within which a run of `predicted` seconds is sure to be done.

    Half as much again, in round figures: the next run takes another time.
    """
    step = 10.0 ** (math.floor(math.log10(predicted * 1.5)) - 1)
    return round(math.ceil(predicted * 1.5 / step) * step, 9)

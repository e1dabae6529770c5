"""The cost of a call and of an image: a line through times, fitted to their relative errors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise

MIN_SIZES = 3
"""Through two points there is always a line: it takes one more to say whether it fits."""


@dataclass(frozen=True)
class Line:
    """Seconds of a run of N images as `call_s + image_s * N`."""

    call_s: float
    image_s: float

    def at(self, samples: float) -> float:
        """Seconds of a run of so many images."""
        return self.call_s + self.image_s * samples


@dataclass(frozen=True)
class Crossing:
    """From `samples` images on `after` is faster than `before`, says the line of each."""

    samples: float
    before: str
    after: str


def fit(samples: Sequence[float], seconds: Sequence[float]) -> Line:
    """The line whose relative errors have the least sum of squares, neither cost below 0.

    That is least squares weighted by 1/seconds^2, in closed form: a time is as wrong as it is
    long, and without weights the largest run alone decides. Times must be above 0, and of at least
    two different numbers of images. Lawson and Hanson, Solving Least Squares Problems, chapter 23.
    """
    weights = [seconds_**-2 for seconds_ in seconds]
    total = sum(weights)
    mean_n = sum(w * n for w, n in zip(weights, samples, strict=True)) / total
    mean_t = sum(w * t for w, t in zip(weights, seconds, strict=True)) / total
    points = [*zip(weights, samples, seconds, strict=True)]
    spread = sum(w * (n - mean_n) ** 2 for w, n, _ in points)
    image = sum(w * (n - mean_n) * (t - mean_t) for w, n, t in points) / spread
    if image < 0:
        return Line(mean_t, 0.0)
    call = mean_t - image * mean_n
    if call < 0:
        image = sum(w * n * t for w, n, t in points) / sum(w * n * n for w, n, _ in points)
        return Line(0.0, image)
    return Line(call, image)


def changes_of_lead(lines: Mapping[str, Line], first: float, last: float) -> Iterator[Crossing]:
    """Where between `first` and `last` images another line becomes the lowest, in order."""
    crossings = sorted(
        point
        for one, other in combinations(lines.values(), 2)
        if (point := _crossing(one, other)) is not None and first < point < last
    )
    edges = [first, *crossings, last]
    leaders = [
        min(lines, key=lambda name: lines[name].at((low + high) / 2))
        for low, high in pairwise(edges)
        if lines
    ]
    for point, before, after in zip(crossings, leaders, leaders[1:], strict=False):
        if before != after:
            yield Crossing(point, before, after)


def _crossing(one: Line, other: Line) -> float | None:
    slopes = one.image_s - other.image_s
    return (other.call_s - one.call_s) / slopes if slopes else None

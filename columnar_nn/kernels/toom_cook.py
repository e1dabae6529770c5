"""Winograd's minimal filtering F(m, 3) by Toom-Cook: exact matrices from interpolation points.

An output row of m values of a 3-tap filter g over m + 2 inputs d is A^T [(G g) * (B^T d)], with
m + 2 products in place of 3 m (Winograd 1980; Lavin and Gray, arXiv:1509.09308). Applied to
rows and to columns it gives F(m x m, 3 x 3). The points decide the rounding error: small
powers of two and their opposites, zero and infinity are the best known (Barabasz et al.,
arXiv:1803.10986). This module imports neither NumPy nor llvmlite: both sides use it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction

TAPS = 3

HALF = Fraction(1, 2)

UNPAIRED = {2: (0,), 4: (0,), 5: (0, HALF), 6: (0,)}
"""Finite points that stand alone, for each m."""

PAIRED = {2: (1,), 4: (1, 2), 5: (1, 2), 6: (1, 2, HALF)}
"""Points used with both signs: two such products share their sums."""


@dataclass(frozen=True)
class Transform:
    """Exact matrices of F(m, 3): `inputs` B^T [n, n], `filters` G [n, 3], `outputs` A^T [m, n].

    Rows of B^T and columns of A^T stand in the order of `points`: those alone first, then
    each pair (p, -p), then infinity.
    """

    m: int
    inputs: tuple[tuple[Fraction, ...], ...]
    filters: tuple[tuple[Fraction, ...], ...]
    outputs: tuple[tuple[Fraction, ...], ...]

    @property
    def n(self) -> int:
        """Inputs, and products, of a row of outputs."""
        return self.m + TAPS - 1

    @property
    def alone(self) -> tuple[int, ...]:
        """Indices of the products that belong to no pair, infinity last."""
        return (*range(len(UNPAIRED[self.m])), self.n - 1)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Indices of the products of opposite points."""
        first = len(UNPAIRED[self.m])
        return tuple((first + 2 * i, first + 2 * i + 1) for i in range(len(PAIRED[self.m])))


def _polynomial(roots: list[Fraction]) -> list[Fraction]:
    """Coefficients, lowest first, of the product of (x - root)."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        for power, coefficient in enumerate(coefficients):
            shifted[power] -= root * coefficient
        coefficients = shifted
    return coefficients


@functools.cache
def transform(m: int) -> Transform:
    """The matrices of F(m, 3) for m of 2, 4, 5 or 6."""
    points = [Fraction(point) for point in UNPAIRED[m]]
    for point in PAIRED[m]:
        points += [Fraction(point), Fraction(-point)]
    n = m + TAPS - 1
    inputs, filters = [], []
    for index, point in enumerate(points):
        others = points[:index] + points[index + 1 :]
        inputs.append((*_polynomial(others), Fraction(0)))
        scale = math.prod((point - other for other in others), start=Fraction(1))
        filters.append(tuple(point**power / scale for power in range(TAPS)))
    inputs.append(tuple(_polynomial(points)))
    filters.append((Fraction(0),) * (TAPS - 1) + (Fraction(1),))
    outputs = [
        (*(point**power for point in points), Fraction(int(power == m - 1))) for power in range(m)
    ]
    assert len(inputs) == n
    return Transform(m, tuple(inputs), tuple(filters), tuple(outputs))

"""Winograd's minimal filtering F(m, 3) by Toom-Cook: exact matrices from interpolation points.

An output row of m values of a 3-tap filter g over m + 2 inputs d is A^T [(G g) * (B^T d)], with
m + 2 products in place of 3 m (Winograd 1980; Lavin and Gray, arXiv:1509.09308). Applied to
rows and to columns it gives F(m x m, 3 x 3). The points decide the rounding error (Barabasz et
al., arXiv:1803.10986). Those of F(4) and F(5) have the least `accuracy.growth` of all sixteenths
and thirty-seconds but a few, which differ by less than 1 %: F(4) of 0, +-1, +-2 has 3.59 instead
of 1.60, F(5) of 0, +-1, +-2, 1/2 5.53 instead of 3.19; of F(6) those here have the least. All
elements of B^T and A^T are exact in float32. This module imports neither NumPy nor llvmlite: both
sides use it.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction

TAPS = 3

PAIRED = {
    2: (Fraction(1),),
    4: (Fraction(11, 16), Fraction(3, 2)),
    5: (Fraction(9, 32), Fraction(7, 8), Fraction(7, 4)),
    6: (Fraction(1), Fraction(2), Fraction(1, 2)),
}
"""Points used with both signs, for each m: two such products share their sums. Zero is a point
where their number, m + 1 besides infinity, is odd.
"""


@dataclass(frozen=True)
class Transform:
    """Exact matrices of F(m, 3): `inputs` B^T [n, n], `filters` G [n, 3], `outputs` A^T [m, n].

    Rows of B^T and columns of A^T stand in the order of the points: zero if it is one, each pair
    (p, -p), infinity.
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
        """Indices of the products that belong to no pair: perhaps zero, and infinity."""
        return (*range(self._first_paired), self.n - 1)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Indices of the products of opposite points."""
        first = self._first_paired
        return tuple((first + 2 * i, first + 2 * i + 1) for i in range(len(PAIRED[self.m])))

    @property
    def _first_paired(self) -> int:
        return self.n - 1 - 2 * len(PAIRED[self.m])


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
    n = m + TAPS - 1
    points = [signed for point in PAIRED[m] for signed in (point, -point)]
    if len(points) < n - 1:
        points.insert(0, Fraction(0))
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

"""Winograd's minimal filtering F(m, 3) by Toom-Cook: exact matrices from interpolation points.

An output row of m values of a 3-tap filter g over m + 2 inputs d is A^T [(G g) * (B^T d)], with
m + 2 products in place of 3 m (Winograd 1980; Lavin and Gray, arXiv:1509.09308). Applied to
rows and to columns it gives F(m x m, 3 x 3). The points decide the rounding error (Barabasz et
al., arXiv:1803.10986). Those of F(4) and F(5) have the least `accuracy.growth` of all sixteenths
and thirty-seconds but a few, which differ by less than 1 %: F(4) of 0, +-1, +-2 has 3.59 instead
of 1.60, F(5) of 0, +-1, +-2, 1/2 5.53 instead of 3.19; of F(6) those here have the least. All
elements of B^T and A^T are exact in float32. This module imports neither NumPy nor llvmlite: both
sides use it. To compile they are fractions; to pack weights floats do, which take a tenth of the
time: products of these points have few bits, so that only G is rounded, once.
"""

from __future__ import annotations

import functools
import math
from typing import TYPE_CHECKING, Generic, TypeVar

from columnar_nn.record import ValueRecord

if TYPE_CHECKING:
    from fractions import Fraction

TAPS = 3

PAIRED = {2: (1.0,), 4: (11 / 16, 3 / 2), 5: (9 / 32, 7 / 8, 7 / 4), 6: (1.0, 2.0, 1 / 2)}
"""Points used with both signs, for each m: two such products share their sums. Zero is a point
where their number, m + 1 besides infinity, is odd.
"""


Number = TypeVar("Number", "Fraction", float)


class Transform(ValueRecord, Generic[Number]):
    """Matrices of F(m, 3): `inputs` B^T [n, n], `filters` G [n, 3], `outputs` A^T [m, n].

    Rows of B^T and columns of A^T stand in the order of the points: zero if it is one, each pair
    (p, -p), infinity.
    """

    m: int
    inputs: tuple[tuple[Number, ...], ...]
    filters: tuple[tuple[Number, ...], ...]
    outputs: tuple[tuple[Number, ...], ...]

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


def _polynomial(roots: list[Number], number: type[Number]) -> list[Number]:
    """Coefficients, lowest first, of the product of (x - root)."""
    coefficients: list[Number] = [number(1)]
    for root in roots:
        shifted = coefficients.copy()
        shifted.insert(0, number(0))
        for power, coefficient in enumerate(coefficients):
            shifted[power] -= root * coefficient
        coefficients = shifted
    return coefficients


@functools.cache
def transform(m: int, number: type[Number]) -> Transform[Number]:
    """The matrices of F(m, 3) for m of 2, 4, 5 or 6; in fractions they are exact."""
    n = m + TAPS - 1
    points: list[Number] = [number(signed) for point in PAIRED[m] for signed in (point, -point)]
    if len(points) < n - 1:
        points.insert(0, number(0))
    inputs: list[tuple[Number, ...]] = []
    filters: list[tuple[Number, ...]] = []
    outputs: list[tuple[Number, ...]] = []
    for index, point in enumerate(points):
        others = points[:index] + points[index + 1 :]
        row = _polynomial(others, number)
        row.append(number(0))
        inputs.append(tuple(row))
        scale = math.prod((point - other for other in others), start=number(1))
        filters.append(tuple(point**power / scale for power in range(TAPS)))
    inputs.append(tuple(_polynomial(points, number)))
    filters.append((number(0),) * (TAPS - 1) + (number(1),))
    for power in range(m):
        row = [point**power for point in points]
        row.append(number(int(power == m - 1)))
        outputs.append(tuple(row))
    assert len(inputs) == n
    return Transform(m, tuple(inputs), tuple(filters), tuple(outputs))

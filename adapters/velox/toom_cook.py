"""Matrices of Winograd's minimal filtering F(m, r), made exactly by Toom-Cook interpolation.

Lavin and Gray, Fast Algorithms for Convolutional Neural Networks (arXiv:1509.09308).
"""

from __future__ import annotations

from fractions import Fraction

import numpy as np

POINTS = [Fraction(0), Fraction(1), Fraction(-1), Fraction(2), Fraction(-2), Fraction(1, 2)]
POINTS.append(Fraction(-1, 2))
"""Interpolation points in order of use; infinity is always the last one."""


def matrices(outputs: int, taps: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(A^T [m, n], G [n, r], B^T [n, n]) with n = m + r - 1, as float64.

    The m outputs of correlating n inputs d with r taps g are A^T ((G g) * (B^T d)).
    """
    size = outputs + taps - 1
    points = POINTS[: size - 1]
    inverse = np.zeros((outputs, size))
    filters = np.zeros((size, taps))
    data = np.zeros((size, size))
    for row, point in enumerate(points):
        others = [other for other in points if other != point]
        scale = Fraction(1)
        for other in others:
            scale *= point - other
        inverse[:, row] = [float(point**power) for power in range(outputs)]
        filters[row] = [float(point**power / scale) for power in range(taps)]
        data[row, : size - 1] = [float(c) for c in _polynomial(others)]
    inverse[-1, -1] = 1
    filters[-1, -1] = 1
    data[-1] = [float(c) for c in _polynomial(points)]
    return inverse, filters, data


def _polynomial(roots: list[Fraction]) -> list[Fraction]:
    """Coefficients, lowest power first, of the product of (x - root)."""
    coefficients = [Fraction(1)]
    for root in roots:
        shifted = [Fraction(0), *coefficients]
        scaled = [root * c for c in coefficients] + [Fraction(0)]
        coefficients = [a - b for a, b in zip(shifted, scaled, strict=True)]
    return coefficients

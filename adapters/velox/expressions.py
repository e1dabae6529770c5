"""Text of the Presto expressions that Velox evaluates: all in REAL, sums as balanced trees."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def literal(value: float) -> str:
    """`value` as a REAL constant."""
    return f"cast({float(value):.9e} as real)"


def total(terms: Sequence[str]) -> str:
    """The sum of the terms as a balanced tree: short dependency chains, small rounding error."""
    if len(terms) == 1:
        return terms[0]
    middle = len(terms) // 2
    return f"({total(terms[:middle])} + {total(terms[middle:])})"


def dot(left: Sequence[str], right: Sequence[str]) -> str:
    """The sum of the products of two lists of columns."""
    return total([f"({a} * {b})" for a, b in zip(left, right, strict=True)])


def combination(coefficients: Sequence[float], columns: Sequence[str]) -> str:
    """A sum of columns with constant coefficients; terms of coefficient 0 are left out."""
    positive: list[str] = []
    negative: list[str] = []
    for coefficient, column in zip(coefficients, columns, strict=True):
        if coefficient:
            size = abs(coefficient)
            term = column if size == 1 else f"({column} * {literal(size)})"
            (positive if coefficient > 0 else negative).append(term)
    if not negative:
        return total(positive) if positive else literal(0)
    if not positive:
        return f"({literal(0)} - {total(negative)})"
    return f"({total(positive)} - {total(negative)})"


def relu(value: str) -> str:
    """The larger of the value and 0; a NaN stays one, as greatest() ranks it highest."""
    return f"greatest({value}, {literal(0)})"


def linear_map(matrix: np.ndarray, columns: Sequence[str]) -> list[str]:
    """The product of a constant matrix with a list of columns: one expression a row."""
    return [combination(row, columns) for row in matrix.tolist()]

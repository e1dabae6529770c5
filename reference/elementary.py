"""Elementary functions of one element at a time; a NaN stays a NaN."""

from __future__ import annotations

import math

import numpy as np

from reference.registry import implements
from reference.rounding import calculation_type, rounded, wide

_error_function = np.frompyfunc(math.erf, 1, 1)


def error_function(x: np.ndarray) -> np.ndarray:
    """math.erf of each element, in the type to calculate in."""
    values: np.ndarray = np.asarray(_error_function(x)).astype(calculation_type())
    return values


NEAR_HALF = 2.0**-14
"""By how much float32 sums may differ that are 255 at most, as those of a layer in uint8 are."""


@implements("Abs")
def magnitude(x: np.ndarray) -> np.ndarray:
    """ONNX Abs."""
    return rounded(np.abs(x))


@implements("Ceil")
def ceil(x: np.ndarray) -> np.ndarray:
    """ONNX Ceil."""
    return rounded(np.ceil(x))


@implements("Erf")
def erf(x: np.ndarray) -> np.ndarray:
    """ONNX Erf."""
    return rounded(error_function(wide(x)))


@implements("Exp")
def exp(x: np.ndarray) -> np.ndarray:
    """ONNX Exp."""
    return rounded(np.exp(wide(x)))


@implements("Floor")
def floor(x: np.ndarray) -> np.ndarray:
    """ONNX Floor."""
    return rounded(np.floor(x))


@implements("Log")
def log(x: np.ndarray) -> np.ndarray:
    """ONNX Log, the natural logarithm."""
    return rounded(np.log(wide(x)))


@implements("Neg")
def neg(x: np.ndarray) -> np.ndarray:
    """ONNX Neg."""
    return rounded(np.negative(x))


@implements("Reciprocal")
def reciprocal(x: np.ndarray) -> np.ndarray:
    """ONNX Reciprocal."""
    return rounded(1.0 / wide(x))


@implements("Round")
def nearest_integer(x: np.ndarray) -> np.ndarray:
    """ONNX Round: halves go to the even integer.

    In float32 what is within NEAR_HALF of one, but no half, goes to the other side: on which one it
    comes to be is chance, by the order in which what was rounded was summed.
    """
    nearest = np.rint(x)
    if calculation_type() is np.float32:
        rest = x - nearest
        by_chance = (np.abs(rest) > 0.5 - NEAR_HALF) & (np.abs(rest) < 0.5)
        nearest = np.where(by_chance, nearest + np.sign(rest), nearest)
    return rounded(nearest)


@implements("Sign")
def sign(x: np.ndarray) -> np.ndarray:
    """ONNX Sign: 1, 0 or -1."""
    return rounded(np.sign(x))


@implements("Sqrt")
def sqrt(x: np.ndarray) -> np.ndarray:
    """ONNX Sqrt."""
    return rounded(np.sqrt(wide(x)))

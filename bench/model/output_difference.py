"""Two evaluations of one network, and whether they are that.

`noise` is what float32 itself does to a file's outputs, in root mean square per column (the class;
of an image-shaped output the channel): the file's own outputs against its outputs with other graph
optimisations, and with pixels that are off by their last bit. Two evaluations are of the same
network if, in every column, they differ nowhere by more than

    FACTOR * max(the column's noise, a quarter of the median column's, 1 ulp of the column's rms)

but never by more than LARGEST_DIFFERENCE of the output's largest value. An ulp is of the precision
that the file computes in, of float64 that of float32, in which its import does. NaN and infinity
must be at the same places, except where the file's own evaluations disagree about them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

FACTOR = 64
"""Times the noise. On the built-in networks two right evaluations, one with batch normalisation
folded into the convolutions or with other optimisations, were up to 14 times the noise apart;
weights of the first convolution that are wrong by 1e-5 gave 221 times and more."""

LARGEST_DIFFERENCE = {
    **dict.fromkeys(("float32", "float64", "float16"), 0.01),
    **dict.fromkeys(("bfloat16", "int8"), 0.03),
}
"""By the file's precision, the share of the output's largest value beyond which even a network that
amplifies every rounding is another one. plain9 in bfloat16 is 0.0045 off, in float16 0.0003."""

_LAST_BITS = {
    **dict.fromkeys(("float32", "float64", "int8"), 2**-23),
    "float16": 2**-10,
    "bfloat16": 2**-7,
}

_FLOOR = 1.2e-38
"""float32 has no normal numbers below: backends may take them for zero."""


@dataclass(frozen=True)
class OutputDifference:
    """How far the import's output is from the file's; `reason` is empty if by rounding alone.

    `difference` is the largest one, as a share of the largest value of the output; `allowed` is
    the share of the tolerance that it takes up in the worst column. `says_something` tells whether
    the output depends on the images.
    """

    name: str
    shape: tuple[int, ...]
    difference: float
    allowed: float
    reason: str
    says_something: bool


def difference(
    name: str,
    file: np.ndarray,
    imported: np.ndarray,
    others: Sequence[np.ndarray],
    precision: str = "float32",
) -> OutputDifference:
    """Compares an output of the import with the file's; `others` are evaluations of the file too.

    The import computes in float32, the file in `precision`.
    All are [images, ...]; of more than two dimensions the second is the columns'.
    """
    shape = file.shape
    if imported.shape != shape:
        reason = f"its shape is {_shape(imported.shape)}, in the file {_shape(shape)}"
        return OutputDifference(name, shape, np.inf, np.inf, reason, True)
    base, got, *rest = (_columns(array) for array in (file, imported, *others))
    finite = np.isfinite(base)
    certain = np.ones_like(finite)
    for other in rest:
        certain &= finite == np.isfinite(other)
    same = (base == got) | (np.isnan(base) & np.isnan(got))
    misplaced = int(np.count_nonzero(certain & ~same & ~(finite & np.isfinite(got))))
    judged = certain & finite & np.isfinite(got)
    base, got = np.where(judged, base, 0.0), np.where(judged, got, 0.0)
    errors = np.abs(got - base).max(axis=1, initial=0.0)
    largest = float(np.abs(base).max(initial=0.0))
    evaluations = [np.where(judged, other, 0.0) for other in rest]
    tolerance = _tolerance(base, evaluations, largest, precision)
    excess = errors / tolerance
    worst = int(excess.argmax()) if excess.size else 0
    reason = ""
    if misplaced:
        reason = f"NaN or infinity is at {misplaced} other place(s)"
    elif excess.size and excess[worst] > 1:
        place = f"in column {worst}, whose" if len(excess) > 1 else "and its"
        size = float(np.abs(base[worst]).max())
        reason = f"it differs by {errors[worst]:.1e} {place} largest value is {size:.1e}"
    return OutputDifference(
        name,
        shape,
        difference=float(errors.max(initial=0.0)) / largest if largest else float(errors.any()),
        allowed=float(excess.max(initial=0.0)),
        reason=reason,
        says_something=_varies(file, tolerance),
    )


def last_bit(precision: str) -> float:
    """That of numbers from 1 on, as a share of 1; of float64 float32's, in which it is computed."""
    return _LAST_BITS[precision]


def _tolerance(
    base: np.ndarray, others: Sequence[np.ndarray], largest: float, precision: str
) -> np.ndarray:
    """Of each column, the largest difference that is rounding."""
    noise = np.zeros(len(base))
    for other in others:
        noise = np.maximum(noise, _rms(other - base))
    ulp = np.exp2(np.floor(np.log2(np.maximum(_rms(base), _FLOOR)))) * last_bit(precision)
    quarter = np.full(len(base), np.median(noise) / 4 if noise.size else 0.0)
    allowed = FACTOR * np.maximum.reduce([noise, quarter, ulp])
    tolerance: np.ndarray = np.maximum(
        np.minimum(allowed, LARGEST_DIFFERENCE[precision] * largest), _FLOOR
    )
    return tolerance


def _columns(array: np.ndarray) -> np.ndarray:
    """The array as float64 [columns, values]."""
    wide = array.astype(np.float64)
    if wide.ndim < 2:
        return wide.reshape(1, -1)
    return np.moveaxis(wide, 1, 0).reshape(wide.shape[1], wide[:, :1].size)


def _rms(columns: np.ndarray) -> np.ndarray:
    if not columns.shape[1]:
        return np.zeros(len(columns))
    scale = np.maximum(np.abs(columns).max(axis=1), _FLOOR)  # no square overflows
    rms: np.ndarray = scale * np.sqrt(np.square(columns / scale[:, None]).mean(axis=1))
    return rms


def _varies(output: np.ndarray, tolerance: np.ndarray) -> bool:
    """Whether rows of an output differ by more than rounding."""
    if output.ndim < 1 or len(output) < 2:
        return False
    rows = output.astype(np.float64)
    rows = np.where(np.isfinite(rows), rows, 0.0)
    spread = np.ptp(rows, axis=0)[None]
    return bool((_columns(spread).max(axis=1, initial=0.0) > tolerance).any())


def _shape(shape: Sequence[int]) -> str:
    return "x".join(map(str, shape)) or "that of a scalar"

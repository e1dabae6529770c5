"""The one rounding of every operator."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def rounded(values: npt.ArrayLike) -> np.ndarray:
    """`values`, computed in float64, rounded to the nearest float32."""
    return np.asarray(values, dtype=np.float32)

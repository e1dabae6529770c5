"""Generated test inputs: few examples, the same in every run."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

quick = settings(derandomize=True, max_examples=40, deadline=None, database=None)

SIZES = st.integers(1, 7)
SEEDS = st.integers(0, 2**16)


def normal(seed: int, *shape: int) -> np.ndarray:
    """float32 values from a standard normal distribution."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


@st.composite
def windows(
    draw: st.DrawFn, most_rank: int = 3, most_padding: Callable[[int], int] | None = None
) -> dict[str, Any]:
    """Attributes of a sliding window and a `size` of input that it fits into.

    `most_padding(kernel)` bounds the padding; without it, one less than the kernel does.
    """
    rank = draw(st.integers(1, most_rank))
    bound = most_padding or (lambda kernel: kernel - 1)
    lists = {
        name: [draw(st.integers(1, 3)) for _ in range(rank)]
        for name in ("kernel_shape", "strides", "dilations")
    }
    begins = [draw(st.integers(0, bound(k))) for k in lists["kernel_shape"]]
    ends = [draw(st.integers(0, bound(k))) for k in lists["kernel_shape"]]
    size = [
        max(1, d * (k - 1) + 1 - b - e) + draw(st.integers(0, 6))
        for k, d, b, e in zip(lists["kernel_shape"], lists["dilations"], begins, ends, strict=True)
    ]
    return {**lists, "pads": [*begins, *ends], "size": size}

"""The two kinds of kernel that measure a core: multiply-adds alone, and memory alone.

Nothing here takes times; calls release the interpreter's lock.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import numpy as np

from columnar_nn.errors import UsageError
from columnar_nn.kernels import host
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.parameters import address

ACCUMULATORS = 12
"""Independent sums: more than latency times units of any processor (5 x 2), and with two
operands still in the 16 registers of AVX2."""

UNROLL = 8
"""Vectors that a step of a loop over memory moves."""

TRIAD_FACTOR = 3.0
"""The scalar of STREAM's triad, as in its source."""

STREAMS = {"read": 1, "copy": 2, "triad": 3}
"""Arrays that each memory kernel reads or writes, as STREAM counts them: what a store fetches
of the line it will overwrite is not counted."""


def lanes() -> int:
    """float32 values that `multiply_adds` updates in each repetition."""
    return ACCUMULATORS * host.vector_width()


def step_floats() -> int:
    """float32 values of an array that a memory kernel handles in one step: its granularity."""
    return UNROLL * host.vector_width()


def multiply_adds(repeats: int, a: float, b: float, values: np.ndarray) -> None:
    """values = a * values + b, `repeats` times in registers; float32 [lanes()], in place.

    Executes repeats * lanes() multiply-adds.
    """
    operands = np.array([a, b], np.float32)
    run = _kernel("multiply_adds", "repeats", "operands", "results")
    run(repeats, address(operands), address(values))


def stream(name: str, repeats: int, source: np.ndarray, target: np.ndarray) -> None:
    """Runs the memory kernel `name` of STREAMS over float32 arrays, `repeats` times.

    read   target[step_floats()] = sums of `source`, over steps and repetitions
    copy   target = source
    triad  target = first half of source + 3 * second half

    Arrays are multiples of step_floats() long; raises UsageError where they do not fit.
    """
    count = source.size // 2 if name == "triad" else source.size
    fitting = step_floats() if name == "read" else count
    if count % step_floats() or source.size % count or target.size != fitting:
        raise UsageError(f"{name} of {source.size} floats into {target.size}: sizes do not fit")
    steps = count // step_floats()
    run = _kernel(name, "repeats", "steps", "source", "target")
    run(repeats, steps, address(source), address(target))


@functools.cache
def _kernel(name: str, *arguments: str) -> Callable[..., None]:
    return Kernel("roofline", name, arguments=arguments).run

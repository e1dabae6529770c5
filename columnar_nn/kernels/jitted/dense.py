"""Dense layer: 16 outputs at a time, inputs broadcast one by one."""

from __future__ import annotations

from columnar_nn.kernels.dense import Dense
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import clamp, fma
from columnar_nn.kernels.jitted.memory import blocks, copy, share
from columnar_nn.kernels.parameters import Floats


def dense(
    parameters: Dense, source: Floats, target: Floats, scratch: Floats, part: int, parts: int
) -> None:
    """A product of a matrix and a vector. Parts share the blocks of 16 outputs."""
    p = parameters
    for b in share((p.outputs + LANES - 1) // LANES, part, parts):
        total = p.bias[b]
        weights = p.weights + b * p.runs * p.inner
        for run in range(p.runs):
            inputs = source + run * p.run_step
            for index in range(p.inner):
                total = fma(inputs[index], weights[index], total)
            weights = weights + p.inner
        results = target + b * LANES
        left = p.outputs - b * LANES
        if left < LANES:
            blocks(scratch)[0] = clamp(total, p.low, p.high)
            copy(results, scratch, left)
        else:
            blocks(results)[0] = clamp(total, p.low, p.high)

"""Products of planar matrices: 16 columns of the result at a time, kept in registers."""

from __future__ import annotations

from collections.abc import Callable

from numba import float32

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import block, fma
from columnar_nn.kernels.jitted.memory import blocks, share
from columnar_nn.kernels.matrix import Products
from columnar_nn.kernels.parameters import Floats


def product(constant: str) -> Callable[..., None]:
    """output[p] = left[p] times right[p] for each product p. Parts share the rows of all.

    `constant` says which operand is: "left" or "right", the input being the other one, or
    "neither".
    """
    left_is_constant, right_is_constant = constant == "left", constant == "right"

    def kernel(
        parameters: Products, source: Floats, second: Floats, target: Floats, part: int, parts: int
    ) -> None:
        p = parameters
        left = p.constant if left_is_constant else source
        right = p.constant if right_is_constant else source if left_is_constant else second
        whole = p.columns // LANES
        for index in share(p.products * p.rows, part, parts):
            number = index // p.rows
            row = left + (p.left_offsets[number] + index % p.rows * p.inner)
            matrix = right + p.right_offsets[number]
            goal = target + index * p.columns
            for column in range(whole):
                total = block(0.0)
                for step in range(p.inner):
                    weights = blocks(matrix + step * p.columns)[column]
                    total = fma(row[step], weights, total)
                blocks(goal)[column] = total
            for column in range(whole * LANES, p.columns):
                value = float32(0)
                for step in range(p.inner):
                    value = fma(row[step], matrix[step * p.columns + column], value)
                goal[column] = value

    return kernel

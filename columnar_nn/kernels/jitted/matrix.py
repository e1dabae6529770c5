"""Products of planar matrices: 16 columns of the result at a time, kept in registers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba import float32

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import block
from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.memory import blocks, share
from columnar_nn.kernels.matrix import Products
from columnar_nn.kernels.parameters import Floats
from columnar_nn.kernels.primitives import fma


@inlined
def times_columns(row: Floats, columns: Floats, inner: int, distance: int) -> Any:
    """A row times 16 columns of a matrix whose rows lie `distance` floats apart."""
    total = block(0.0)
    for step in range(inner):
        total = fma(row[step], blocks(columns + step * distance)[0], total)
    return total


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
                values = times_columns(row, matrix + column * LANES, p.inner, p.columns)
                blocks(goal)[column] = values
            if whole and whole * LANES < p.columns:  # the last block overlaps that before it
                last = p.columns - LANES
                blocks(goal + last)[0] = times_columns(row, matrix + last, p.inner, p.columns)
            elif not whole:
                for column in range(p.columns):
                    value = float32(0)
                    for step in range(p.inner):
                        value = fma(row[step], matrix[step * p.columns + column], value)
                    goal[column] = value

    return kernel

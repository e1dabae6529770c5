"""A kernel that no network needs, of most that the language of kernels has."""

from __future__ import annotations

from typing import NamedTuple

from columnar_nn.kernels.jitted.blocks import block, sum_of_lanes
from columnar_nn.kernels.jitted.memory import share
from columnar_nn.kernels.parameters import Blocks, Floats, Words
from columnar_nn.kernels.primitives import fma, where


class Weighted(NamedTuple):
    """Of `weighted_sums`."""

    rows: int
    factor: float
    weights: Blocks
    offsets: Floats | None
    counts: Words


def weighted_sums(
    parameters: Weighted, source: Blocks, target: Floats, part: int, parts: int
) -> None:
    """For each row factor * (sum of counts[row] blocks times a weight) + offset, halved if large.

    Source is [rows][2] blocks.
    """
    p = parameters
    for row in share(p.rows, part, parts):
        total = block(0.0)
        for index in range(min(p.counts[row], 2)):
            here = source + (row * 2 + index)
            total = fma(here[0], p.weights[index], total)
        value = sum_of_lanes(where(total > 0.5, total, 0.5)) * p.factor
        if p.offsets:
            value += p.offsets[row % 2]
        target[row] = value

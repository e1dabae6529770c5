"""Sums of a tile in registers, a row of vectors each: what microkernels begin and end with."""

from __future__ import annotations

from collections.abc import Sequence

from llvmlite import ir

from columnar_nn.kernels import host
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.emitter import FLOAT, Emitter, Value, Variable
from columnar_nn.kernels.parameters import BLOCK_BYTES, FLOAT_BYTES

AHEAD_BYTES = 4096
"""How far ahead of their use the filters of products are asked for: they come from beyond the
first-level cache.
"""

Tile = list[list[Variable]]
"""Accumulators [pixel][vector]."""


def sizes() -> range:
    """Numbers of pixels a tile may have."""
    return range(1, host.tile_pixels() + 1)


def vectors(e: Emitter, address: Value, floats: int = LANES) -> list[Value]:
    """Consecutive floats as the vectors they take, of which the last may be a shorter one."""
    return [
        e.load(address + FLOAT_BYTES * start, ir.VectorType(FLOAT, min(e.width, floats - start)))
        for start in range(0, floats, e.width)
    ]


def placed(e: Emitter, rows: Sequence[Sequence[Value]]) -> list[tuple[int, int, Value]]:
    """(filter block, byte offset, vector) of the vectors of pixels a block apart."""
    vectors = LANES // e.width
    return [
        (
            index // vectors,
            BLOCK_BYTES * pixel + FLOAT_BYTES * e.width * (index % vectors),
            value,
        )
        for pixel, row in enumerate(rows)
        for index, value in enumerate(row)
    ]


def sums_of(tile: Tile) -> list[list[Value]]:
    """What the accumulators hold here."""
    return [[slot.value for slot in slots] for slots in tile]


def tile_of(e: Emitter, pixels: int, start: Sequence[Value]) -> Tile:
    """Accumulators that start, at every pixel, as the same row."""
    return [[e.variable(value) for value in start] for _ in range(pixels)]

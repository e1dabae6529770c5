"""The microkernels of products whose rows lie as they come: matrices, dense layers of some images.

Written as those of convolutions are (tile.py).
"""

from __future__ import annotations

from typing import Any

from numba import types

from columnar_nn.kernels import host
from columnar_nn.kernels.jitted.accumulators import (
    AHEAD_BYTES,
    placed,
    sizes,
    sums_of,
    tile_of,
    vectors,
)
from columnar_nn.kernels.jitted.blocks import number
from columnar_nn.kernels.jitted.compiler import emitted
from columnar_nn.kernels.jitted.emitter import FLOAT, Emitter, Value
from columnar_nn.kernels.jitted.memory import POINTERS, integer
from columnar_nn.kernels.parameters import BLOCK_BYTES, FLOAT_BYTES

floats, blocks = POINTERS["float"], POINTERS["block"]


def matrix_tile(width: int, of_layer: bool) -> Any:
    """A function for kernels that computes rows of a product of matrices that lie row by row.

        tile(rows, left, panel, ahead, pace, bias, residual, target, inner, distance, low, high)

    target[row][column] = sum over k, in order, of left[row][k] * panel[k][column], for `width`
    columns; rows of `left` are `inner` floats long, those of the target `distance` apart. At most
    `host.tile_rows()` rows. Of a layer, the sum begins with the column's bias, what lies as the
    target in `residual`, if there is one, is added, and the result is at least `low` and at most
    `high`; and with each k memory is asked for that begins at `ahead`, `pace` bytes further each
    time. Elsewhere these six are not read.
    """

    outputs = (floats, integer, floats, floats, floats, integer, integer, number, number)

    @emitted(types.none(integer, floats, floats, *outputs))
    def tile(
        e: Emitter,
        rows: Value,
        left: Value,
        panel: Value,
        ahead: Value,
        pace: Value,
        bias: Value,
        residual: Value,
        target: Value,
        inner: Value,
        distance: Value,
        low: Value,
        high: Value,
    ) -> None:
        left_bytes, target_bytes = inner * FLOAT_BYTES, distance * FLOAT_BYTES
        bounds = [e.splat(bound, e.width) for bound in (low, high)] if of_layer else []

        def emit(size: int) -> None:
            zeros = [e.constant(e.vector, 0.0)] * (width // e.width)
            sums = tile_of(e, size, vectors(e, bias, width) if of_layer else zeros)
            starts = [left + left_bytes * row for row in range(size)]
            with e.loop(inner) as k:
                if of_layer:
                    e.prefetch(ahead + k * pace)
                columns = vectors(e, panel + k * (width * FLOAT_BYTES), width)
                for start, slots in zip(starts, sums, strict=True):
                    value = e.splat(e.load(start + k * FLOAT_BYTES, FLOAT), e.width)
                    for slot, column in zip(slots, columns, strict=True):
                        slot.value = e.multiply_add(value, column, slot.value)
            if of_layer:
                with e.when(residual.differs(0)):
                    for row, slots in enumerate(sums):
                        added = vectors(e, residual + target_bytes * row, width)
                        for slot, value in zip(slots, added, strict=True):
                            slot.value = slot.value + value
            for row, values in enumerate(sums_of(sums)):
                for index, value in enumerate(values):
                    e.store(
                        target + target_bytes * row + FLOAT_BYTES * e.width * index,
                        e.clamp(value, *bounds) if of_layer else value,
                    )

        e.switch(rows, range(1, host.tile_rows() + 1), emit)

    return tile


def dense_tile() -> Any:
    """A function for kernels that computes 16 outputs of a dense layer for some images.

        tile(images, source, image_floats, weights, start, runs, inner, target)

    target[image][16] = start[16] + sum, in order, over `runs` and over the `inner` floats of each,
    which begin a block apart, of source[image][run][k] * weights[run][k][16]. Images of the source
    lie `image_floats` apart. At most `host.tile_pixels()` images.
    """

    @emitted(types.none(integer, floats, integer, blocks, blocks, integer, integer, blocks))
    def tile(
        e: Emitter,
        images: Value,
        source: Value,
        image_floats: Value,
        weights: Value,
        start: Value,
        runs: Value,
        inner: Value,
        target: Value,
    ) -> None:
        image_bytes = image_floats * FLOAT_BYTES

        def emit(size: int) -> None:
            sums = tile_of(e, size, vectors(e, start))
            here = e.variable(weights)
            starts = [source + image_bytes * image for image in range(size)]
            with e.loop(runs) as run, e.loop(inner) as k:
                row = vectors(e, here.value)
                e.prefetch(here.value + AHEAD_BYTES)
                place = run * BLOCK_BYTES + k * FLOAT_BYTES
                for begin, slots in zip(starts, sums, strict=True):
                    value = e.splat(e.load(begin + place, FLOAT), e.width)
                    for slot, lanes in zip(slots, row, strict=True):
                        slot.value = e.multiply_add(value, lanes, slot.value)
                here.value = here.value + BLOCK_BYTES
            for _, offset, value in placed(e, sums_of(sums)):
                e.store(target + offset, value)

        e.switch(images, sizes(), emit)

    return tile

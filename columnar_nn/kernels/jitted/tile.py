"""The microkernels of convolutions: a tile of pixels x 16 or 32 filters kept in registers.

For P pixels and 16 filters it sums input[pixel][channel] * filter[channel][0:16] over a nest of
loops. Pixels lie a constant number of floats apart (16 times the stride in nchw16c, the stride in
planar images), so each value is a broadcast from a constant displacement, and the filters are read
in sequence. All loops over shapes are run-time values: one microkernel serves every layer. Per
input channel AVX2 issues two filter loads, P broadcasts, 2 P multiply-adds; AVX-512 for 32 filters
the same.

Tiles are written in the emitting language, since what fills the register file must be vectors of
the processor's width, and each number of pixels has code of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from llvmlite import ir
from numba import types

from columnar_nn.kernels.direct import CHANNEL_STEP
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.accumulators import (
    AHEAD_BYTES,
    Tile,
    placed,
    sizes,
    sums_of,
    tile_of,
    vectors,
)
from columnar_nn.kernels.jitted.blocks import number, sum_of_lanes
from columnar_nn.kernels.jitted.compiler import emitted
from columnar_nn.kernels.jitted.emitter import FLOAT, Emitter, Value, Variable
from columnar_nn.kernels.jitted.memory import POINTERS, integer
from columnar_nn.kernels.parameters import BLOCK_BYTES, FLOAT_BYTES

Loops = Sequence[tuple[Value, Value]]
"""(count, bytes the input advances), outermost first."""

floats, blocks = POINTERS["float"], POINTERS["block"]


def convolution_tile(
    kind: str,
    displacement: int,
    inner: int,
    plane_channels: int,
    filter_blocks: int,
    last_lanes: int = LANES,
) -> Any:
    """A function for kernels that computes a tile of a direct convolution.

        tile(pixels, is_last, channels, source, filters, loops, bias, residual, target,
             block_floats, low, high, owned)

    output = at least low, at most high of bias + sum + residual, for pixels a block apart in output
    and residual (if there is one), `displacement` floats in the input. `loops` are the planes, the
    rows and the columns of a filter: (count, floats that the input advances) of each.

    `channels`, in nchw16c a multiple of CHANNEL_STEP, are those of all planes: others of the last
    plane are not read and have no weights. Of the last filters, where `is_last` holds, the last
    block has `last_lanes` that are computed; zeros are stored in its others.

    kind "channels" sums over `inner` consecutive channels in each step and gives `filter_blocks`
    times 16 filters, `block_floats` apart; "lanes" multiplies 16 channels by a weight each
    (depthwise) and gives these channels; "sum" does the same and sums the channels too: one filter,
    one float of output. "groups" is "channels" where filters of several groups, or channels of
    others, meet in a block. There a filter's weights of foreign channels are zero, which makes NaN
    of those that are not finite: a tile with NaN is summed again from each filter's own channels,
    `owned`.
    """
    nest = types.UniTuple(types.UniTuple(integer, 2), 3)
    outputs = (floats, floats, floats, integer, number, number)

    @emitted(types.none(integer, types.boolean, integer, floats, floats, nest, *outputs, floats))
    def tile(
        e: Emitter,
        pixels: Value,
        is_last: Value,
        channels: Value,
        source: Value,
        filters: Value,
        nest: Value,
        bias: Value,
        residual: Value,
        target: Value,
        block_floats: Value,
        low: Value,
        high: Value,
        owned: Value,
    ) -> None:
        loops = [(count, floats * FLOAT_BYTES) for count, floats in _pairs(e, nest)]
        block_bytes = block_floats * FLOAT_BYTES
        narrow = len(sizes())  # added to the pixels of a tile of the last filters

        def emit(case: int) -> None:
            is_narrow, size = case > narrow, (case - 1) % narrow + 1
            idle = LANES - last_lanes if is_narrow else 0
            row = vectors(e, bias, LANES * filter_blocks - idle) if kind != "sum" else []
            zeros = [e.constant(e.vector, 0.0)] * (LANES // e.width)
            sums = tile_of(e, size, row or zeros)
            if kind in ("channels", "groups"):
                # A planar image's planes are its channels, however wide the filter is.
                most = channels if plane_channels == LANES else None
                _add_channels(
                    e, sums, displacement, inner, source, filters, loops, filter_blocks, most
                )
            else:
                _add_lanes(e, sums, displacement, source, filters, loops)
            if kind == "groups":
                with e.when(_holds_nan(e, sums), likely=False):
                    for slots in sums:
                        for slot, value in zip(slots, row, strict=True):
                            slot.value = value
                    _add_own_channels(
                        e, sums, displacement, inner, plane_channels, source, filters, loops, owned
                    )
            values = sums_of(sums)
            if kind == "sum":
                constant = e.load(bias, FLOAT)
                values = [[sum_of_lanes(e, _total(parts)) + constant] for parts in values]
            store_tile(e, placed(e, values), residual, target, block_bytes, low, high)
            if idle:
                none = e.constant(ir.VectorType(FLOAT, idle), 0.0)
                end = target + block_bytes * (filter_blocks - 1) + FLOAT_BYTES * last_lanes
                for pixel in range(size):
                    e.store(end + BLOCK_BYTES * pixel, none)

        if last_lanes < LANES:
            case = is_last.select(pixels + narrow, pixels)
            e.switch(case, range(1, 2 * narrow + 1), emit)
        else:
            e.switch(pixels, sizes(), emit)

    return tile


def product_tile(filter_blocks: int) -> Any:
    """A function for kernels that computes a tile of a product of matrices.

        tile(rows, left, right, target, in_blocks, step)

    target[block][row][16] = sum over channels of left[row][channel] * right[channel][block][16];
    from block to block of channels and of filters it is `step` blocks.
    """

    @emitted(types.none(integer, blocks, blocks, blocks, integer, integer))
    def tile(
        e: Emitter,
        rows: Value,
        left: Value,
        right: Value,
        target: Value,
        in_blocks: Value,
        step: Value,
    ) -> None:
        step_bytes = step * BLOCK_BYTES

        def emit(size: int) -> None:
            zeros = [e.constant(e.vector, 0.0)] * (LANES * filter_blocks // e.width)
            sums = tile_of(e, size, zeros)
            loops = ((in_blocks, step_bytes),)
            _add_channels(
                e, sums, LANES, LANES, left, right, loops, filter_blocks, ahead=AHEAD_BYTES
            )
            for block, place, value in placed(e, sums_of(sums)):
                e.store(target + step_bytes * block + place, value)

        e.switch(rows, sizes(), emit)

    return tile


def _pairs(e: Emitter, nest: Value) -> list[tuple[Value, Value]]:
    """The pairs of numbers in a tuple of pairs."""
    get = e.builder.extract_value
    return [
        (e.of(get(nest.ir, [index, 0])), e.of(get(nest.ir, [index, 1])))
        for index in range(nest.type.count)
    ]


def _total(parts: Sequence[Value]) -> Value:
    """The sum of vectors, lane by lane."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _nest(
    e: Emitter,
    tile: Tile,
    source: Value,
    filters: Variable,
    loops: Loops,
    products: Callable[[Value, Value, list[list[Value]]], int],
) -> None:
    """Runs loops whose innermost body updates the sums by products(input, filters, sums), which
    returns the bytes of filters that it used.
    """
    if loops:
        (count, step), *inner = loops
        with e.loop(count) as index:
            _nest(e, tile, source + index * step, filters, inner, products)
        return
    sums = sums_of(tile)
    here = filters.value
    used = products(source, here, sums)
    for slots, row in zip(tile, sums, strict=True):
        for slot, value in zip(slots, row, strict=True):
            slot.value = value
    filters.value = here + used


def _add_channels(
    e: Emitter,
    tile: Tile,
    displacement: int,
    inner: int,
    source: Value,
    filters: Value,
    loops: Loops,
    filter_blocks: int,
    channels: Value | None = None,
    ahead: int = 0,
) -> None:
    """Adds the products of `inner` consecutive channels of each pixel with as many consecutive
    rows of filters, one for each lane of a pixel's accumulators, inside `loops`. Filters are
    asked for `ahead` bytes before their use, if that is not 0. Of nchw16c the planes, the first of
    the loops, have no more than `channels` together, if that is given.
    """
    row_bytes = BLOCK_BYTES * filter_blocks
    lanes = sum(slot.value.type.count for slot in tile[0])
    unroll = CHANNEL_STEP // filter_blocks
    if inner % unroll:
        unroll = 1

    def products(source: Value, filters: Value, sums: list[list[Value]]) -> int:
        for channel in range(unroll):
            if channel and displacement < unroll:
                # Else a pixel that taps share is kept for them, on the stack: on a Zen 4 a filter
                # of 4x4 taps takes 717 us instead of 239, of 2x2 210 instead of 77.
                e.forget_loads()
            row = vectors(e, filters + row_bytes * channel, lanes)
            if ahead:
                for line in range(0, row_bytes, BLOCK_BYTES):
                    e.prefetch(filters + (row_bytes * channel + line + ahead))
            whole = lanes // e.width
            for parts in (range(whole), range(whole, len(row))):
                if parts and parts.start:
                    # Else a pixel's lower half is taken of what the others multiply, is
                    # overwritten by the sum, and sums go through the stack.
                    e.forget_loads()
                for pixel, totals in enumerate(sums):
                    value = e.load(source + FLOAT_BYTES * (displacement * pixel + channel), FLOAT)
                    for part in parts:
                        factor = e.splat(value, row[part].type.count)
                        totals[part] = e.multiply_add(factor, row[part], totals[part])
        return row_bytes * unroll

    here = e.variable(filters)
    (planes, plane_bytes), *taps = loops
    with e.loop(planes) as plane:
        steps = e.word(inner // unroll)
        if channels is not None:
            steps = e.least(steps, (channels - plane * LANES) // unroll)
        if inner > unroll:
            taps = [*taps, (steps, e.word(FLOAT_BYTES * unroll))]
        _nest(e, tile, source + plane * plane_bytes, here, taps, products)


def _holds_nan(e: Emitter, tile: Tile) -> Value:
    """Whether any of the sums is no number."""
    sums = [value for row in sums_of(tile) for value in row]
    masks = [a.has_nan(b) for a, b in zip(sums[::2], [*sums[1::2], sums[-1]], strict=False)]
    found = masks[0]
    for mask in masks[1:]:
        found = found | mask
    return e.any_lane(found)


def _add_own_channels(
    e: Emitter,
    tile: Tile,
    displacement: int,
    inner: int,
    plane_channels: int,
    source: Value,
    filters: Value,
    loops: Loops,
    owned: Value,
) -> None:
    """As _add_channels over planes and taps, in its order, for 16 filters of several groups: each
    lane adds the products of its own group's channels alone.

    `owned` holds each lane's first channel and then each one's last plus one, counted from the
    first plane's first. A plane has `plane_channels`: with 1, `inner` are taps.
    """
    lowest, ends = vectors(e, owned), vectors(e, owned + BLOCK_BYTES)
    (planes, plane_bytes), (rows, row_bytes), (columns, column_bytes) = loops
    weights = e.variable(filters)
    with (
        e.loop(planes) as plane,
        e.loop(rows) as row,
        e.loop(columns) as column,
        e.loop(e.word(inner)) as index,
    ):
        channel = plane * plane_channels
        if plane_channels > 1:
            channel = channel + index
        count = e.splat(e.of(e.builder.sitofp(channel.ir, FLOAT)), e.width)
        own = [(count >= low) & (count < end) for low, end in zip(lowest, ends, strict=True)]
        lanes = vectors(e, weights.value)
        here = source + plane * plane_bytes + row * row_bytes + column * column_bytes
        here = here + index * FLOAT_BYTES
        for pixel, slots in enumerate(tile):
            value = e.splat(e.load(here + FLOAT_BYTES * displacement * pixel, FLOAT), e.width)
            for slot, weight, mine in zip(slots, lanes, own, strict=True):
                total = slot.value
                slot.value = mine.select(e.multiply_add(value, weight, total), total)
        weights.value = weights.value + BLOCK_BYTES


def _add_lanes(
    e: Emitter, tile: Tile, displacement: int, source: Value, filters: Value, loops: Loops
) -> None:
    """Adds the products of each pixel's 16 channels with 16 weights, lane by lane."""

    def products(source: Value, filters: Value, sums: list[list[Value]]) -> int:
        row = vectors(e, filters)
        for pixel, totals in enumerate(sums):
            channels = vectors(e, source + FLOAT_BYTES * displacement * pixel)
            for part, (weights, lanes) in enumerate(zip(row, channels, strict=True)):
                totals[part] = e.multiply_add(lanes, weights, totals[part])
        return BLOCK_BYTES

    _nest(e, tile, source, e.variable(filters), loops, products)


def store_tile(
    e: Emitter,
    results: list[tuple[int, int, Value]],
    residual: Value,
    target: Value,
    block_bytes: Value,
    low: Value,
    high: Value,
) -> None:
    """Stores clamp(value + residual) at each (block, byte offset, vector), where a block begins
    `block_bytes` after the one before; residual 0 is none. Bounds are single floats.
    """

    def bound(number: Value, kind: ir.Type) -> Value:
        return number if kind == FLOAT else e.splat(number, kind.count)

    kept = [(block, place, e.variable(value)) for block, place, value in results]
    with e.when(residual.differs(0)):
        for block, place, slot in kept:
            value = slot.value
            slot.value = value + e.load(residual + block_bytes * block + place, value.type)
    for block, place, slot in kept:
        value = slot.value
        bounds = (bound(number, value.type) for number in (low, high))
        e.store(target + block_bytes * block + place, e.clamp(value, *bounds))

"""The microkernel of every convolution: a tile of pixels x 16 or 32 filters kept in registers.

For P pixels and 16 filters it sums input[pixel][channel] * filter[channel][0:16] over a nest of
loops. Pixels lie a constant number of bytes apart (64 times the stride in nchw16c, 4 times the
stride in planar images), so each value is a broadcast from a constant displacement, and the
filters are read in sequence. All loops over shapes are run-time values: one microkernel serves
every layer. Per input channel AVX2 issues two filter loads, P broadcasts, 2 P multiply-adds;
AVX-512 for 32 filters the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llvmlite import ir

from columnar_nn.kernels import host
from columnar_nn.kernels.emit.emitter import BLOCK, FLOAT, INT32, Emitter, Value, Variable
from columnar_nn.kernels.host import LANES

UNROLL = 4
"""Channels times blocks of filters that a loop step handles; 8 and 16, measured, gain nothing."""

Loops = Sequence[tuple[Value, Value]]
"""(count, bytes the input advances), outermost first."""

Tile = list[list[Variable]]
"""Accumulators [pixel][vector]."""


def sizes() -> range:
    """Numbers of pixels a tile may have."""
    return range(1, host.tile_pixels() + 1)


def load_row(e: Emitter, address: Value, floats: int = LANES) -> list[Value]:
    """Consecutive floats as the vectors they take."""
    return [e.load(address + 4 * start, e.vector) for start in range(0, floats, e.width)]


def placed(e: Emitter, rows: Sequence[Sequence[Value]]) -> list[tuple[int, int, Value]]:
    """(filter block, byte offset, vector) of the vectors of pixels 64 bytes apart in a block."""
    vectors = LANES // e.width
    return [
        (index // vectors, 64 * pixel + 4 * e.width * (index % vectors), value)
        for pixel, row in enumerate(rows)
        for index, value in enumerate(row)
    ]


def values(tile: Tile) -> list[list[Value]]:
    """What the accumulators hold here."""
    return [[slot.value for slot in slots] for slots in tile]


def tile_of(e: Emitter, pixels: int, start: Sequence[Value]) -> Tile:
    """Accumulators that start, at every pixel, as the same row of 16."""
    return [[e.variable(value) for value in start] for _ in range(pixels)]


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
    sums = values(tile)
    here = filters.value
    used = products(source, here, sums)
    for slots, row in zip(tile, sums, strict=True):
        for slot, value in zip(slots, row, strict=True):
            slot.value = value
    filters.value = here + used


def add_channels(
    e: Emitter,
    tile: Tile,
    displacement: int,
    inner: int,
    source: Value,
    filters: Value,
    loops: Loops,
    ahead: int = 0,
) -> None:
    """Adds the products of `inner` consecutive channels of each pixel with as many consecutive
    rows of filters, one for each lane of a pixel's accumulators, inside `loops`. Filters are
    asked for `ahead` bytes before their use, if that is not 0.
    """
    floats = len(tile[0]) * e.width
    unroll = UNROLL * LANES // floats
    if inner % unroll:
        unroll = inner
    if inner > unroll:
        loops = (*loops, (e.word(inner // unroll), e.word(4 * unroll)))

    def products(source: Value, filters: Value, sums: list[list[Value]]) -> int:
        for channel in range(unroll):
            row = load_row(e, filters + 4 * floats * channel, floats)
            if ahead:
                for line in range(0, 4 * floats, 64):
                    e.prefetch(filters + (4 * floats * channel + line + ahead))
            for pixel, totals in enumerate(sums):
                scalar = e.load(source + (displacement * pixel + 4 * channel), FLOAT)
                value = e.splat(scalar, e.width)
                for part, weights in enumerate(row):
                    totals[part] = e.multiply_add(value, weights, totals[part])
        return 4 * floats * unroll

    _nest(e, tile, source, e.variable(filters), loops, products)


def holds_nan(e: Emitter, tile: Tile) -> Value:
    """Whether any of the sums is no number."""
    sums = [value for row in values(tile) for value in row]
    masks = [a.has_nan(b) for a, b in zip(sums[::2], [*sums[1::2], sums[-1]], strict=False)]
    found = masks[0]
    for mask in masks[1:]:
        found = found | mask
    return e.any_lane(found)


def add_own_channels(
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
    """As add_channels over planes and taps, in its order, for 16 filters of several groups: each
    lane adds the products of its own group's channels alone.

    `owned` holds each lane's first channel and then each one's last plus one, counted from the
    first plane's first. A plane has `plane_channels`: with 1, `inner` are taps.
    """
    lowest, ends = load_row(e, owned), load_row(e, owned + 4 * LANES)
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
        number = e.splat(e.of(e.builder.sitofp(channel.ir, FLOAT)), e.width)
        own = [(number >= low) & (number < end) for low, end in zip(lowest, ends, strict=True)]
        lanes = load_row(e, weights.value)
        here = source + plane * plane_bytes + row * row_bytes + column * column_bytes + index * 4
        for pixel, slots in enumerate(tile):
            value = e.splat(e.load(here + displacement * pixel, FLOAT), e.width)
            for slot, weight, mine in zip(slots, lanes, own, strict=True):
                total = slot.value
                slot.value = mine.select(e.multiply_add(value, weight, total), total)
        weights.value = weights.value + 4 * LANES


def add_lanes(
    e: Emitter, tile: Tile, displacement: int, source: Value, filters: Value, loops: Loops
) -> None:
    """Adds the products of each pixel's 16 channels with 16 weights, lane by lane."""

    def products(source: Value, filters: Value, sums: list[list[Value]]) -> int:
        row = load_row(e, filters)
        for pixel, totals in enumerate(sums):
            channels = load_row(e, source + displacement * pixel)
            for part, (weights, lanes) in enumerate(zip(row, channels, strict=True)):
                totals[part] = e.multiply_add(lanes, weights, totals[part])
        return 4 * LANES

    _nest(e, tile, source, e.variable(filters), loops, products)


def clear_lanes(e: Emitter, target: Value, pixels: Value, mask: Value) -> None:
    """Zeroes the lanes of pixels 64 bytes apart where a mask of 16 floats is negative.

    The lanes past the last filter have zero weights, but zero times infinity is NaN, which the
    next convolution would spread.
    """
    cleared = e.load(mask, BLOCK) < 0.0
    with e.loop(pixels) as pixel:
        place = target + pixel * 64
        e.store(place, cleared.select(0.0, e.load(place, BLOCK)))


def sum_of_lanes(e: Emitter, parts: Sequence[Value]) -> Value:
    """The sum of all lanes of some vectors, halved again and again."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    while total.type.count > 1:
        half = total.type.count // 2
        none = ir.Constant(total.type, ir.Undefined)
        low, high = (
            e.of(
                e.builder.shuffle_vector(
                    total.ir, none, ir.Constant(ir.VectorType(INT32, half), list(lanes))
                )
            )
            for lanes in (range(half), range(half, 2 * half))
        )
        total = low + high
    return total.lane(0)

"""Means over the last axis, and sums over neighbouring channels (LRN), of planar tensors."""

from __future__ import annotations

from llvmlite import ir

from columnar_nn.kernels.emit.emitter import BLOCK, FLOAT, Emitter, Value
from columnar_nn.kernels.emit.tile import sum_of_lanes
from columnar_nn.kernels.host import LANES

BLOCK_BYTES = 4 * LANES


def mean(
    e: Emitter,
    parameters: Value,
    source: Value,
    _second: Value,
    target: Value,
    scratch: Value,
    part: Value,
    parts: Value,
) -> None:
    """The mean of each row of `count` floats. Parameters: rows, count. Parts share the rows."""
    rows, count = e.load_words(parameters, 2)
    divisor = e.of(e.builder.sitofp(count.ir, FLOAT))
    blocks = count // LANES
    rest = (count - blocks * LANES) * 4
    e.clear(scratch, BLOCK_BYTES)
    begin, end = e.share(rows, part, parts)
    with e.loop(end, begin) as row:
        start = source + row * count * 4
        # the last, incomplete block of a row is added to zeros
        e.copy(scratch, start + blocks * BLOCK_BYTES, rest)
        sums = e.variable(e.load(scratch, BLOCK))
        with e.loop(blocks) as block:
            sums.value = sums.value + e.load(start + block * BLOCK_BYTES, BLOCK)
        e.store(target + row * 4, sum_of_lanes(e, [sums.value]) / divisor)


def local_response_normalization(
    e: Emitter,
    parameters: Value,
    source: Value,
    _second: Value,
    target: Value,
    _scratch: Value,
    part: Value,
    parts: Value,
) -> None:
    """x / (bias + factor * sum of squares) ** beta. Parts share the channels.

    The sum runs over `before` channels before and `after` after each one, of those there are.
    Parameters: channels, pixels, before, after, address of bias, factor and -beta.
    """
    channels, pixels, before, after, constants = e.load_words(parameters, 5)
    bias, factor, exponent = (e.load(constants + 4 * index, FLOAT) for index in range(3))

    def normalize(channel: Value, first: Value, last: Value, offset: Value, kind: ir.Type) -> None:
        lanes = getattr(kind, "count", None)
        added, scale, raised = (
            value if lanes is None else e.splat(value, lanes) for value in (bias, factor, exponent)
        )
        sums = e.variable(e.constant(kind, 0.0))
        with e.loop(last, first) as neighbour:
            x = e.load(source + (neighbour * pixels + offset) * 4, kind)
            sums.value = e.multiply_add(x, x, sums.value)
        base = e.multiply_add(scale, sums.value, added)
        suffix = "f32" if lanes is None else f"v{lanes}f32"
        power = e.of(e.call(f"llvm.pow.{suffix}", kind, base.ir, raised.ir))
        place = (channel * pixels + offset) * 4
        e.store(target + place, e.load(source + place, kind) * power)

    begin, end = e.share(channels, part, parts)
    blocks = pixels // LANES
    with e.loop(end, begin) as channel:
        first = e.greatest(channel - before, e.word(0))
        last = e.least(channel + after + 1, channels)
        with e.loop(blocks) as block:
            normalize(channel, first, last, block * LANES, BLOCK)
        with e.loop(pixels, blocks * LANES) as pixel:
            normalize(channel, first, last, pixel, FLOAT)

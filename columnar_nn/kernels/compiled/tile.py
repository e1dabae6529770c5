"""The microkernel of every convolution: a tile of pixels x 16 filters kept in registers.

For P pixels and 16 filters it sums input[pixel][channel] * filter[channel][0:16] over a nest of
loops. Pixels lie a constant number of bytes apart (64 times the stride in nchw16c, 4 times the
stride in planar images), so each value is a broadcast from a constant displacement, and the
filters are read in sequence. All loops over shapes are run-time arguments: one microkernel
serves every layer. Per input channel AVX2 issues two filter loads, P broadcasts, 2 P
multiply-adds; AVX-512 one load and P multiply-adds that broadcast from memory.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from columnar_nn.kernels import host
from columnar_nn.kernels.compiled import simd
from columnar_nn.kernels.compiled.simd import FLOAT, INT32, INT64, offset
from columnar_nn.kernels.host import LANES

UNROLL = 4
"""Channels a loop step handles; 1 costs 6 %, 16 gains nothing and compiles four times as long."""


def _accumulate(builder, accumulators, source, filters, loops, products, filter_bytes):
    """Runs a nest of loops that add products to accumulators[pixel][vector] (stack slots).

    `loops` holds (count, bytes the input advances), outermost first. In the innermost,
    products(input address, filter address, sums) updates the sums in place, and the filters
    advance `filter_bytes`.
    """
    filter_slot = cgutils.alloca_once_value(builder, filters)

    def nest(source, depth):
        if depth < len(loops):
            count, step = loops[depth]
            with cgutils.for_range(builder, count, intp=INT64) as loop:
                nest(builder.add(source, builder.mul(loop.index, step)), depth + 1)
            return
        weights = builder.load(filter_slot)
        sums = [[builder.load(slot) for slot in slots] for slots in accumulators]
        products(source, weights, sums)
        for slots, values in zip(accumulators, sums, strict=True):
            for slot, value in zip(slots, values, strict=True):
                builder.store(value, slot)
        builder.store(offset(builder, weights, filter_bytes), filter_slot)

    nest(source, 0)


def _rows(builder, address):
    """A row of 16 floats as the vectors it takes."""
    width = host.vector_width()
    return [
        simd.load(builder, offset(builder, address, 4 * start), simd.vector_of(width))
        for start in range(0, LANES, width)
    ]


def _broadcast_products(builder, displacement, channels):
    """Products of each pixel's consecutive channels with consecutive rows of 16 filters."""

    def products(source, weights, sums):
        for channel in range(channels):
            rows = _rows(builder, offset(builder, weights, 4 * LANES * channel))
            for pixel, values in enumerate(sums):
                place = offset(builder, source, displacement * pixel + 4 * channel)
                value = simd.load(builder, place, FLOAT)
                value = simd.broadcast(builder, value, host.vector_width())
                for part, row in enumerate(rows):
                    values[part] = simd.multiply_add(builder, value, row, values[part])

    return products


def _lane_products(builder, displacement):
    """Products of each pixel's 16 channels with 16 weights, lane by lane."""

    def products(source, weights, sums):
        rows = _rows(builder, weights)
        for pixel, values in enumerate(sums):
            channels = _rows(builder, offset(builder, source, displacement * pixel))
            for part, (row, lanes) in enumerate(zip(rows, channels, strict=True)):
                values[part] = simd.multiply_add(builder, lanes, row, values[part])

    return products


def _accumulate_channels(builder, displacement, inner, accumulators, source, filters, loops):
    """Sums `inner` channels of each pixel, UNROLL at a time, inside `loops`."""
    unroll = UNROLL if inner % UNROLL == 0 else inner
    if inner > unroll:
        loops = (*loops, (INT64(inner // unroll), INT64(4 * unroll)))
    products = _broadcast_products(builder, displacement, unroll)
    _accumulate(builder, accumulators, source, filters, loops, products, 4 * LANES * unroll)


def _for_each_size(builder, pixels, emit):
    """A switch over the number of pixels, 1 to the most that fit; emit(size) makes each case."""
    after = builder.append_basic_block("after")
    unreachable = builder.append_basic_block("impossible")
    switch = builder.switch(pixels, unreachable)
    builder.position_at_end(unreachable)
    builder.unreachable()
    for size in range(1, host.tile_pixels() + 1):
        block = builder.append_basic_block(f"pixels{size}")
        switch.add_case(INT64(size), block)
        builder.position_at_end(block)
        emit(size)
        builder.branch(after)
    builder.position_at_end(after)


def _slots(builder):
    """Stack slots of the accumulators, which LLVM turns into registers."""
    width = host.vector_width()
    vector = simd.vector_of(width)
    return [
        [cgutils.alloca_once(builder, vector) for _ in range(LANES // width)]
        for _ in range(host.tile_pixels())
    ]


def _sum_of_lanes(builder, parts):
    """The sum of all lanes of some vectors, halved again and again."""
    total = parts[0]
    for part in parts[1:]:
        total = builder.fadd(total, part)
    while total.type.count > 1:
        half = total.type.count // 2
        none = ir.Constant(total.type, ir.Undefined)
        low, high = (
            builder.shuffle_vector(
                total, none, ir.Constant(simd.vector_of(half, INT32), list(lanes))
            )
            for lanes in (range(half), range(half, 2 * half))
        )
        total = builder.fadd(low, high)
    return builder.extract_element(total, INT32(0))


def convolve_tile(kind: str, displacement: int, inner: int):
    """Intrinsic (pixels, input, filters, n0, s0, n1, s1, n2, s2, bias, residual, output, low,
    high): output = clamp(bias + sum + residual) for pixels 64 bytes apart in output and residual
    (0: none), `displacement` in the input, whose address advances s bytes in each of n steps.

    kind "channels" sums over `inner` consecutive channels in each step and gives 16 filters;
    "lanes" multiplies 16 channels by a weight each (depthwise) and gives these channels; "sum"
    does the same and sums the channels too: one filter, one float of output.
    """

    @intrinsic
    def product(
        typing_context,
        pixels,
        source,
        filters,
        n0,
        s0,
        n1,
        s1,
        n2,
        s2,
        bias,
        residual,
        target,
        low,
        high,
    ):
        signature = types.void(*[types.int64] * 12, types.float32, types.float32)

        def codegen(context, builder, _signature, values):
            pixels, source, filters, n0, s0, n1, s1, n2, s2, bias, residual, target, low, high = (
                values
            )
            loops = ((n0, s0), (n1, s1), (n2, s2))
            all_slots = _slots(builder)
            if kind != "sum":
                low, high = (
                    simd.broadcast(builder, bound, host.vector_width()) for bound in (low, high)
                )

            def emit(size):
                slots = all_slots[:size]
                start = _rows(builder, bias) if kind != "sum" else _zeros()
                for pixel_slots in slots:
                    for slot, value in zip(pixel_slots, start, strict=True):
                        builder.store(value, slot)
                if kind == "channels":
                    _accumulate_channels(
                        builder, displacement, inner, slots, source, filters, loops
                    )
                else:
                    products = _lane_products(builder, displacement)
                    _accumulate(builder, slots, source, filters, loops, products, 4 * LANES)
                results = _load_slots(builder, slots)
                if kind == "sum":
                    constant = simd.load(builder, bias, FLOAT)
                    results = [
                        [builder.fadd(constant, _sum_of_lanes(builder, parts))] for parts in results
                    ]
                stored = list(zip(_places(results), _flat(finals[:size]), strict=True))
                for (_, slot), value in zip(stored, _flat(results), strict=True):
                    builder.store(value, slot)
                with builder.if_then(builder.icmp_signed("!=", residual, INT64(0))):
                    for place, slot in stored:
                        value = builder.load(slot)
                        more = simd.load(builder, offset(builder, residual, place), value.type)
                        builder.store(builder.fadd(value, more), slot)
                for place, slot in stored:
                    value = simd.clamp(builder, builder.load(slot), low, high)
                    simd.store(builder, value, offset(builder, target, place))

            finals = (
                [[cgutils.alloca_once(builder, FLOAT)] for _ in all_slots]
                if kind == "sum"
                else all_slots
            )
            _for_each_size(builder, pixels, emit)
            return context.get_dummy_value()

        return signature, codegen

    return product


def _zeros():
    width = host.vector_width()
    return [ir.Constant(simd.vector_of(width), None)] * (LANES // width)


def _load_slots(builder, slots):
    return [[builder.load(slot) for slot in pixel_slots] for pixel_slots in slots]


def _flat(pixels):
    return [part for parts in pixels for part in parts]


def _places(pixels):
    """Byte offsets of the vectors, or floats, of pixels 64 bytes apart."""
    width = host.vector_width()
    return [
        4 * (LANES * pixel + width * part)
        for pixel, parts in enumerate(pixels)
        for part in range(len(parts))
    ]


def multiply_tile():
    """Intrinsic (rows, left, right, blocks, block step, target): a matrix product for Winograd.

    target[row][16] = sum over channels of left[row][channel] * right[channel][16]; rows lie 64
    bytes apart, `left` advances `block step` bytes after each 16 channels.
    """

    @intrinsic
    def product(typing_context, rows, left, right, blocks, step, target):
        signature = types.void(*[types.int64] * 6)

        def codegen(context, builder, _signature, values):
            rows, left, right, blocks, step, target = values
            all_slots = _slots(builder)

            def emit(size):
                slots = all_slots[:size]
                for slot in _flat(slots):
                    builder.store(_zeros()[0], slot)
                loops = ((blocks, step),)
                _accumulate_channels(builder, 64, LANES, slots, left, right, loops)
                for place, slot in zip(_places(slots), _flat(slots), strict=True):
                    simd.store(builder, builder.load(slot), offset(builder, target, place))

            _for_each_size(builder, rows, emit)
            return context.get_dummy_value()

        return signature, codegen

    return product

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
from columnar_nn.kernels.compiled.simd import FLOAT, INT64, offset
from columnar_nn.kernels.host import LANES

UNROLL = 4
"""Channels a loop step handles; 1 costs 6 %, 16 gains nothing and compiles four times as long."""


def _accumulate(builder, pixels, displacement, inner, accumulators, source, filters, loops):
    """Adds the products of a nest of loops to accumulators[pixel][vector] (stack slots).

    `loops` holds (count, bytes the input advances), outermost first; inside them `inner`
    consecutive floats of each pixel meet `inner` consecutive rows of 16 filters.
    """
    width = host.vector_width()
    vector = simd.vector_of(width)
    filter_slot = cgutils.alloca_once_value(builder, filters)

    def nest(source, depth):
        if depth < len(loops):
            count, step = loops[depth]
            with cgutils.for_range(builder, count, intp=INT64) as loop:
                nest(builder.add(source, builder.mul(loop.index, step)), depth + 1)
            return
        unroll = UNROLL if inner % UNROLL == 0 else inner
        steps = INT64(inner // unroll)
        if inner == unroll:
            unrolled(source, unroll)
            return
        with cgutils.for_range(builder, steps, intp=INT64) as loop:
            unrolled(builder.add(source, builder.mul(loop.index, INT64(4 * unroll))), unroll)

    def unrolled(source, unroll):
        weights = builder.load(filter_slot)
        values = [
            [builder.load(slot) for slot in pixel_slots] for pixel_slots in accumulators[:pixels]
        ]
        for channel in range(unroll):
            rows = [
                simd.load(builder, offset(builder, weights, 4 * (LANES * channel + start)), vector)
                for start in range(0, LANES, width)
            ]
            for pixel in range(pixels):
                place = offset(builder, source, displacement * pixel + 4 * channel)
                value = simd.broadcast(builder, simd.load(builder, place, FLOAT), width)
                for part, row in enumerate(rows):
                    values[pixel][part] = simd.multiply_add(
                        builder, value, row, values[pixel][part]
                    )
        for pixel in range(pixels):
            for part, slot in enumerate(accumulators[pixel]):
                builder.store(values[pixel][part], slot)
        builder.store(offset(builder, weights, 4 * LANES * unroll), filter_slot)

    nest(source, 0)


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


def convolve_tile(displacement: int, inner: int):
    """Intrinsic (pixels, input, filters, n0, s0, n1, s1, n2, s2, bias, residual, output, low,
    high): output[pixel][16] = clamp(bias + sum + residual) for pixels 64 bytes apart in output
    and residual; residual 0 is none. The input address advances s bytes in each of n steps.
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
            width = host.vector_width()
            vector = simd.vector_of(width)
            slots = _slots(builder)
            low = simd.broadcast(builder, low, width)
            high = simd.broadcast(builder, high, width)

            def emit(size):
                for pixel_slots in slots[:size]:
                    for part, slot in enumerate(pixel_slots):
                        place = offset(builder, bias, 4 * width * part)
                        builder.store(simd.load(builder, place, vector), slot)
                loops = ((n0, s0), (n1, s1), (n2, s2))
                _accumulate(builder, size, displacement, inner, slots, source, filters, loops)
                with builder.if_then(builder.icmp_signed("!=", residual, INT64(0))):
                    for pixel, part, slot in _each(slots, size):
                        place = offset(builder, residual, 4 * (LANES * pixel + width * part))
                        more = simd.load(builder, place, vector)
                        builder.store(builder.fadd(builder.load(slot), more), slot)
                for pixel, part, slot in _each(slots, size):
                    place = offset(builder, target, 4 * (LANES * pixel + width * part))
                    value = simd.clamp(builder, builder.load(slot), low, high)
                    simd.store(builder, value, place)

            _for_each_size(builder, pixels, emit)
            return context.get_dummy_value()

        return signature, codegen

    return product


def _each(slots, size):
    return [
        (pixel, part, slot)
        for pixel, pixel_slots in enumerate(slots[:size])
        for part, slot in enumerate(pixel_slots)
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
            width = host.vector_width()
            vector = simd.vector_of(width)
            slots = _slots(builder)

            def emit(size):
                for _, _, slot in _each(slots, size):
                    builder.store(ir.Constant(vector, None), slot)
                _accumulate(builder, size, 64, LANES, slots, left, right, ((blocks, step),))
                for row, part, slot in _each(slots, size):
                    place = offset(builder, target, 4 * (LANES * row + width * part))
                    simd.store(builder, builder.load(slot), place)

            _for_each_size(builder, rows, emit)
            return context.get_dummy_value()

        return signature, codegen

    return product

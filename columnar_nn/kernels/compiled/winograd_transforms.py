"""Winograd's transforms of a tile, unrolled into sums of vectors: 16 channels at a time.

Both transforms are two passes of a small matrix, over columns and then rows. The first pass is
done for one or two rows of its result at once, reading the tile again for the next ones, so
that nothing is kept but what fits in the registers: a whole tile of 36 or 64 vectors does not.
Opposite points share their even and odd parts.
"""

from collections.abc import Callable, Sequence
from fractions import Fraction

from numba import types
from numba.extending import intrinsic

from columnar_nn.kernels import host
from columnar_nn.kernels.compiled import simd
from columnar_nn.kernels.compiled.simd import INT64, offset
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.toom_cook import Transform, transform


class Sums:
    """Emits sums of multiples of vectors."""

    def __init__(self, builder) -> None:
        self.builder = builder
        self.vector = simd.vector_of(host.vector_width())

    def plus(self, total, factor: Fraction, value):
        """total + factor * value, where total None is zero."""
        builder = self.builder
        if total is None:
            if factor == 1:
                return value
            return builder.fmul(value, simd.splat(self.vector, float(factor)))
        if factor == 1:
            return builder.fadd(total, value)
        if factor == -1:
            return builder.fsub(total, value)
        return simd.multiply_add(builder, value, simd.splat(self.vector, float(factor)), total)

    def of(self, factors: Sequence[Fraction], values: Callable[[int], object]):
        """Sum over k of factors[k] * values(k), starting from a factor of 1 if there is one."""
        terms = [(factor, k) for k, factor in enumerate(factors) if factor]
        terms.sort(key=lambda term: term[0] != 1)
        total = None
        for factor, k in terms:
            total = self.plus(total, factor, values(k))
        return total

    def opposites(
        self, plus: Sequence[Fraction], minus: Sequence[Fraction], values: Callable[[int], object]
    ):
        """Both sums of a pair whose factors differ in the sign of every other one."""
        even = [(p + q) / 2 for p, q in zip(plus, minus, strict=True)]
        odd = [(p - q) / 2 for p, q in zip(plus, minus, strict=True)]
        lead = next(factor for factor in reversed(odd) if factor)
        common = self.of(even, values)
        difference = self.of([factor / lead for factor in odd], values)
        return self.plus(common, lead, difference), self.plus(common, -lead, difference)


def _input_rows(sums: Sums, matrices: Transform, values: Callable[[int], object]) -> dict:
    """All n sums of B^T by their index."""
    rows = {k: sums.of(matrices.inputs[k], values) for k in matrices.alone}
    for p, q in matrices.pairs:
        rows[p], rows[q] = sums.opposites(matrices.inputs[p], matrices.inputs[q], values)
    return rows


def input_transform(m: int):
    """Intrinsic (input, bytes a row, target, bytes a position): V = B^T d B of one tile.

    Reads (m + 2) x (m + 2) pixels 64 bytes apart; position (i, j) goes to target + (i n + j)
    times bytes a position.
    """
    matrices = transform(m)

    @intrinsic
    def apply(typing_context, source, row_bytes, target, position_bytes):
        def codegen(context, builder, _signature, arguments):
            source, row_bytes, target, position_bytes = arguments
            n, width = matrices.n, host.vector_width()
            sums = Sums(builder)
            rows = [builder.add(source, builder.mul(row_bytes, INT64(i))) for i in range(n)]
            groups = [(k,) for k in matrices.alone] + list(matrices.pairs)
            for start in range(0, LANES, width):

                def pixel(i, j, start=start):
                    return simd.load(
                        builder, offset(builder, rows[i], 64 * j + 4 * start), sums.vector
                    )

                for group in groups:
                    columns: list[list] = [[] for _ in group]
                    for j in range(n):
                        loaded: dict[int, object] = {}

                        def value(i, j=j, loaded=loaded, pixel=pixel):
                            if i not in loaded:
                                loaded[i] = pixel(i, j)
                            return loaded[i]

                        if len(group) == 1:
                            results = (sums.of(matrices.inputs[group[0]], value),)
                        else:
                            results = sums.opposites(*(matrices.inputs[k] for k in group), value)
                        for kept, result in zip(columns, results, strict=True):
                            kept.append(result)
                    for k, kept in zip(group, columns, strict=True):
                        for j, result in _input_rows(sums, matrices, kept.__getitem__).items():
                            place = builder.add(
                                target, builder.mul(position_bytes, INT64(k * n + j))
                            )
                            simd.store(builder, result, offset(builder, place, 4 * start))
            return context.get_dummy_value()

        return types.void(*[types.int64] * 4), codegen

    return apply


def _output_rows(
    sums: Sums, matrices: Transform, powers: Sequence[int], values: Callable[[int], object]
) -> list:
    """Rows of A^T of the given powers: opposite points enter as their sum or difference."""
    halves = {}
    rows = []
    for power in powers:
        total = None
        factors = matrices.outputs[power]
        for p, q in matrices.pairs:
            odd = power % 2
            if (p, odd) not in halves:
                join = sums.builder.fsub if odd else sums.builder.fadd
                halves[p, odd] = join(values(p), values(q))
            total = sums.plus(total, factors[p], halves[p, odd])
        for k in matrices.alone:
            if factors[k]:
                total = sums.plus(total, factors[k], values(k))
        rows.append(total)
    return rows


def output_transform(m: int):
    """Intrinsic (products, bytes a position, bias, residual, output, bytes a row, low, high):
    output = clamp(A^T M A + bias + residual) of one tile and 16 filters.

    Pixels of output and residual (0: none) lie 64 bytes apart, rows `bytes a row`.
    """
    matrices = transform(m)

    @intrinsic
    def apply(
        typing_context, products, position_bytes, bias, residual, target, row_bytes, low, high
    ):
        def codegen(context, builder, _signature, arguments):
            products, position_bytes, bias, residual, target, row_bytes, low, high = arguments
            n, width = matrices.n, host.vector_width()
            sums = Sums(builder)
            low = simd.broadcast(builder, low, width)
            high = simd.broadcast(builder, high, width)

            def half(powers, start, with_residual):
                columns: list[list] = [[] for _ in powers]
                for j in range(n):
                    loaded: dict[int, object] = {}

                    def value(i, j=j, loaded=loaded):
                        if i not in loaded:
                            place = builder.add(
                                products, builder.mul(position_bytes, INT64(i * n + j))
                            )
                            loaded[i] = simd.load(
                                builder, offset(builder, place, 4 * start), sums.vector
                            )
                        return loaded[i]

                    results = _output_rows(sums, matrices, powers, value)
                    for kept, result in zip(columns, results, strict=True):
                        kept.append(result)
                offsets = simd.load(builder, offset(builder, bias, 4 * start), sums.vector)
                for power, kept in zip(powers, columns, strict=True):
                    line = builder.mul(row_bytes, INT64(power))
                    results = _output_rows(sums, matrices, range(m), kept.__getitem__)
                    for x, result in enumerate(results):
                        value_here = builder.fadd(result, offsets)
                        displacement = 64 * x + 4 * start
                        if with_residual:
                            place = offset(builder, builder.add(residual, line), displacement)
                            value_here = builder.fadd(
                                value_here, simd.load(builder, place, sums.vector)
                            )
                        place = offset(builder, builder.add(target, line), displacement)
                        simd.store(builder, simd.clamp(builder, value_here, low, high), place)

            def whole(with_residual):
                for start in range(0, LANES, width):
                    for parity in range(2):
                        half(range(parity, m, 2), start, with_residual)

            has_residual = builder.icmp_signed("!=", residual, INT64(0))
            with builder.if_else(has_residual) as (then, otherwise):
                with then:
                    whole(True)
                with otherwise:
                    whole(False)
            return context.get_dummy_value()

        return types.void(*[types.int64] * 6, types.float32, types.float32), codegen

    return apply

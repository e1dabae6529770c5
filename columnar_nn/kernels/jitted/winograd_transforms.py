"""Winograd's transforms of a tile, unrolled into sums of vectors: 16 channels at a time.

Both transforms are two passes of a small matrix, over columns and then rows; opposite points
share their even and odd parts. Where AVX-512's 32 registers hold what lies between the passes,
both are unrolled: 5 % of a layer's time for F(4x4). Elsewhere each pass is a loop whose body fits
in the registers, and what lies between goes to the stack: in registers it is 4 to 8 % slower
with AVX2, where they hold a row or two of the result, and no faster for F(6x6) with AVX-512.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import Any

from numba import types

from columnar_nn.kernels import host
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.blocks import number
from columnar_nn.kernels.jitted.compiler import emitted
from columnar_nn.kernels.jitted.emitter import WORD, Emitter, Value
from columnar_nn.kernels.jitted.memory import POINTERS, integer
from columnar_nn.kernels.parameters import BLOCK_BYTES, FLOAT_BYTES
from columnar_nn.kernels.toom_cook import Transform, transform

blocks = POINTERS["block"]


def _plus(e: Emitter, total: Value | None, factor: Fraction, value: Value) -> Value:
    """total + factor * value, where total None is zero."""
    if total is None:
        return value if factor == 1 else value * float(factor)
    if factor == 1:
        return total + value
    if factor == -1:
        return total - value
    return e.multiply_add(value, e.of(value.constant(float(factor))), total)


def _sum(e: Emitter, factors: Sequence[Fraction], values: Sequence[Value]) -> Value:
    """Sum over k of factors[k] * values[k], starting from a factor of 1 if there is one."""
    terms = [(factor, k) for k, factor in enumerate(factors) if factor]
    terms.sort(key=lambda term: term[0] != 1)
    total: Value | None = None
    for factor, k in terms:
        total = _plus(e, total, factor, values[k])
    assert total is not None
    return total


def _opposites(
    e: Emitter, plus: Sequence[Fraction], minus: Sequence[Fraction], values: Sequence[Value]
) -> tuple[Value, Value]:
    """Both sums of a pair whose factors differ in the sign of every other one."""
    even = [(p + q) / 2 for p, q in zip(plus, minus, strict=True)]
    odd = [(p - q) / 2 for p, q in zip(plus, minus, strict=True)]
    lead = next(factor for factor in reversed(odd) if factor)
    common = _sum(e, even, values)
    difference = _sum(e, [factor / lead for factor in odd], values)
    return _plus(e, common, lead, difference), _plus(e, common, -lead, difference)


def input_rows(e: Emitter, matrices: Transform[Fraction], values: Sequence[Value]) -> list[Value]:
    """B^T times a column of n vectors: opposite points share their even and odd parts."""
    rows = {k: _sum(e, matrices.inputs[k], values) for k in matrices.alone}
    for p, q in matrices.pairs:
        rows[p], rows[q] = _opposites(e, matrices.inputs[p], matrices.inputs[q], values)
    return [rows[k] for k in range(matrices.n)]


def output_rows(e: Emitter, matrices: Transform[Fraction], values: Sequence[Value]) -> list[Value]:
    """A^T times a column of n vectors: opposite points enter as their sum or difference."""
    sums = {pair: values[pair[0]] + values[pair[1]] for pair in matrices.pairs}
    differences = {pair: values[pair[0]] - values[pair[1]] for pair in matrices.pairs}
    rows = []
    for power, factors in enumerate(matrices.outputs):
        total: Value | None = None
        for k in matrices.alone:
            if factors[k]:
                total = _plus(e, total, factors[k], values[k])
        for pair in matrices.pairs:
            joined = differences if power % 2 else sums
            total = _plus(e, total, factors[pair[0]], joined[pair])
        assert total is not None
        rows.append(total)
    return rows


def _scratch(e: Emitter, count: int) -> Value:
    """Address of stack memory for `count` vectors."""
    with e.builder.goto_entry_block():
        memory = e.builder.alloca(e.vector, count)
        memory.align = 64
    return e.of(e.builder.ptrtoint(memory, WORD))


def _in_registers(m: int) -> bool:
    return host.vector_width() == LANES and m <= 4


def _input_by_stack(
    e: Emitter, m: int, source: Value, row_bytes: Value, target: Value, position_bytes: Value
) -> None:
    matrices = transform(m, Fraction)
    n = matrices.n
    vector_bytes = FLOAT_BYTES * e.width
    between = _scratch(e, n * n)
    with e.loop(e.word(LANES // e.width)) as part:
        start = part * vector_bytes
        rows = [source + start + row_bytes * i for i in range(n)]
        with e.loop(e.word(n)) as across:
            column = [e.load(row + across * BLOCK_BYTES, e.vector) for row in rows]
            for i, result in enumerate(input_rows(e, matrices, column)):
                e.store(between + across * vector_bytes + i * n * vector_bytes, result)
        with e.loop(e.word(n)) as down:
            line = between + down * (n * vector_bytes)
            row = [e.load(line + j * vector_bytes, e.vector) for j in range(n)]
            place = target + start + down * n * position_bytes
            for j, result in enumerate(input_rows(e, matrices, row)):
                e.store(place + position_bytes * j, result)


def _input_in_registers(
    e: Emitter, m: int, source: Value, row_bytes: Value, target: Value, position_bytes: Value
) -> None:
    """Half of the rows of the result at a time; the tile is read again for the other half."""
    matrices = transform(m, Fraction)
    n = matrices.n
    rows = [source + row_bytes * i for i in range(n)]
    for index, pair in enumerate(matrices.pairs):
        group = [*pair, *matrices.alone[index :: len(matrices.pairs)]]
        lines: list[list[Value]] = [[] for _ in group]
        for x in range(n):
            column = [e.load(row + BLOCK_BYTES * x, e.vector) for row in rows]
            results = input_rows(e, matrices, column)  # those of other groups are not compiled
            for line, k in zip(lines, group, strict=True):
                line.append(results[k])
        for line, k in zip(lines, group, strict=True):
            for j, result in enumerate(input_rows(e, matrices, line)):
                e.store(target + position_bytes * (k * n + j), result)


def input_transform(m: int) -> Any:
    """A function for kernels that transforms (m + 2) x (m + 2) pixels of an input: V = B^T d B.

        transform(source, width, target, position_blocks)

    Rows begin `width` pixels apart; position (i, j) of V is target[(i n + j) * position_blocks].
    """
    emit = _input_in_registers if _in_registers(m) else _input_by_stack

    @emitted(types.none(blocks, integer, blocks, integer))
    def input_of_tile(
        e: Emitter, source: Value, width: Value, target: Value, position_blocks: Value
    ) -> None:
        emit(e, m, source, width * BLOCK_BYTES, target, position_blocks * BLOCK_BYTES)

    return input_of_tile


def _output_by_stack(
    e: Emitter, m: int, products: Value, position_bytes: Value, store: Callable[..., None]
) -> None:
    matrices = transform(m, Fraction)
    n = matrices.n
    vector_bytes = FLOAT_BYTES * e.width
    between = _scratch(e, m * n)
    with e.loop(e.word(LANES // e.width)) as part:
        start = part * vector_bytes
        with e.loop(e.word(n)) as across:
            place = products + start + across * position_bytes
            column = [e.load(place + position_bytes * (i * n), e.vector) for i in range(n)]
            for i, result in enumerate(output_rows(e, matrices, column)):
                e.store(between + across * vector_bytes + i * n * vector_bytes, result)
        with e.loop(e.word(m)) as down:
            line = between + down * (n * vector_bytes)
            row = [e.load(line + j * vector_bytes, e.vector) for j in range(n)]
            store(down, start, output_rows(e, matrices, row))


def _output_in_registers(
    e: Emitter, m: int, products: Value, position_bytes: Value, store: Callable[..., None]
) -> None:
    """Rows of products are summed along x, and each is added at once to the rows of the output."""
    matrices = transform(m, Fraction)
    n = matrices.n

    def line(i: int) -> list[Value]:
        places = [products + position_bytes * (i * n + j) for j in range(n)]
        return output_rows(e, matrices, [e.load(place, e.vector) for place in places])

    columns = list(zip(*map(line, range(n)), strict=True))
    results = [output_rows(e, matrices, column) for column in columns]
    for y in range(m):
        store(e.word(y), e.word(0), [column[y] for column in results])


def output_transform(m: int) -> Any:
    """A function for kernels that transforms products back to m x m pixels of 16 filters.

        transform(products, position_blocks, bias, residual, target, width, low, high)

    target = at least low, at most high of A^T M A + bias + residual (if there is one). Positions of
    M lie `position_blocks` apart; rows of target and residual begin `width` pixels apart.
    """
    emit = _output_in_registers if _in_registers(m) else _output_by_stack

    @emitted(types.none(blocks, integer, blocks, blocks, blocks, integer, number, number))
    def output_of_tile(
        e: Emitter,
        products: Value,
        position_blocks: Value,
        bias: Value,
        residual: Value,
        target: Value,
        width: Value,
        low: Value,
        high: Value,
    ) -> None:
        row_bytes = width * BLOCK_BYTES
        lowest, highest = e.splat(low, e.width), e.splat(high, e.width)

        def store(y: Value, start: Value, values: Sequence[Value]) -> None:
            offsets = e.load(bias + start, e.vector)
            slots = [e.variable(value + offsets) for value in values]
            displacement = y * row_bytes + start
            with e.when(residual.differs(0)):
                for x, slot in enumerate(slots):
                    more = e.load(residual + displacement + BLOCK_BYTES * x, e.vector)
                    slot.value = slot.value + more
            for x, slot in enumerate(slots):
                place = target + displacement + BLOCK_BYTES * x
                e.store(place, e.clamp(slot.value, lowest, highest))

        emit(e, m, products, position_blocks * BLOCK_BYTES, store)

    return output_of_tile

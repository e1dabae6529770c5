"""Winograd's transforms of a tile, unrolled into sums of vectors: 16 channels at a time.

Both transforms are two passes of a small matrix, over columns and then rows. The first pass is
done for one or two rows of its result at once, reading the tile again for the next ones, so
that nothing is kept but what fits in the registers: a whole tile of 36 or 64 vectors does not.
Opposite points share their even and odd parts.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from fractions import Fraction

from columnar_nn.kernels.emit.emitter import Emitter, Value
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.toom_cook import Transform, transform

Values = Callable[[int], Value]
"""The k-th vector of a column or row."""


def _plus(e: Emitter, total: Value | None, factor: Fraction, value: Value) -> Value:
    """total + factor * value, where total None is zero."""
    if total is None:
        return value if factor == 1 else value * float(factor)
    if factor == 1:
        return total + value
    if factor == -1:
        return total - value
    return e.multiply_add(value, e.constant(e.vector, float(factor)), total)


def _sum(e: Emitter, factors: Sequence[Fraction], values: Values) -> Value:
    """Sum over k of factors[k] * values(k), starting from a factor of 1 if there is one."""
    terms = [(factor, k) for k, factor in enumerate(factors) if factor]
    terms.sort(key=lambda term: term[0] != 1)
    total: Value | None = None
    for factor, k in terms:
        total = _plus(e, total, factor, values(k))
    assert total is not None
    return total


def _opposites(
    e: Emitter, plus: Sequence[Fraction], minus: Sequence[Fraction], values: Values
) -> tuple[Value, Value]:
    """Both sums of a pair whose factors differ in the sign of every other one."""
    even = [(p + q) / 2 for p, q in zip(plus, minus, strict=True)]
    odd = [(p - q) / 2 for p, q in zip(plus, minus, strict=True)]
    lead = next(factor for factor in reversed(odd) if factor)
    common = _sum(e, even, values)
    difference = _sum(e, [factor / lead for factor in odd], values)
    return _plus(e, common, lead, difference), _plus(e, common, -lead, difference)


def _input_rows(
    e: Emitter, matrices: Transform, group: Sequence[int], values: Values
) -> list[Value]:
    """Rows of B^T: one that stands alone, or both of a pair."""
    if len(group) == 1:
        return [_sum(e, matrices.inputs[group[0]], values)]
    plus, minus = group
    return list(_opposites(e, matrices.inputs[plus], matrices.inputs[minus], values))


def _output_rows(
    e: Emitter, matrices: Transform, powers: Sequence[int], values: Values
) -> list[Value]:
    """Rows of A^T of some powers: opposite points enter as their sum or difference."""

    @functools.cache
    def joined(pair: tuple[int, int], odd: int) -> Value:
        p, q = (values(k) for k in pair)
        return p - q if odd else p + q

    rows = []
    for power in powers:
        factors = matrices.outputs[power]
        total: Value | None = None
        for pair in matrices.pairs:
            total = _plus(e, total, factors[pair[0]], joined(pair, power % 2))
        for k in matrices.alone:
            if factors[k]:
                total = _plus(e, total, factors[k], values(k))
        assert total is not None
        rows.append(total)
    return rows


def input_transform(
    e: Emitter, m: int, source: Value, row_bytes: Value, target: Value, position_bytes: int
) -> None:
    """V = B^T d B of one tile of (m + 2) x (m + 2) pixels 64 bytes apart.

    Position (i, j) goes to target + (i n + j) * position_bytes.
    """
    matrices = transform(m)
    n = matrices.n
    groups: list[tuple[int, ...]] = [(k,) for k in matrices.alone]
    groups += matrices.pairs
    with e.loop(e.word(LANES // e.width)) as part:
        start = part * (4 * e.width)
        rows = [source + start + row_bytes * i for i in range(n)]
        positions = target + start
        for group in groups:
            columns = []
            for j in range(n):
                pixel = functools.cache(lambda i, j=j: e.load(rows[i] + 64 * j, e.vector))
                columns.append(_input_rows(e, matrices, group, pixel))
            for index, k in enumerate(group):
                row = [column[index] for column in columns]
                for across in groups:
                    results = _input_rows(e, matrices, across, row.__getitem__)
                    for j, result in zip(across, results, strict=True):
                        e.store(positions + position_bytes * (k * n + j), result)


def output_transform(
    e: Emitter,
    m: int,
    products: Value,
    position_bytes: int,
    bias: Value,
    residual: Value,
    target: Value,
    row_bytes: Value,
    low: Value,
    high: Value,
) -> None:
    """output = clamp(A^T M A + bias + residual) of one tile and 16 filters.

    Pixels of output and residual (0: none) lie 64 bytes apart, rows `row_bytes`.
    """
    matrices = transform(m)
    n = matrices.n
    with e.loop(e.word(LANES // e.width)) as part:
        start = part * (4 * e.width)
        positions = products + start
        offsets = e.load(bias + start, e.vector)
        for parity in range(2):
            powers = range(parity, m, 2)
            columns = []
            for j in range(n):
                value = functools.cache(
                    lambda i, j=j: e.load(positions + position_bytes * (i * n + j), e.vector)
                )
                columns.append(_output_rows(e, matrices, powers, value))
            for index, power in enumerate(powers):
                row = [column[index] for column in columns]
                results = _output_rows(e, matrices, range(m), row.__getitem__)
                slots = [e.variable(result + offsets) for result in results]
                line = row_bytes * power + start
                with e.when(residual.differs(0)):
                    for x, slot in enumerate(slots):
                        slot.value = slot.value + e.load(residual + line + 64 * x, e.vector)
                for x, slot in enumerate(slots):
                    e.store(target + line + 64 * x, e.clamp(slot.value, low, high))

"""Products of planar matrices: 16 columns of the result at a time, kept in registers."""

from __future__ import annotations

from columnar_nn.kernels.emit.emitter import BLOCK, FLOAT, Emitter, Value
from columnar_nn.kernels.host import LANES

BLOCK_BYTES = 4 * LANES


def product(
    e: Emitter,
    parameters: Value,
    source: Value,
    second: Value,
    target: Value,
    _scratch: Value,
    part: Value,
    parts: Value,
    constant: str,
) -> None:
    """output[p] = left[p] times right[p] for each product p. Parts share the rows of all.

    The operands are the input and the second input, or with `constant` "left" or "right" a
    constant and the input. Parameters: products, rows, inner size, columns, addresses of the
    byte offsets of each product's left and right matrix, address of the constant.
    """
    products, rows, inner, columns, left_offsets, right_offsets, place = e.load_words(parameters, 7)
    left, right = {"left": (place, source), "right": (source, place), "": (source, second)}[
        constant
    ]
    blocks = columns // LANES
    begin, end = e.share(products * rows, part, parts)
    with e.loop(end, begin) as index:
        number = index // rows
        row = left + e.load_word(left_offsets + number * 8) + index % rows * inner * 4
        matrix = right + e.load_word(right_offsets + number * 8)
        goal = target + index * columns * 4
        with e.loop(blocks) as block:
            sums = e.variable(e.constant(BLOCK, 0.0))
            with e.loop(inner) as step:
                value = e.splat(e.load(row + step * 4, FLOAT), LANES)
                weights = e.load(matrix + step * columns * 4 + block * BLOCK_BYTES, BLOCK)
                sums.value = e.multiply_add(value, weights, sums.value)
            e.store(goal + block * BLOCK_BYTES, sums.value)
        with e.loop(columns, blocks * LANES) as column:
            total = e.variable(e.constant(FLOAT, 0.0))
            with e.loop(inner) as step:
                weight = e.load(matrix + (step * columns + column) * 4, FLOAT)
                value = e.load(row + step * 4, FLOAT)
                total.value = e.multiply_add(value, weight, total.value)
            e.store(goal + column * 4, total.value)

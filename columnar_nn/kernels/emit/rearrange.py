"""Elements of a planar tensor in other places: one loop for every operator that only moves them."""

from __future__ import annotations

from columnar_nn.kernels.emit.emitter import FLOAT, Emitter, Value


def rearrange(
    e: Emitter,
    parameters: Value,
    source: Value,
    _second: Value,
    target: Value,
    _scratch: Value,
    part: Value,
    parts: Value,
    contiguous: int,
) -> None:
    """output[row, column] = input[rows[row] + columns[column]]. Parts share the rows.

    Parameters: number of rows and of columns, addresses of both tables (int64, in bytes), address
    of the value for places whose sum is negative. With `contiguous` the columns of a row follow
    each other in the input too, so that only the first one is looked up.
    """
    num_rows, num_columns, rows, columns, fill_place = e.load_words(parameters, 5)
    fill = e.load(fill_place, FLOAT)
    begin, end = e.share(num_rows, part, parts)
    with e.loop(end, begin) as row:
        start = e.load_word(rows + row * 8)
        goal = target + row * num_columns * 4

        def copy_run(start: Value = start, goal: Value = goal) -> None:
            e.copy(goal, source + start + e.load_word(columns), num_columns * 4)

        def copy_each(start: Value = start, goal: Value = goal) -> None:
            with e.loop(num_columns) as column:
                offset = start + e.load_word(columns + column * 8)
                inside = offset >= 0
                # any address that may be read will do where the value is not used
                value = e.load(source + inside.select(offset, e.word(0)), FLOAT)
                e.store(goal + column * 4, inside.select(value, fill))

        if contiguous:
            e.either(start >= 0, copy_run, copy_each)
        else:
            copy_each()

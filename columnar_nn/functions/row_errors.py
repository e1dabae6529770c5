"""Columns of which some rows may have failed: an error is kept with its row until it is needed.

Velox evaluates `if(k <> 0, 10 / k, 0)` on the rows that need it, and forgets the error of a
conjunct on rows that another conjunct excludes. Whole columns are computed here, so a row that
fails is null and marked, and the functions that need not evaluate everything pass over its mark.

Source: Velox `EvalCtx`, `ConjunctExpr`, `SwitchExpr`, `CoalesceExpr`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from columnar_nn.data import compute as pc


@dataclass(frozen=True)
class Rows:
    """Values, an Arrow array or a scalar for all rows, and which of them failed.

    `failed` is None where none did, else BOOLEAN without nulls; such values are null. `reason` is
    that of the first.
    """

    values: Any
    failed: Any = None
    reason: str = ""

    def failure(self, where: Any = None) -> Any:
        """Rows that failed, of those in `where` (all if None); None if there is none."""
        if self.failed is None or where is None:
            return self.failed
        return pc.and_(self.failed, where)


def picked(condition: Any, left: Any, right: Any) -> Any:
    """pc.if_else, whose text of pyarrow 19 is not written where a null constant meets a slice."""
    sides = [left, right]
    for index, side in enumerate(sides):
        other = sides[1 - index]
        if isinstance(side, pa.Scalar) and not side.is_valid and not isinstance(other, pa.Scalar):
            sides[index] = pa.nulls(len(other), side.type)
    return pc.if_else(condition, *sides)


def nulled(refused: Any, values: Any) -> Any:
    """Null where `refused` is true."""
    return picked(refused, pa.scalar(None, values.type), values)


def computed(
    compute: Callable[..., Any],
    failing: Callable[..., Any] | None,
    inputs: Sequence[Rows],
) -> Rows:
    """What `compute` makes of the inputs' values; rows of which it refuses the values have failed.

    It refuses by pa.ArrowInvalid. `failing` gives the rows that it refuses; without, they are found
    by halves. A null argument makes the result null: no other is needed then.
    """
    values = [rows.values for rows in inputs]
    failed, reason = either(inputs, failures_without_nulls(inputs))
    try:
        return Rows(compute(*values), failed, reason)
    except pa.ArrowInvalid as error:
        refused = failing(*values) if failing else _by_halves(compute, values)
        refused = pc.fill_null(refused, False)
        kept = [nulled(refused, value) for value in values]
        failed = refused if failed is None else pc.or_(failed, refused)
        return Rows(compute(*kept), failed, reason or str(error))


def either(inputs: Sequence[Rows], failures: Sequence[Any] | None = None) -> tuple[Any, str]:
    """Rows where any of `failures` (those of the inputs) is true, and the first reason."""
    failed, reason = None, ""
    for rows, failure in zip(inputs, failures or [rows.failed for rows in inputs], strict=True):
        if failure is not None:
            failed = failure if failed is None else pc.or_(failed, failure)
            reason = reason or rows.reason
    return failed, reason


def failures_without_nulls(inputs: Sequence[Rows]) -> list[Any]:
    """Of each input, the rows that failed where no other is null."""
    if all(rows.failed is None for rows in inputs):
        return [None] * len(inputs)
    null = None
    for rows in inputs:
        missing = pc.is_null(rows.values)
        if rows.failed is not None:
            missing = pc.and_(missing, pc.invert(rows.failed))
        null = missing if null is None else pc.or_(null, missing)
    return [rows.failure(pc.invert(null)) for rows in inputs]


def conjunction(left: Rows, right: Rows) -> Rows:
    """left AND right: an error does not matter where the other side is false."""
    return _connected(left, right, pc.and_kleene, pc.invert)


def disjunction(left: Rows, right: Rows) -> Rows:
    """left OR right: an error does not matter where the other side is true."""
    return _connected(left, right, pc.or_kleene, lambda values: values)


def _connected(
    left: Rows, right: Rows, connect: Callable[..., Any], decides: Callable[..., Any]
) -> Rows:
    needed = [pc.invert(_certain(decides(side.values))) for side in (right, left)]
    failed, reason = either((left, right), (left.failure(needed[0]), right.failure(needed[1])))
    return Rows(connect(left.values, right.values), failed, reason)


def choice(*inputs: Rows) -> Rows:
    """if(condition, value, ..., else): each row needs its conditions up to a true one, its value.

    Without an else at the end a row without a true condition is null.
    """
    result = inputs[-1] if len(inputs) % 2 else None
    for condition, value in reversed(list(zip(inputs[0::2], inputs[1::2], strict=False))):
        true = _certain(condition.values)
        if result is None:
            result = Rows(pa.scalar(None, value.values.type))
        failures = (condition.failed, value.failure(true), result.failure(pc.invert(true)))
        failed, reason = either((condition, value, result), failures)
        result = Rows(picked(true, value.values, result.values), failed, reason)
    assert result is not None
    return result


def first_valid(*inputs: Rows) -> Rows:
    """coalesce: the first that is not null; what comes after it is not needed."""
    result = inputs[-1]
    for rows in reversed(inputs[:-1]):
        missing = pc.is_null(rows.values)
        failed, reason = either((rows, result), (rows.failed, result.failure(missing)))
        if rows.failed is not None:  # such a row is null, but the next value is none for it
            missing = pc.and_(missing, pc.invert(rows.failed))
        result = Rows(picked(missing, result.values, rows.values), failed, reason)
    return result


def attempt(rows: Rows) -> Rows:
    """try: null where the row failed."""
    return Rows(rows.values)


def _certain(booleans: Any) -> Any:
    """True where they are true, false where they are false or null."""
    return pc.fill_null(booleans, False)


def _by_halves(compute: Callable[..., Any], values: Sequence[Any]) -> Any:
    """Rows of which `compute` refuses the values; the time is that of log2(rows) calls for each."""
    lengths = [len(value) for value in values if not isinstance(value, pa.Scalar)]
    if not lengths:
        return pa.scalar(True)
    refused = [False] * lengths[0]
    stack = [(0, lengths[0])]
    while stack:
        start, count = stack.pop()
        try:
            compute(*(v if isinstance(v, pa.Scalar) else v.slice(start, count) for v in values))
        except pa.ArrowInvalid:
            if count == 1:
                refused[start] = True
            else:
                half = count // 2
                stack += [(start, half), (start + half, count - half)]
    return pa.array(refused)

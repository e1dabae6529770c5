"""Casts, constants and calls of scalar functions, computed over a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

from columnar_nn.data import compute as pc
from columnar_nn.errors import InvalidDataError
from columnar_nn.expressions.expression import Call, Cast, Constant, Expression, FieldReference
from columnar_nn.functions import casts
from columnar_nn.functions.row_errors import Rows
from columnar_nn.functions.scalar import CompiledFunction
from columnar_nn.functions.scalar_registry import SCALAR_FUNCTIONS


def load(expressions: Sequence[Call | Cast | Constant]) -> None:
    """Loads the machine code of those that have some, or compiles it."""
    for expression in expressions:
        if isinstance(expression, Call):
            function = SCALAR_FUNCTIONS[expression.function]
            if isinstance(function, CompiledFunction):
                function.load()


def compute(
    expressions: Sequence[Call | Cast | Constant],
    wanted: Sequence[Expression],
    batch: pa.RecordBatch,
    values: dict[int, Any],
) -> None:
    """Adds to `values`, by id, those of the expressions, each after those that it reads.

    Raises InvalidDataError if one that is `wanted` failed on a row.
    """
    failures: dict[int, Rows] = {}
    for expression in expressions:
        rows_of = _rows(expression, batch, values, failures)
        values[id(expression)] = rows_of.values
        if rows_of.failed is not None:
            failures[id(expression)] = rows_of
    for root in wanted:
        _refuse_failures(root, failures.get(id(root)), batch.num_rows)


def _rows(
    expression: Call | Cast | Constant,
    batch: pa.RecordBatch,
    values: Mapping[int, Any],
    failures: Mapping[int, Rows],
) -> Rows:
    if isinstance(expression, Constant):
        return Rows(pa.scalar(expression.value, expression.type))
    inputs = [
        failures.get(id(source)) or Rows(_value(source, batch, values))
        for source in expression.inputs
    ]
    if isinstance(expression, Cast):
        return casts.cast_rows(inputs[0], expression.type)
    return SCALAR_FUNCTIONS[expression.function].rows(*inputs, **expression.attributes)


def _value(expression: Expression, batch: pa.RecordBatch, values: Mapping[int, Any]) -> Any:
    if isinstance(expression, FieldReference):
        return batch.column(expression.name)
    return values[id(expression)]


def _refuse_failures(expression: Expression, rows_of: Rows | None, rows: int) -> None:
    if rows_of is not None and rows and pc.any(rows_of.failed).as_py():
        name = expression.function if isinstance(expression, Call) else "cast"
        raise InvalidDataError(f"{name}: {rows_of.reason}; filter such rows out first")

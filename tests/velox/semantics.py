"""Random queries in both engines: what differs in what they give, or in what they refuse."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
from velox import actions, velox_process
from velox.random_queries import Query, query, table

from columnar_nn import PlanBuilder, prepare
from columnar_nn.errors import InvalidDataError, InvalidPlanError

Rows = list[dict[str, Any]]


def differences(seeds: list[int]) -> list[str]:
    """A line for each query on which the engines differ otherwise than docs/velox.md says."""
    found = []
    answers = velox_process.call(actions.run_random_queries, seeds)
    for seed, (refusal, expected) in zip(seeds, answers, strict=True):
        asked = query(seed)
        reason, rows = columnar(asked)
        if expected is None and rows is None:
            continue
        if expected is None or rows is None:
            if "integer overflow" in refusal and rows is not None and asked.kind == "aggregate":
                continue  # of a running sum, which depends on the order of the rows
            found.append(
                f"seed {seed}: {asked}: Velox: {refusal or 'fine'}; here: {reason or 'fine'}"
            )
        elif shown(expected, asked) != shown(rows, asked):
            found.append(f"seed {seed}: {asked}: Velox: {expected}; here: {rows}")
    return found


def columnar(asked: Query) -> tuple[str, Rows | None]:
    """The reason of a refusal, or the rows, of a table in three batches on two threads."""
    rows = table(asked.table)
    batches = rows.to_batches(max_chunksize=math.ceil(rows.num_rows / 3))
    try:
        plan = asked.on(PlanBuilder().table_scan(pa.Table.from_batches(batches))).plan()
        return "", prepare(plan, threads=2).run().to_table().to_pylist()
    except (InvalidPlanError, InvalidDataError) as error:
        return str(error), None


def shown(rows: Rows, asked: Query) -> list[tuple[Any, ...]]:
    """Values that are equal where they are the same: NaN too, and -0.0 is not 0.0 in a projection.

    Of aggregations and sorted rows any zero may stand for both, and groups have no order.
    """
    exact = asked.kind == "project"
    listed = [tuple(_shown(value, exact) for value in row.values()) for row in rows]
    return listed if asked.kind == "order_by" else sorted(listed, key=repr)


def _shown(value: Any, exact: bool) -> Any:
    if isinstance(value, float):
        if exact or math.isnan(value):
            return repr(value)
        return float(f"{value:.9g}") + 0.0
    if hasattr(value, "to_pydatetime"):  # of nanoseconds, as Velox gives them
        return value.to_pydatetime(warn=False)
    return value

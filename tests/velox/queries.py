"""Queries and tables on which this project's engine and Velox must agree."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

Query = list[tuple[str, list]]
"""Calls of the plan builder, which are the same for both engines."""

QUERIES: dict[str, Query] = {
    "filter": [("filter", ["label < 5 and x > 0.25"])],
    "filter_nulls": [("filter", ["y is not null and y >= 0.0"])],
    "project": [("project", [["id", "x + x as twice", "label * 2 as even"]])],
    "limit": [("limit", [7])],
    "limit_offset": [("filter", ["id % 3 = 0"]), ("limit", [5, 4])],
    "order": [("order_by", [["label DESC", "id"]])],
    "order_nulls_first": [("order_by", [["y NULLS FIRST", "id DESC"]]), ("limit", [20])],
    "count": [("aggregate", [[], ["count(1) as n", "count(y) as present"]])],
    "group": [
        ("aggregate", [["label"], ["count(1) as n", "sum(id) as total", "max(y) as largest"]])
    ],
    "distinct": [("aggregate", [["label", "even"], []])],
    "count distinct": [
        (
            "aggregate",
            [["even"], ["count(distinct label) as n", "sum(distinct id) as s", "max(y) as most"]],
        )
    ],
    "count distinct of all": [("aggregate", [[], ["count(distinct y) as n", "avg(x) as mean"]])],
    "average": [("aggregate", [["label", "even"], ["avg(id) as mean", "min(x) as smallest"]])],
    "all": [
        ("filter", ["x < 0.9"]),
        ("project", [["label", "even", "id", "id * 2 as score"]]),
        ("aggregate", [["label"], ["count(1) as n", "sum(score) as total", "min(id) as first"]]),
        ("order_by", [["n DESC", "label"]]),
        ("limit", [4]),
    ],
}

ORDERED = {"limit", "limit_offset", "order", "order_nulls_first", "all"}
"""Queries whose result has an order; that of the others is no part of it."""


def table(seed: int) -> pa.Table:
    """Random rows in several batches: id, label, even, x, and y with nulls."""
    random = np.random.default_rng(seed)
    num_rows = int(random.integers(1, 200))
    columns = {
        "id": pa.array(np.arange(num_rows)),
        "label": pa.array(random.integers(0, 10, num_rows).astype(np.int8)),
        "even": pa.array(random.random(num_rows) < 0.5),
        "x": pa.array(random.random(num_rows).astype(np.float32)),
        "y": pa.array(random.standard_normal(num_rows), mask=random.random(num_rows) < 0.3),
    }
    rows = pa.table(columns)
    size = max(1, num_rows // 3)
    # Copied by take(), as Velox imports no array with an offset into its buffers.
    parts = [np.arange(start, min(start + size, num_rows)) for start in range(0, num_rows, size)]
    return pa.concat_tables([rows.take(part) for part in parts])

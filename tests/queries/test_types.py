"""Columns of any Arrow type: a query gives rows, or says in one line why it does not."""

from __future__ import annotations

import datetime
import decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

import columnar_nn
from columnar_nn.errors import CnnBenchError

ROWS = 6
DAY = datetime.datetime(2020, 1, 1)
COLUMNS: dict[str, Any] = {
    "list": pa.array([[1], [2], None, [], [1], [3]]),
    "large list": pa.array([[1]] * ROWS, pa.large_list(pa.int64())),
    "fixed list": pa.array([[1, 2]] * ROWS, pa.list_(pa.int8(), 2)),
    "row": pa.array([{"a": 1}] * ROWS),
    "map": pa.array([[("a", 1)]] * ROWS, pa.map_(pa.string(), pa.int64())),
    "tensor": columnar_nn.from_numpy(np.zeros((ROWS, 2), np.float32)),
    "interval": pa.array([(1, 2, 3)] * ROWS, pa.month_day_nano_interval()),
    "decimal": pa.array([decimal.Decimal("1.5")] * ROWS),
    "time": pa.array([datetime.time(1)] * ROWS),
    "duration": pa.array([datetime.timedelta(1)] * ROWS),
    "moment": pa.array([DAY] * ROWS, pa.timestamp("ns", "UTC")),
    "date64": pa.array([DAY.date()] * ROWS, pa.date64()),
    "uint64": pa.array([2**64 - 1] * ROWS, pa.uint64()),
    "null": pa.nulls(ROWS),
    "half": pa.array(np.float16([1] * ROWS)),
    "boolean": pa.array([True, False, None] * 2),
    "dictionary": pa.array(["a", "b"] * 3).dictionary_encode(),
    "large text": pa.array(["a"] * ROWS, pa.large_string()),
    "view": pa.array(["a"] * ROWS).cast(pa.string_view()),
    "large bytes": pa.array([b"a"] * ROWS, pa.large_binary()),
    "fixed bytes": pa.array([b"ab"] * ROWS, pa.binary(2)),
}
QUERIES = (
    "select count(k), count(distinct k) from t",
    "select k, count(*) from t group by k",
    "select i from t order by k desc limit 2",
    "select min(k) from t",
    "select sum(k), avg(k) from t",
    "select i from t where k = k and k between k and k or k in (k)",
    "select a.i from t a join t b on a.k = b.k",
    "select k from t where k in (select k from t)",
    "select k from t union select k from t",
    "select coalesce(k, k), if(i > 2, k) from t",
    "select cast(k as varchar) from t",
    "select k + 1 from t",
    "select a.i from t a full join t b using (k)",
    "select a.k, b.k as l from t a full join t b on a.i = b.i + 2",
    "select e from t cross join unnest(k) as u(e)",
    "select plain9(k) from t",
    "select to_tensor(k, shape => array[1]) from t",
)


@pytest.mark.parametrize("kind", COLUMNS)
def test_rows_or_one_line(kind: str) -> None:
    table = pa.table({"i": range(ROWS), "k": COLUMNS[kind]})
    given, refused = 0, []
    for number, text in enumerate(QUERIES):
        try:
            given += columnar_nn.sql(text, threads=1 + number % 2, t=table).num_rows > 0
        except CnnBenchError as error:
            refused.append(str(error))
    assert given
    assert not [message for message in refused if "\n" in message]

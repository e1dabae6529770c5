"""TopN against OrderBy and Limit, and against Python's sort."""

from __future__ import annotations

import math

import pyarrow as pa
import pytest
from exec.tables import run, scan, tables
from generated import quick
from hypothesis import given
from hypothesis import strategies as st

from columnar_nn.exec.executable import prepare
from columnar_nn.exec.operators import top_n
from columnar_nn.plan.builder import PlanBuilder

KEYS = ("id", "label DESC", "score NULLS FIRST", "name DESC NULLS FIRST")


@pytest.mark.parametrize("reduce_rows", [1, 16, 1024])
@quick
@given(
    batches=tables(),
    keys=st.permutations(KEYS).flatmap(lambda k: st.integers(1, 4).map(lambda n: k[:n])),
    count=st.sampled_from([1, 2, 7, 100]),
)
def test_the_first_rows_in_order(
    threads: int,
    reduce_rows: int,
    batches: tuple[pa.RecordBatch, ...],
    keys: list[str],
    count: int,
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(top_n, "REDUCE_ROWS", reduce_rows)
        found = run(scan(batches).top_n(keys, count).plan(), threads)
    assert found == run(scan(batches).order_by(keys).plan())[:count]


NUMBERS = [3.0, None, math.nan, -1.0, math.nan, 0.0, None, 7.0, -0.0, 5.0] * 5


@pytest.mark.parametrize("count", [1, 3, 12, 28, 45])
@pytest.mark.parametrize("descending", [False, True])
@pytest.mark.parametrize("nulls_first", [False, True])
def test_nan_is_the_largest_number(
    count: int, descending: bool, nulls_first: bool, threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(top_n, "REDUCE_ROWS", 4)
    rows = pa.record_batch({"id": pa.array(range(50)), "x": pa.array(NUMBERS)})
    batches = [rows.slice(begin, 5) for begin in range(0, 50, 5)]

    def place(i: int) -> tuple[bool, float]:
        number = NUMBERS[i]
        if number is None:
            return not nulls_first, 0.0
        above_all = 100.0 if math.isnan(number) else number
        return nulls_first, -above_all if descending else above_all

    key = f"x {'DESC' if descending else 'ASC'} NULLS {'FIRST' if nulls_first else 'LAST'}"
    found = run(PlanBuilder().values(batches).top_n([key], count).plan(), threads)
    assert [row["id"] for row in found] == sorted(range(50), key=place)[:count]


def test_what_cannot_be_among_the_first_is_dropped_where_it_is_read() -> None:
    """Of rows in descending order, all but the first few of each driver are."""
    batches = [
        pa.record_batch({"id": pa.array(range(i, i - 100, -1))}) for i in range(8000, 0, -100)
    ]
    builder = PlanBuilder().values(batches)
    with prepare(builder.top_n(["id DESC"], 3).plan(), threads=2) as executable:
        task = executable.run(profile=True)
        assert task.to_table().column("id").to_pylist() == [8000, 7999, 7998]
    stats = task.stats().plan_node_stats()
    assert stats["1.partial"].input_rows == 8000
    assert stats["1"].input_rows == stats["1.partial"].output_rows < 5000


def test_memory_follows_the_number_asked_for() -> None:
    batches = [pa.record_batch({"id": pa.array(range(i, i + 1000))}) for i in range(0, 10**5, 1000)]
    with prepare(PlanBuilder().values(batches).top_n(["id DESC"], 5).plan()) as executable:
        task = executable.run()
        assert task.to_table().num_rows == 5
    assert task.stats().plan_node_stats()["1"].peak_memory_bytes < 8 * 5000

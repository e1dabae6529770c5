"""Limit against slices of a list."""

import pyarrow as pa
from exec.tables import rows_of, run, scan, tables
from generated import quick
from hypothesis import given
from hypothesis import strategies as st


@quick
@given(batches=tables(), count=st.integers(1, 45), offset=st.integers(0, 45))
def test_gives_the_rows_of_the_slice(
    threads: int, batches: tuple[pa.RecordBatch, ...], count: int, offset: int
) -> None:
    plan = scan(batches).limit(count, offset).plan()
    assert run(plan, threads) == rows_of(batches)[offset : offset + count]


@quick
@given(batches=tables())
def test_two_limits_and_a_filter_between(batches: tuple[pa.RecordBatch, ...]) -> None:
    plan = scan(batches).limit(20).filter("label > 1").limit(5, 1).plan()
    kept = [r for r in rows_of(batches)[:20] if r["label"] is not None and r["label"] > 1]
    assert run(plan) == kept[1:6]


@quick
@given(batches=tables(), count=st.integers(1, 45))
def test_below_a_gather_it_is_still_one_limit(
    threads: int, batches: tuple[pa.RecordBatch, ...], count: int
) -> None:
    plan = scan(batches).limit(count).local_partition().plan()
    assert run(plan, threads) == rows_of(batches)[:count]

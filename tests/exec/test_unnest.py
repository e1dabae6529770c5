"""Unnest against loops of Python."""

from __future__ import annotations

from itertools import zip_longest

import numpy as np
import pyarrow as pa
import pytest
from exec.tables import Rows, run
from generated import quick
from hypothesis import given
from hypothesis import strategies as st

from columnar_nn.data import tensor_column
from columnar_nn.exec.executable import prepare
from columnar_nn.exec.operators import unnest
from columnar_nn.plan.builder import PlanBuilder

NUMBERS = st.none() | st.lists(st.none() | st.integers(-3, 3), max_size=5)
TEXTS = st.none() | st.lists(st.none() | st.sampled_from(["", "a"]), max_size=3)
FIXED = st.none() | st.lists(st.integers(0, 9), min_size=2, max_size=2)
SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("xs", pa.list_(pa.int64())),
        ("ys", pa.large_list(pa.string())),
        ("zs", pa.list_(pa.int16(), 2)),
    ]
)


def unnested(rows: Rows, columns: list[str], ordinality: bool) -> Rows:
    result = []
    for row in rows:
        arrays = [row[name] or [] for name in columns]
        for place, elements in enumerate(zip_longest(*arrays)):  # type: ignore[call-overload]
            made = {"id": row["id"]} | {
                f"{name}_e": e for name, e in zip(columns, elements, strict=True)
            }
            result.append(made | ({"place": place + 1} if ordinality else {}))
    return result


@pytest.mark.parametrize("columns", [["xs"], ["ys", "xs"], ["zs"], ["xs", "zs", "ys"]], ids=str)
@pytest.mark.parametrize("most", [1, 4, 4096])
@quick
@given(rows=st.lists(st.tuples(NUMBERS, TEXTS, FIXED), max_size=20), cut=st.integers(0, 20))
def test_a_row_for_each_element(
    threads: int, columns: list[str], most: int, rows: list[tuple[list, ...]], cut: int
) -> None:
    table = [{"id": i, "xs": x, "ys": y, "zs": z} for i, (x, y, z) in enumerate(rows)]
    batch = pa.RecordBatch.from_pylist(table, schema=SCHEMA)
    batches = [batch.slice(0, cut), batch.slice(cut)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(unnest, "OUTPUT_ROWS", most)
        for ordinality in (None, "place"):
            plan = PlanBuilder().values(batches).unnest(["id"], columns, ordinality).plan()
            assert run(plan, threads) == unnested(table, columns, ordinality is not None)


def test_a_tensor_is_the_array_of_its_elements(threads: int) -> None:
    images = np.arange(24, dtype=np.float32).reshape(4, 3, 2)
    batch = pa.record_batch({"id": pa.array(range(4)), "image": tensor_column.from_numpy(images)})
    plan = PlanBuilder().values([batch.slice(1)]).unnest(["id"], ["image"], "place").plan()
    found = run(plan, threads)
    assert [row["image_e"] for row in found] == list(range(6, 24))
    assert [row["place"] for row in found] == [1, 2, 3, 4, 5, 6] * 3


def test_what_is_replicated_is_copied_for_few_rows_at_a_time() -> None:
    batch = pa.record_batch({"xs": pa.array([[0] * 1000] * 50), "text": ["x" * 100] * 50})
    plan = PlanBuilder().values([batch]).unnest(["text"], ["xs"]).plan()
    with prepare(plan) as executable:
        rows = [found.num_rows for found in executable.run()]
    assert sum(rows) == 50_000
    assert max(rows) <= unnest.OUTPUT_ROWS

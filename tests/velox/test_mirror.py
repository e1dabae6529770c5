"""The columnar engine's plans read as Velox's do and give the same rows."""

from __future__ import annotations

import pyarrow as pa
import pytest
from velox import actions, velox_process
from velox.queries import ORDERED, QUERIES, Query, table

from columnar_nn import PlanBuilder, prepare, to_text

pytest.importorskip("pyvelox")

SEEDS = range(4)


@pytest.fixture(scope="module")
def velox_answers() -> dict[tuple[str, int], tuple[str, list[dict]]]:
    """What Velox says and gives for every query and table, from a single process."""
    return velox_process.call(actions.run_queries, list(SEEDS))


def built(query: Query, rows: pa.Table) -> PlanBuilder:
    builder = PlanBuilder().values(rows.to_batches())
    for method, arguments in query:
        builder = getattr(builder, method)(*arguments)
    return builder


def rows_of(result: pa.Table, name: str) -> list[dict]:
    rows = result.to_pylist()
    return rows if name in ORDERED else sorted(rows, key=repr)


@pytest.mark.parametrize("name", QUERIES)
@pytest.mark.parametrize("seed", SEEDS)
def test_same_plan_and_same_rows(name: str, seed: int, velox_answers: dict) -> None:
    text, expected = velox_answers[name, seed]
    plan = built(QUERIES[name], table(seed)).plan()
    assert to_text(plan) == text
    assert rows_of(prepare(plan, threads=1).run().to_table(), name) == expected


@pytest.mark.parametrize("name", ["filter", "all"])
def test_scans_differ_in_the_table_s_name_only(name: str) -> None:
    builder = PlanBuilder().table_scan(table(0))
    for method, arguments in QUERIES[name]:
        builder = getattr(builder, method)(*arguments)
    text = velox_process.call(actions.scan_plan_text, QUERIES[name])
    assert to_text(builder.plan()).replace("arrow_table", "hive_table") == text

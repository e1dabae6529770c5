"""HashJoin against DuckDB, and what it promises of order, memory and early ends."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from exec.tables import Rows, run
from generated import SEEDS, quick
from hypothesis import given, settings
from hypothesis import strategies as st

import columnar_nn
from columnar_nn.data import tensor_column
from columnar_nn.errors import UsageError
from columnar_nn.exec import row_keys
from columnar_nn.exec.executable import prepare
from columnar_nn.exec.operators import hash_join
from columnar_nn.expressions.expression import argmax
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.join import JOIN_TYPES, JoinType
from columnar_nn.settings import variables

duckdb = pytest.importorskip("duckdb")

CONNECTION = duckdb.connect(config={"threads": 1})

pytestmark = pytest.mark.timeout(120, method="thread")

SPECIAL_NAN = np.array([0x7FF8000000000001], np.uint64).view(np.float64)[0]
VALUES = {
    "number": (pa.int64(), [0, 1, 2, -1, 2**63 - 1, -(2**63), None]),
    "short": (pa.int8(), [0, 1, -128, 127, None]),
    "real": (pa.float32(), [0.0, -0.0, 1.5, math.nan, math.inf, -math.inf, None]),
    "double": (pa.float64(), [0.0, -0.0, 1e-310, math.nan, SPECIAL_NAN, -math.nan, None]),
    "flag": (pa.bool_(), [True, False, None]),
    "text": (
        pa.string(),
        ["", "a", "a\0", "abcdefgh", "abcdefghi", "abcdefgi", "é" * 9, "x" * 100, None],
    ),
    "data": (pa.binary(), [b"", b"\0", b"\0\0", b"\xff" * 8, None]),
    "day": (pa.date32(), [0, -1, 20000, None]),
    "moment": (pa.timestamp("us"), [0, -1, 10**15, None]),
}
"""Columns by name: their type, and values of which a few make many duplicates."""

PREDICATES: dict[JoinType, str] = {
    "LEFT SEMI (FILTER)": "EXISTS",
    "ANTI": "NOT EXISTS",
}


def table(seed: int, rows: int, prefix: str) -> pa.Table:
    """Random rows of VALUES, each name behind the prefix, numbered by a column `id`."""
    random = np.random.default_rng(seed)
    columns: dict[str, pa.Array] = {f"{prefix}_id": pa.array(np.arange(rows))}
    for name, (data_type, values) in VALUES.items():
        drawn = [values[i] for i in random.integers(0, len(values), rows)]
        columns[f"{prefix}_{name}"] = pa.array(drawn, data_type)
    return pa.table(columns)


def batches(rows: pa.Table, seed: int) -> list[pa.RecordBatch]:
    """The rows in batches of random size, at least one."""
    random = np.random.default_rng(seed)
    cuts = sorted({0, rows.num_rows, *random.integers(0, rows.num_rows + 1, 3).tolist()})
    parts = [
        rows.slice(begin, end - begin).combine_chunks().to_batches()
        for begin, end in pairwise(cuts)
    ]
    found = [batch for part in parts for batch in part]
    return found or [pa.RecordBatch.from_pylist([], schema=rows.schema)]


def joined(
    probe: Sequence[pa.RecordBatch],
    build: Sequence[pa.RecordBatch],
    keys: Sequence[str],
    join_type: JoinType,
    condition: str | None,
    output: Sequence[str] | None = None,
    null_aware: bool = False,
) -> PlanBuilder:
    builder = PlanBuilder().values(probe)
    right = builder.new_builder().values(build).plan()
    left_keys, right_keys = [f"l_{key}" for key in keys], [f"r_{key}" for key in keys]
    return builder.hash_join(left_keys, right_keys, right, output, condition, join_type, null_aware)


def by_duckdb(
    probe: pa.Table, build: pa.Table, keys: Sequence[str], join_type: JoinType, condition: str
) -> Rows:
    on = " AND ".join([*(f"l_{key} = r_{key}" for key in keys), f"({condition})"])
    if join_type in PREDICATES:
        found = f"{PREDICATES[join_type]} (SELECT 1 FROM build WHERE {on})"
        return answers(f"SELECT l_id FROM probe WHERE {found}", probe, build)
    return answers(f"SELECT l_id, r_id FROM probe {join_type} JOIN build ON {on}", probe, build)


def answers(query: str, probe: pa.Table, build: pa.Table) -> Rows:
    """DuckDB's, to a query over the two tables."""
    with CONNECTION.cursor() as cursor:
        cursor.register("probe", probe)
        cursor.register("build", build)
        rows: Rows = cursor.sql(query).to_arrow_table().to_pylist()
    return rows


def in_order(rows: Rows) -> Rows:
    """By the place in the probe side, then in the build side; rows of that side alone go last."""

    def place(row: dict[str, Any]) -> tuple[bool, int, int]:
        return row["l_id"] is None, row["l_id"] or 0, row.get("r_id") or 0

    return sorted(rows, key=place)


KEYS = [[name] for name in VALUES] + [["number", "text"], ["double", "flag", "real"]]
CONDITIONS = ["true", "l_number < r_number", "r_flag", "l_text <> r_text or l_number > 0"]


@pytest.mark.parametrize("join_type", JOIN_TYPES)
@settings(quick, max_examples=25)
@given(
    sizes=st.tuples(st.sampled_from([0, 1, 7, 60]), st.sampled_from([0, 1, 9, 60])),
    keys=st.sampled_from(KEYS),
    condition=st.sampled_from(CONDITIONS),
    seed=SEEDS,
)
def test_the_rows_are_duckdb_s_in_the_order_of_the_scans(
    threads: int,
    join_type: JoinType,
    sizes: tuple[int, int],
    keys: list[str],
    condition: str,
    seed: int,
) -> None:
    probe, build = table(seed, sizes[0], "l"), table(seed + 1, sizes[1], "r")
    output = ["l_id"] if join_type in PREDICATES else ["l_id", "r_id"]
    asked = None if condition == "true" else condition
    builder = joined(batches(probe, seed), batches(build, seed), keys, join_type, asked, output)
    assert run(builder.plan(), threads) == in_order(
        by_duckdb(probe, build, keys, join_type, condition)
    )


@pytest.mark.parametrize("join_type", JOIN_TYPES)
def test_keys_whose_hashes_are_all_equal_are_told_apart(
    join_type: JoinType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row_keys, "_FACTOR", np.uint64(0))
    probe, build = table(3, 50, "l"), table(4, 50, "r")
    output = ["l_id"] if join_type in PREDICATES else ["l_id", "r_id"]
    for keys in (["text"], ["number", "text"]):
        builder = joined(batches(probe, 0), batches(build, 0), keys, join_type, None, output)
        assert in_order(run(builder.plan())) == in_order(
            by_duckdb(probe, build, keys, join_type, "true")
        )


@pytest.mark.parametrize("size", [0, 1, 40])
@pytest.mark.parametrize("with_null", [False, True])
@pytest.mark.parametrize("key", ["number", "text", "double"])
def test_a_null_aware_anti_join_is_not_in(size: int, with_null: bool, key: str) -> None:
    probe, build = table(5, 60, "l"), table(6, size, "r").select([f"r_{key}"])
    if not with_null:
        build = build.filter(build.column(0).is_valid())
    builder = joined(probe.to_batches(), batches(build, 0), [key], "ANTI", None, ["l_id"], True)
    query = f"SELECT l_id FROM probe WHERE l_{key} NOT IN (SELECT r_{key} FROM build)"
    assert run(builder.plan()) == in_order(answers(query, probe, build))


def test_all_columns_of_both_sides_with_nulls_where_there_is_no_row(threads: int) -> None:
    probe = pa.record_batch({"l_k": pa.array([1, 2]), "x": ["a", "b"]})
    images = tensor_column.from_numpy(np.ones((1, 2, 3), np.float32))
    build = pa.record_batch({"r_k": pa.array([2]), "image": images})
    (first, second) = run(joined([probe], [build], ["k"], "LEFT", None).plan(), threads)
    assert first == {"l_k": 1, "x": "a", "r_k": None, "image": None}
    assert second == {"l_k": 2, "x": "b", "r_k": 2, "image": [1.0] * 6}


def test_a_filter_may_call_a_vector_function(threads: int) -> None:
    probe = pa.record_batch({"l_k": pa.array([0, 0, 0]), "class": pa.array([0, 1, 2])})
    features = tensor_column.from_numpy(np.array([[1, 0, 0], [0, 0, 1]], np.float32))
    build = pa.record_batch({"r_k": pa.array([0, 0]), "features": features})
    builder = PlanBuilder().values([probe])
    right = builder.new_builder().values([build]).project(["r_k", "features"]).plan()
    builder.hash_join(["l_k"], ["r_k"], right, ["class"], "argmax(features) = class")
    assert run(builder.plan(), threads) == [{"class": 0}, {"class": 2}]
    assert argmax("features").function == "argmax"


def test_a_row_with_many_partners_is_given_in_pieces(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hash_join, "SCALAR_MORSEL_ROWS", 10)
    probe = pa.record_batch({"l_k": pa.array([0, 1, 0, 2, 2, 2, 2])})
    build = pa.record_batch({"r_k": pa.array([0] * 9 + [2] * 25), "v": pa.array(range(34))})
    plan = joined([probe], [build], ["k"], "INNER", None, ["l_k", "v"]).plan()
    with prepare(plan, threads) as executable:
        found = list(executable.run())
    assert [batch.num_rows for batch in found] == [9, 9, 25, 25, 25, 25]
    assert pa.Table.from_batches(found).column("v").to_pylist() == [
        *(*range(9), *range(9)),
        *(4 * [*range(9, 34)]),
    ]


@pytest.mark.parametrize("join_type", ["LEFT SEMI (FILTER)", "ANTI"])
def test_partners_do_not_cut_what_is_given_without_them(join_type: JoinType) -> None:
    probe = pa.record_batch({"l_k": pa.array([0, 1] * 100)})
    build = pa.record_batch({"r_k": pa.array([0] * 5000)})
    with prepare(joined([probe], [build], ["k"], join_type, None).plan()) as executable:
        (batch,) = executable.run()
    assert batch.num_rows == 100


def test_a_build_side_beyond_the_limit_is_one_line(
    threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variables.BUILD_BYTES, "8000")
    probe = pa.record_batch({"l_k": pa.array([5])})
    rows = [pa.record_batch({"r_k": pa.array([i] * 100)}) for i in range(11)]
    plan = joined([probe], rows[:9], ["k"], "INNER", None).plan()
    assert len(run(plan, threads)) == 100
    plan = joined([probe], rows, ["k"], "INNER", None).plan()
    with pytest.raises(UsageError, match=r"build side of HashJoin\[2\] .* more than 8,000") as info:
        run(plan, threads)
    assert "\n" not in str(info.value)


@pytest.mark.parametrize("text", ["p, b", "p join b on l_k = r_k", "p full join b on l_k = r_k"])
def test_the_build_side_may_take_the_last_byte(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    build = pa.table({"r_k": range(5, 1005), "s": ["é"] * 1000})
    tables = {"p": pa.table({"l_k": [5]}), "b": build}
    query = f"select r_k, s from {text}"
    held = build.nbytes
    monkeypatch.setenv(variables.BUILD_BYTES, str(held))
    assert columnar_nn.sql(query, **tables).num_rows in (1, 1000)
    monkeypatch.setenv(variables.BUILD_BYTES, str(held - 1))
    with pytest.raises(UsageError, match=rf"Join\[2\] .* more than {held - 1:,} bytes"):
        columnar_nn.sql(query, **tables)


def test_only_columns_that_are_read_are_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variables.BUILD_BYTES, "8000")
    probe = pa.record_batch({"l_k": pa.array([5])})
    build = pa.record_batch({"r_k": pa.array(range(1000)), "text": ["x" * 100] * 1000})
    assert run(joined([probe], [build], ["k"], "LEFT SEMI (FILTER)", None).plan()) == [{"l_k": 5}]


def test_an_empty_build_side_stops_the_probe_side() -> None:
    asked = []

    def stream() -> object:
        for index in range(1000):
            asked.append(index)
            yield pa.record_batch({"l_k": pa.array([index])})

    schema = pa.schema([("l_k", pa.int64())])
    builder = PlanBuilder().table_scan(pa.table({"l_k": pa.array([], pa.int64())}))
    empty = builder.new_builder().values([pa.record_batch({"r_k": pa.array([], pa.int64())})])
    plan = builder.hash_join(["l_k"], ["r_k"], empty.plan()).plan()
    with prepare(plan) as executable:
        assert executable.run({"0": stream()}).to_table().num_rows == 0  # type: ignore[dict-item]
    assert len(asked) <= 2
    assert plan.sources[0].output_type == schema


def test_joins_of_joins_over_unions_and_groups(threads: int) -> None:
    """Build sides that are joins, unions and aggregations; an early end too."""
    rows = [pa.record_batch({"id": pa.array(range(i, 4000, 10))}) for i in range(10)]
    builder = PlanBuilder().values(rows)
    halves = [builder.new_builder().values(rows).filter(f"id % 2 = {odd}").plan() for odd in (0, 1)]
    union = builder.new_builder().local_partition(halves).project(["id AS u", "id % 7 AS rest"])
    kinds = builder.new_builder().values(rows).aggregate(["id"], ["count() AS n"])
    thirds = kinds.filter("id % 3 = 0").project(["id AS t", "n"]).plan()
    union.hash_join(["u"], ["t"], thirds, ["u", "rest", "n"])
    builder.hash_join(["id"], ["u"], union.plan(), ["id", "rest", "n"])
    expected = [
        {"id": i, "rest": i % 7, "n": 1}
        for j in range(10)
        for i in range(j, 4000, 10)
        if i % 3 == 0
    ]
    with prepare(builder.plan(), threads) as executable:
        for _ in range(3):
            assert executable.run().to_table().to_pylist() == expected
            held = iter(executable.run())
            next(held)
            del held
    assert run(builder.limit(5).plan(), threads) == expected[:5]


def test_statistics_tell_the_sides_apart(threads: int) -> None:
    probe = [pa.record_batch({"l_k": pa.array(range(100))})] * 4
    build = pa.record_batch({"r_k": pa.array(range(50)), "v": pa.array(range(50))})
    with prepare(joined(probe, [build], ["k"], "INNER", None).plan(), threads) as executable:
        task = executable.run()
        assert task.to_table().num_rows == 200
    operators = {o.operator_type: o for o in task.stats().operators if o.plan_node_id == "2"}
    assert set(operators) == {"HashBuild", "HashProbe"}
    assert operators["HashBuild"].input_rows == 50
    assert (operators["HashProbe"].input_rows, operators["HashProbe"].output_rows) == (400, 200)
    assert operators["HashBuild"].peak_memory_bytes >= build.nbytes

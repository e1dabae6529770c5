"""Nodes that pyvelox's builder lacks, and joins: text and rows as Velox's own."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from velox import actions, velox_process

from columnar_nn import PlanBuilder, prepare, to_text
from columnar_nn.plan.join import JOIN_TYPES

pytest.importorskip("pyvelox")

LEFT = pa.schema([("a", pa.int64()), ("b", pa.int64()), ("xs", pa.list_(pa.int64()))])
RIGHT = pa.schema([("c", pa.int64()), ("d", pa.int64())])


def scan(schema: pa.Schema) -> PlanBuilder:
    return PlanBuilder().table_scan(schema.empty_table())


def union() -> PlanBuilder:
    builder = PlanBuilder()
    scans = [builder.new_builder().table_scan(RIGHT.empty_table()).plan() for _ in range(2)]
    return builder.local_partition(scans).limit(5, 2)


def join(join_type: str, *keys: tuple[str, str], null_aware: bool = False) -> PlanBuilder:
    builder = scan(LEFT)
    right = builder.new_builder().table_scan(RIGHT.empty_table()).plan()
    left_keys, right_keys = zip(*keys, strict=True)
    return builder.hash_join(
        left_keys,
        right_keys,
        right,
        ["a", "b"],
        None,
        join_type,
        null_aware,  # type: ignore[arg-type]
    )


def join_json(
    join_type: str,
    *keys: tuple[str, str],
    outputs: Sequence[str] = ("a", "b"),
    null_aware: bool = False,
) -> dict[str, Any]:
    left_keys, right_keys = zip(*keys, strict=True)
    return {
        "name": "HashJoinNode",
        "joinType": join_type,
        "nullAware": null_aware,
        "leftKeys": list(left_keys),
        "rightKeys": list(right_keys),
        "outputType": list(outputs),
    }


def loop(join_type: str) -> PlanBuilder:
    builder = scan(LEFT)
    right = builder.new_builder().table_scan(RIGHT.empty_table()).plan()
    return builder.nested_loop_join(right, ["a", "d"], None, join_type)  # type: ignore[arg-type]


def loop_json(join_type: str, *outputs: str) -> dict[str, Any]:
    return {"name": "NestedLoopJoinNode", "joinType": join_type, "outputType": list(outputs)}


def top_json(
    keys: dict[str, tuple[bool, bool]], count: int, partial: bool = False
) -> dict[str, Any]:
    """By column: whether ascending, whether nulls come first."""
    orders = [{"ascending": up, "nullsFirst": first} for up, first in keys.values()]
    return {
        "name": "TopNNode",
        "sortingKeys": list(keys),
        "sortingOrders": orders,
        "count": count,
        "partial": partial,
    }


UNNEST = {
    "name": "UnnestNode",
    "replicateVariables": ["a"],
    "unnestVariables": ["xs"],
    "unnestNames": ["xs_e"],
    "ordinalityName": "place",
}
UNION = [
    {
        "name": "LocalPartitionNode",
        "type": "GATHER",
        "scaleWriter": False,
        "partitionFunctionSpec": {"name": "GatherPartitionFunctionSpec"},
    },
    {"name": "LimitNode", "partial": False, "offset": 2, "count": 5},
]
BOTH = (("a", "c"), ("b", "d"))
LOOPS = ("INNER", "LEFT", "RIGHT", "FULL")

TEXTS: dict[str, tuple[Callable[[], PlanBuilder], list[pa.Schema], list[dict[str, Any]]]] = {
    "union": (union, [RIGHT, RIGHT], UNION),
    "top": (
        lambda: scan(LEFT).top_n(["a DESC NULLS FIRST", "b"], 7),
        [LEFT],
        [top_json({"a": (False, True), "b": (True, False)}, 7)],
    ),
    "unnest": (lambda: scan(LEFT).unnest(["a"], ["xs"], "place"), [LEFT], [UNNEST]),
    "not in": (
        lambda: join("ANTI", ("a", "c"), null_aware=True),
        [LEFT, RIGHT],
        [join_json("ANTI", ("a", "c"), null_aware=True)],
    ),
} | {
    kind: (lambda kind=kind: join(kind, *BOTH), [LEFT, RIGHT], [join_json(kind, *BOTH)])
    for kind in JOIN_TYPES
}
TEXTS |= {
    f"loop {kind}": (lambda kind=kind: loop(kind), [LEFT, RIGHT], [loop_json(kind, "a", "d")])
    for kind in LOOPS
}


@pytest.fixture(scope="module")
def velox_texts() -> dict[str, str]:
    cases = [(schemas, nodes) for _, schemas, nodes in TEXTS.values()]
    texts = velox_process.call(actions.plan_texts, cases)
    return dict(zip(TEXTS, texts, strict=True))


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_is_velox_s(name: str, velox_texts: dict[str, str]) -> None:
    make, _, _ = TEXTS[name]
    assert to_text(make().plan()).replace("arrow_table", "table") == velox_texts[name]


def test_a_partial_top_reads_as_velox_s() -> None:
    builder = scan(LEFT).top_n(["a"], 3)
    with prepare(builder.plan(), threads=2) as executable:
        partial = to_text(executable.plan.sources[0].sources[0])
    (velox,) = velox_process.call(
        actions.plan_texts, [([LEFT], [top_json({"a": (True, False)}, 3, partial=True)])]
    )
    assert partial.replace("arrow_table", "table") == velox.replace("TopN[1]", "TopN[1.partial]")


DOUBLES = [0.0, -0.0, math.nan, -math.nan, 1.5, -math.inf, None]
KEYS = {"number": pa.int64(), "double": pa.float64(), "text": pa.string()}


def side(seed: int, rows: int, prefix: str) -> pa.Table:
    """Random rows with few different keys, some null, and an array, if it is the left side."""
    random = np.random.default_rng(seed)
    values: dict[str, list[Any]] = {
        "number": [0, 1, 2, -(2**63), None],
        "double": DOUBLES,
        "text": ["", "a", "a" * 20, "b", None],
    }
    columns = {f"{prefix}_id": pa.array(np.arange(rows))}
    for name, data_type in KEYS.items():
        drawn = [values[name][i] for i in random.integers(0, len(values[name]), rows)]
        columns[f"{prefix}_{name}"] = pa.array(drawn, data_type)
    return pa.table(columns)


SIZES = [(40, 40), (40, 0), (0, 40), (1, 1), (200, 3)]
COMBINATIONS = [["number"], ["double"], ["text"], ["number", "text"], ["double", "number"]]


def built(probe: pa.Table, build: pa.Table) -> tuple[PlanBuilder, Any]:
    """Builders over both sides, in one batch each, of no rows if the table has none."""
    batches = [
        t.combine_chunks().to_batches() or [pa.RecordBatch.from_pylist([], schema=t.schema)]
        for t in (probe, build)
    ]
    builder = PlanBuilder().values(batches[0])
    return builder, builder.new_builder().values(batches[1]).plan()


def test_joins_that_give_pairs_are_velox_s() -> None:
    cases = []
    for seed, (left, right) in enumerate(SIZES):
        if not (left and right):  # pyvelox imports no batch without rows
            continue
        for keys in COMBINATIONS:
            for kind in ("INNER", "LEFT", "RIGHT", "FULL"):
                for condition in ("", "l_number < r_number or r_text = 'a'"):
                    probe, build = side(seed, left, "l"), side(seed + 50, right, "r")
                    cases.append((probe, build, keys, kind, condition))
    answers = velox_process.call(
        actions.run_joins,
        [(p.to_batches(), b.to_batches(), k, kind, c) for p, b, k, kind, c in cases],
    )
    for (probe, build, keys, kind, condition), (text, rows) in zip(cases, answers, strict=True):
        builder, right = built(probe, build)
        left_keys, right_keys = [f"l_{k}" for k in keys], [f"r_{k}" for k in keys]
        plan = builder.hash_join(
            left_keys,
            right_keys,
            right,
            ["l_id", "r_id"],
            condition or None,
            kind,  # type: ignore[arg-type]
        ).plan()
        assert to_text(plan) == text
        found = prepare(plan).run().to_table().to_pylist()
        assert sorted(found, key=repr) == sorted(rows, key=repr), (keys, kind, condition)


def test_semi_and_anti_joins_and_tops_are_velox_s(tmp_path: Path) -> None:
    plans, ours = [], []
    for seed, (left, right) in enumerate(SIZES):
        if not left:
            continue
        probe, build = side(seed, left, "l"), side(seed + 50, right, "r")
        for keys in COMBINATIONS:
            pairs = [(f"l_{key}", f"r_{key}") for key in keys]
            for kind, null_aware in (
                ("LEFT SEMI (FILTER)", False),
                ("ANTI", False),
                ("ANTI", True),
            ):
                if null_aware and len(keys) > 1:
                    continue
                json = join_json(kind, *pairs, outputs=["l_id"], null_aware=null_aware)
                plans.append(([probe, build], [json]))
                builder, other = built(probe, build)
                lefts, rights = zip(*pairs, strict=True)
                builder.hash_join(lefts, rights, other, ["l_id"], None, kind, null_aware)  # type: ignore[arg-type]
                ours.append(builder)
    answers = velox_process.call(actions.rows_over_files, str(tmp_path), "l_id", plans)
    for builder, expected in zip(ours, answers, strict=True):
        assert prepare(builder.plan()).run().to_table().to_pylist() == expected, to_text(
            builder.plan()
        )


def test_nested_loop_joins_are_velox_s(tmp_path: Path) -> None:
    sides = [
        (side(seed, left, "l"), side(seed + 50, right, "r"))
        for seed, (left, right) in enumerate([(20, 20), (20, 0), (0, 20), (1, 1)])
    ]
    cases = [(tables, kind) for tables in sides for kind in LOOPS]
    answers = velox_process.call(
        actions.rows_over_files,
        str(tmp_path),
        "l_id",
        [(list(tables), [loop_json(kind, "l_id", "r_id")]) for tables, kind in cases],
    )
    for ((probe, build), kind), expected in zip(cases, answers, strict=True):
        builder, other = built(probe, build)
        builder.nested_loop_join(other, ["l_id", "r_id"], None, kind)  # type: ignore[arg-type]
        found = prepare(builder.plan()).run().to_table().to_pylist()
        assert sorted(found, key=repr) == sorted(expected, key=repr), kind


@pytest.mark.parametrize("count", [1, 5, 100])
def test_the_first_rows_are_velox_s(count: int, tmp_path: Path) -> None:
    """In an order without ties; the rows of the serialized plan are ordered by their number."""
    table = side(9, 80, "l")
    orders = [
        {"l_double": (up, first), "l_text": (not up, first), "l_id": (True, False)}
        for up in (True, False)
        for first in (True, False)
    ]
    answers = velox_process.call(
        actions.rows_over_files,
        str(tmp_path),
        "l_id",
        [
            ([table], [top_json(order, count), top_json({"l_id": (True, False)}, count)])
            for order in orders
        ],
    )
    for order, expected in zip(orders, answers, strict=True):
        keys = [
            f"{name} {'ASC' if up else 'DESC'} NULLS {'FIRST' if first else 'LAST'}"
            for name, (up, first) in order.items()
        ]
        found = prepare(PlanBuilder().table_scan(table).top_n(keys, count).plan()).run()
        rows = sorted(found.to_table().to_pylist(), key=lambda row: row["l_id"])
        assert repr(rows) == repr(expected), keys


def test_elements_are_velox_s(tmp_path: Path) -> None:
    xs = [[1, None, 3], [], None, [4], [None]] * 20
    table = pa.table({"a": pa.array(range(100)), "xs": pa.array(xs, pa.list_(pa.int64()))})
    (expected,) = velox_process.call(
        actions.rows_over_files, str(tmp_path), "a", [([table], [UNNEST])]
    )
    plan = PlanBuilder().table_scan(table).unnest(["a"], ["xs"], "place").plan()
    assert prepare(plan).run().to_table().to_pylist() == expected

"""Plans print as Velox prints them; the expected lines were printed by pyvelox 0.2.0."""

import numpy as np
import pyarrow as pa
import pytest

from columnar_nn.data.tensor_column import tensor_type
from columnar_nn.expressions.expression import Call, FieldReference, Weight
from columnar_nn.expressions.types import DataType, type_name
from columnar_nn.functions.resolve import resolve
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.expression_text import expression_texts
from columnar_nn.plan.text import to_text

BATCH = pa.record_batch(
    {
        "id": pa.array([1, 2, 3], pa.int64()),
        "label": pa.array([1, 2, 1], pa.int8()),
        "x": pa.array([1.0, 2.0, 3.0], pa.float32()),
        "d": pa.array([1.0, 2.0, 3.0]),
        "s": pa.array(["a", "b", "c"]),
        "b": pa.array([True, False, True]),
        "i": pa.array([1, 2, 3], pa.int32()),
        "sm": pa.array([1, 2, 3], pa.int16()),
    }
)
ROW = "id:BIGINT, label:TINYINT, x:REAL, d:DOUBLE, s:VARCHAR, b:BOOLEAN, i:INTEGER, sm:SMALLINT"


def values() -> PlanBuilder:
    return PlanBuilder().values([BATCH])


def first_line(builder: PlanBuilder) -> str:
    return to_text(builder.plan()).splitlines()[0]


def test_the_tree_is_indented_and_ends_with_a_newline() -> None:
    text = to_text(values().filter("label < 2").limit(2, 1).plan())
    assert text == (
        f"-- Limit[2][2 offset 1] -> {ROW}\n"
        f'  -- Filter[1][expression: lt(cast ROW["label"] as BIGINT,2)] -> {ROW}\n'
        f"    -- Values[0][3 rows in 1 vectors] -> {ROW}\n"
    )


def test_every_source_of_a_node_is_indented_below_it() -> None:
    builder = PlanBuilder()
    first = builder.new_builder().values([BATCH]).filter("b").plan()
    second = builder.new_builder().values([BATCH]).plan()
    plan = builder.local_partition([first, second]).limit(2).plan()
    text = to_text(plan, annotate=lambda node: [f"below {node.id}"] if node.sources else [])
    assert text == (
        f"-- Limit[4][2] -> {ROW}\n"
        "   below 4\n"
        f"  -- LocalPartition[3][GATHER] -> {ROW}\n"
        "     below 3\n"
        f'    -- Filter[1][expression: ROW["b"]] -> {ROW}\n'
        "       below 1\n"
        f"      -- Values[0][3 rows in 1 vectors] -> {ROW}\n"
        f"    -- Values[2][3 rows in 1 vectors] -> {ROW}\n"
    )


def test_the_short_form_has_names_and_ids_only() -> None:
    plan = values().filter("b").limit(2).plan()
    assert to_text(plan, detailed=False) == "-- Limit[2]\n  -- Filter[1]\n    -- Values[0]\n"
    assert to_text(plan, recursive=False) == f"-- Limit[2][2] -> {ROW}\n"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (
            "label < 2 and x > 0.5 or not b",
            'or(and(lt(cast ROW["label"] as BIGINT,2),gt(cast ROW["x"] as DOUBLE,0.5)),'
            'not(ROW["b"]))',
        ),
        (
            "x > 0.1 and x > 0.25 and d > 1e-7 and d < 1e20",
            'and(and(and(gt(cast ROW["x"] as DOUBLE,0.1),gt(cast ROW["x"] as DOUBLE,0.25)),'
            'gt(ROW["d"],1E-7)),lt(ROW["d"],100000000000000000000))',
        ),
        (
            "x > 1.5 and x < cast(2.5 as real)",
            'and(gt(cast ROW["x"] as DOUBLE,1.5),lt(ROW["x"],cast 2.5 as REAL))',
        ),
        ("b = true and s <> 'it''s'", 'and(eq(ROW["b"],true),neq(ROW["s"],"it\'s"))'),
        ("label between 1 and 2", 'between(cast ROW["label"] as BIGINT,1,2)'),
        ("d is not null", 'not(is_null(ROW["d"]))'),
        ("label = id", 'eq(cast ROW["label"] as BIGINT,ROW["id"])'),
    ],
)
def test_filters(condition: str, expected: str) -> None:
    line = first_line(values().filter(condition))
    assert line == f"-- Filter[1][expression: {expected}] -> {ROW}"


@pytest.mark.parametrize(
    ("projection", "expected"),
    [
        ("id", '(id:BIGINT, ROW["id"])'),
        ("id + 1", '(p0:BIGINT, plus(ROW["id"],1))'),
        ("i + 2 as y", '(y:BIGINT, plus(cast ROW["i"] as BIGINT,2))'),
        ("label + i", '(p0:INTEGER, plus(cast ROW["label"] as INTEGER,ROW["i"]))'),
        ("label + label", '(p0:TINYINT, plus(ROW["label"],ROW["label"]))'),
        ("label + 1.0", '(p0:DOUBLE, plus(cast ROW["label"] as DOUBLE,1))'),
        ("x * x", '(p0:REAL, multiply(ROW["x"],ROW["x"]))'),
        ("x % 2.0", '(p0:DOUBLE, mod(cast ROW["x"] as DOUBLE,2))'),
        ("(id + 1) * 2 - -3", '(p0:BIGINT, minus(multiply(plus(ROW["id"],1),2),-3))'),
        ("id / 2", '(p0:BIGINT, divide(ROW["id"],2))'),
        ("if(b, id, 0)", '(p0:BIGINT, if(ROW["b"],ROW["id"],0))'),
        ("cast(id as real)", '(p0:REAL, cast ROW["id"] as REAL)'),
        (
            "cast(label = 1 as bigint) as h",
            '(h:BIGINT, cast eq(cast ROW["label"] as BIGINT,1) as BIGINT)',
        ),
        ("'q' as q", '(q:VARCHAR, "q")'),
        ("1.5e10", "(p0:DOUBLE, 15000000000)"),
        ("123456.789", "(p0:DOUBLE, 123456.789)"),
        ("null as z", "(z:UNKNOWN, null)"),
    ],
)
def test_projections(projection: str, expected: str) -> None:
    line = first_line(values().project([projection]))
    assert line.startswith(f"-- Project[1][expressions: {expected}] -> ")


def test_aggregations() -> None:
    builder = values().aggregate(
        ["label"], ["count(1) as n", "sum(x) as sx", "avg(x) as ax", "min(x)", "max(id)"]
    )
    assert first_line(builder) == (
        '-- Aggregation[1][SINGLE [label] n := count(1), sx := sum(ROW["x"]), '
        'ax := avg(ROW["x"]), a3 := min(ROW["x"]), a4 := max(ROW["id"])] -> '
        "label:TINYINT, n:BIGINT, sx:REAL, ax:REAL, a3:REAL, a4:BIGINT"
    )
    builder = values().aggregate([], ["count()", "sum(id)", "avg(label)", "sum(x + 1.5)"])
    assert first_line(builder) == (
        '-- Aggregation[1][SINGLE a0 := count(), a1 := sum(ROW["id"]), '
        'a2 := avg(cast ROW["label"] as SMALLINT), '
        'a3 := sum(plus(cast ROW["x"] as DOUBLE,1.5))] -> '
        "a0:BIGINT, a1:BIGINT, a2:DOUBLE, a3:DOUBLE"
    )


def test_order_by() -> None:
    builder = values().order_by(["id ASC NULLS FIRST", "label desc"])
    assert first_line(builder) == (
        f"-- OrderBy[1][id ASC NULLS FIRST, label DESC NULLS LAST] -> {ROW}"
    )


@pytest.mark.parametrize(
    ("data_type", "expected"),
    [
        (pa.uint8(), "TINYINT"),
        (tensor_type("float32", (3, 2, 2)), "ARRAY<REAL>"),
        (pa.list_(pa.int64()), "ARRAY<BIGINT>"),
        (pa.struct([("sum", pa.float64()), ("count", pa.int64())]), "ROW<sum:DOUBLE,count:BIGINT>"),
    ],
)
def test_types(data_type: DataType, expected: str) -> None:
    assert type_name(data_type) == expected


def test_a_shared_expression_is_written_out_once() -> None:
    schema = pa.schema([("image", tensor_type("float32", (3, 4, 4)))])
    relu = Call("relu", (FieldReference("image"),))
    both = Call("vec_add", (Call("sigmoid", (relu,)), relu))
    (root,) = resolve([both], schema)
    assert expression_texts([root]) == ['vec_add(sigmoid(relu_0 := relu(ROW["image"])),relu_0)']


def test_weights_and_attributes_of_vector_functions() -> None:
    schema = pa.schema([("image", tensor_type("float32", (3, 8, 8)))])
    filters = Weight("conv.weight", np.zeros((5, 3, 3, 3), np.float32))
    attributes = {"strides": [2, 2], "dilations": [1, 1]}
    (root,) = resolve([Call("conv2d", (FieldReference("image"), filters), attributes)], schema)
    assert expression_texts([root]) == [
        'conv2d(ROW["image"],conv.weight[5, 3, 3, 3],strides=[2, 2])'
    ]

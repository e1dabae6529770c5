"""A plan that makes no sense is refused when it is built, with what is wrong and what exists."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidPlanError
from columnar_nn.exec.executable import prepare
from columnar_nn.expressions.expression import argmax, call, column
from columnar_nn.lowering.network import network
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.plan_node import nodes
from columnar_nn.plan.text import to_text

BATCH = pa.record_batch(
    {
        "id": pa.array([1, 2], pa.int64()),
        "x": pa.array([1.0, 2.0], pa.float32()),
        "b": pa.array([True, False]),
        "image": tensor_column.from_numpy(np.zeros((2, 3, 4, 4), np.uint8)),
        "features": tensor_column.from_numpy(np.zeros((2, 5), np.float32)),
    }
)


def values() -> PlanBuilder:
    return PlanBuilder().values([BATCH])


def scan(shape: tuple[int, ...], dtype: str = "u1") -> PlanBuilder:
    """plain9 over an array of a newcomer's."""
    images = {"image": np.zeros(shape, dtype)}
    return PlanBuilder().table_scan(images).project({"y": network("plain9")})


def lists() -> PlanBuilder:
    return PlanBuilder().values([pa.record_batch({"l": [[1], None]})])


def union(*projections: str) -> PlanBuilder:
    """One source for each text of projections."""
    builder = PlanBuilder()
    sources = [
        builder.new_builder().values([BATCH]).project(text.split(", ")) for text in projections
    ]
    return builder.local_partition([source.plan() for source in sources])


def join(left: str, right: str, **arguments: Any) -> PlanBuilder:
    """Of the batch with one whose columns are named y_..., by columns with commas between."""
    builder = values()
    names = [f"{name} AS y_{name}" for name in BATCH.schema.names]
    other = builder.new_builder().values([BATCH]).project(names).plan()
    keys = (text.split(", ") if text else [] for text in (left, right))
    return builder.hash_join(*keys, other, **arguments)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PlanBuilder().plan(), "the plan is empty"),
        (lambda: PlanBuilder().filter("b"), "the plan is empty"),
        (lambda: values().values([BATCH]), "Values must come first, not after Values"),
        (lambda: PlanBuilder().values([]), "at least one batch"),
        (lambda: values().filter("nope > 1"), "field not found: nope. Available fields are: id, x"),
        (lambda: values().filter("id"), "must be of type BOOLEAN. Got BIGINT"),
        (
            lambda: values().filter("id +"),
            r"cannot parse SQL: it ends too early \(line 1, column 5: id \+\^\)",
        ),
        (
            lambda: values().filter("id = 1 1"),
            r"cannot parse SQL: unexpected .1. \(line 1, column 8: id = 1 \^1\)",
        ),
        (lambda: values().filter("id ~ 1"), "cannot parse SQL: unexpected .~."),
        (lambda: values().filter("x < 2"), r"not supported: lt\(REAL, BIGINT\)"),
        (lambda: values().filter("b + b = b"), r"not supported: plus\(BOOLEAN, BOOLEAN\)"),
        (lambda: values().filter("id and b"), r"not supported: and\(BIGINT, BOOLEAN\)"),
        (lambda: values().filter("image = image"), "not supported: eq"),
        (lambda: values().project(["frobnicate(id)"]), "no function frobnicate: vector functions"),
        (lambda: values().project(["argmax(id)"]), "argmax needs a tensor column, not int64"),
        (lambda: values().project(["argmax(image)"]), "features .N, F. are needed"),
        (lambda: values().project({"y": call("relu", "nope")}), "field not found: nope"),
        (lambda: values().project({"y": argmax("x")}), "needs a tensor column, not float"),
        (lambda: values().project(["if(b, id, x)"]), "not supported: if"),
        (lambda: values().aggregate(["nope"], []), "field not found: nope"),
        (lambda: values().aggregate(["image"], []), "cannot group by image: it holds tensors"),
        (lambda: values().aggregate([], ["sum(b)"]), r"not supported: sum\(BOOLEAN\)"),
        (lambda: values().aggregate([], ["median(id)"]), "is no aggregate: use count, sum"),
        (lambda: values().aggregate([], ["sum(id, x)"]), "sum takes one argument"),
        (lambda: values().order_by(["nope"]), "field not found: nope"),
        (lambda: values().order_by(["id sideways"]), "cannot parse sorting key: id sideways"),
        (lambda: values().limit(0), "needs count > 0"),
        (lambda: PlanBuilder().local_partition(), "the plan is empty"),
        (lambda: PlanBuilder().local_partition([]), "needs a list of plans, one at least"),
        (lambda: PlanBuilder().local_partition(values().plan()), "needs a list of plans"),
        (lambda: PlanBuilder().local_partition([values()]), "not PlanBuilder: see plan"),
        (lambda: prepare(values()), r"prepare\(\) needs a plan, not PlanBuilder: see plan"),
        (lambda: to_text(values()), r"to_text\(\) needs a plan, not PlanBuilder"),
        (lambda: values().hash_join(["id"], ["id"], values()), r"hash_join\(\) needs a plan"),
        (
            lambda: PlanBuilder().values(BATCH),
            "needs a list of RecordBatches, not RecordBatch: use",
        ),
        (lambda: PlanBuilder().table_scan(BATCH, "id"), r"takes a list of texts: \['id'\]"),
        (lambda: values().project("id"), r"project\(\) takes a list of texts: \['id'\]"),
        (lambda: values().aggregate("id", []), r"aggregate\(\) takes a list of texts: \['id'\]"),
        (lambda: values().aggregate([], "count(1)"), r"takes a list of texts: \['count\(1\)'\]"),
        (lambda: values().order_by("id"), r"order_by\(\) takes a list of texts: \['id'\]"),
        (lambda: values().top_n("id", 1), r"top_n\(\) takes a list of texts: \['id'\]"),
        (lambda: values().unnest("id", ["x"]), r"unnest\(\) takes a list of texts"),
        (lambda: values().hash_join("id", ["id"], values().plan()), "takes a list of texts"),
        (lambda: values().filter(column("id") == 1), "False is no expression: write SQL text"),
        (lambda: values().project(["soft_max(x)"]), "no function soft_max: did you mean softmax"),
        (lambda: values().project(["plain9(image)"]), r'no function plain9: .* network\("plain9"'),
        (lambda: values().project({"y": network("plain9")}), "images of 3x32x32, not of 3x4x4$"),
        (
            lambda: values().project({"y": network("plain9", "id")}),
            "of 3x32x32, not int64: tensors",
        ),
        (
            lambda: scan((2, 32, 32, 3)),
            r"not of 32x32x3: put the channels first, with images",
        ),
        (lambda: scan((3, 32, 32)), r"not of 32x32: the first axis .* one image is images\[None\]"),
        (lambda: scan((2, 3, 32, 32), "f8"), r"uint8 or float32, not double: .*astype\(numpy.flo"),
        (
            lambda: values().local_partition([values().plan()]),
            "LocalPartition must come first, not after Values",
        ),
        (lambda: union("id", "x"), "source 1 of .* gives columns x; source 0 gives id: project"),
        (lambda: union("id", "id, x"), "source 1 of local_partition.. gives columns id, x"),
        (
            lambda: union("id AS a", "id AS a", "x AS a"),
            "source 2 of local_partition.. gives a as float, source 0 as int64: cast one of them",
        ),
        (lambda: union("image AS a", "features AS a"), "gives a as extension<.*, source 0 as exte"),
        (
            lambda: PlanBuilder().local_partition([values().plan(), values().plan()]),
            "two nodes have the id 0: make each source with new_builder()",
        ),
        (lambda: values().limit(1, -1), "offset >= 0"),
        (lambda: values().top_n(["id"], 0), r"top_n\(\) of 0 rows by 1 keys: 1 at least"),
        (lambda: values().top_n([], 5), r"top_n\(\) of 5 rows by 0 keys: 1 at least"),
        (lambda: values().top_n(["nope"], 5), "field not found: nope"),
        (lambda: values().distinct(), "cannot group by image: it holds tensors"),
        (lambda: values().unnest(["id"], []), "needs a column of arrays, one at least"),
        (lambda: values().unnest(["id"], ["x"]), "cannot unnest x: it holds float, no arrays"),
        (lambda: values().unnest(["nope"], ["image"]), "field not found: nope"),
        (lambda: values().unnest(["id"], ["image"], "id"), "would give two columns id: rename"),
        (lambda: values().unnest(["id", "id"], ["image"]), "would give two columns id: rename"),
        (lambda: join("", ""), "0 on the left and 0 on the right"),
        (lambda: join("id, x", "y_id"), "it has 2 on the left and 1 on the right"),
        (lambda: join("nope", "y_id"), "field not found: nope. Available fields are: id, x"),
        (lambda: join("id", "id"), "field not found: id. Available fields are: y_id, y_x"),
        (lambda: join("id", "y_x"), r"cannot join id \(int64\) with y_x \(float\): cast one"),
        (lambda: join("image", "y_image"), "cannot join by image: it holds extension"),
        (
            lambda: join("id", "y_id", join_type="CROSS"),
            "no join type 'CROSS': use INNER, LEFT, RIGHT, FULL, LEFT SEMI",
        ),
        (lambda: lists().order_by(["l"]), r"cannot sort by l: it holds list<"),
        (lambda: lists().aggregate(["l"], []), r"cannot group by l: it holds list<"),
        (lambda: lists().aggregate([], ["count(distinct l)"]), "does not take ARRAY<BIGINT>"),
        (
            lambda: values().nested_loop_join(lists().plan(), join_type="ANTI"),
            "no join type 'ANTI': use INNER, LEFT, RIGHT, FULL",
        ),
        (lambda: values().nested_loop_join(lists().plan(), ["m"]), "field not found: m"),
        (lambda: values().nested_loop_join(lists().plan(), ["l"], "x"), "must be of type BOOLEAN"),
        (lambda: join("id", "y_id", filter="id + y_id"), "must be of type BOOLEAN. Got BIGINT"),
        (lambda: join("id", "y_id", filter="nope"), "field not found: nope"),
        (lambda: join("id", "y_id", output=[]), "has to give a column"),
        (lambda: join("id", "y_id", output=["nope"]), "field not found: nope"),
        (lambda: join("id", "y_id", output=["x", "x"]), "would give two columns x: name it once"),
        (lambda: join("id", "y_id", output=["y_x"], join_type="ANTI"), "field not found: y_x"),
        (
            lambda: join("id", "y_id", null_aware=True),
            "only an ANTI join by one key, without filter",
        ),
        (
            lambda: values().hash_join(["id"], ["id"], PlanBuilder().values([BATCH]).plan(), ["b"]),
            "field b is ambiguous",
        ),
        (
            lambda: join("id", "y_id").hash_join(["x"], ["x"], values().plan(), ["y_x"]),
            "two nodes have the id 0: make each source with new_builder()",
        ),
    ],
)
def test_refused(build: Callable[[], object], message: str) -> None:
    with pytest.raises(InvalidPlanError, match=message) as caught:
        build()
    assert "\n" not in str(caught.value)


def test_pixels_become_floats_before_a_vector_function() -> None:
    plan = values().project({"y": call("flatten", "image")}).plan()
    assert plan.output_type.field("y").type == tensor_column.tensor_type("float32", (48,))


def test_a_vector_function_may_be_called_from_text() -> None:
    plan = values().project(["argmax(features) = id as hit"]).plan()
    assert plan.output_type == pa.schema([pa.field("hit", pa.bool_())])


def test_the_ids_of_a_builder_and_of_those_made_of_it_differ() -> None:
    plan = union("id", "id").limit(1).plan()
    assert [node.id for node in nodes(plan)] == ["5", "4", "1", "0", "3", "2"]
    assert plan.output_type.names == ["id"]

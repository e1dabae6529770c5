"""A plan that makes no sense is refused when it is built, with what is wrong and what exists."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidPlanError
from columnar_nn.expressions.expression import argmax, call
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.plan_node import nodes

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


def union(*projections: str) -> PlanBuilder:
    """One source for each text of projections."""
    builder = PlanBuilder()
    sources = [
        builder.new_builder().values([BATCH]).project(text.split(", ")) for text in projections
    ]
    return builder.local_partition([source.plan() for source in sources])


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: PlanBuilder().plan(), "the plan is empty"),
        (lambda: PlanBuilder().filter("b"), "the plan is empty"),
        (lambda: values().values([BATCH]), "Values must come first, not after Values"),
        (lambda: PlanBuilder().values([]), "at least one batch"),
        (lambda: values().filter("nope > 1"), "field not found: nope. Available fields are: id, x"),
        (lambda: values().filter("id"), "must be of type BOOLEAN. Got BIGINT"),
        (lambda: values().filter("id +"), r"cannot parse expression: id \+ \(it ends too early\)"),
        (lambda: values().filter("id = 1 1"), r"cannot parse expression: id = 1 1 \(at '1'\)"),
        (lambda: values().filter("id ~ 1"), "cannot parse expression"),
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

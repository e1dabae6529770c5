"""A plan that makes no sense is refused when it is built, with what is wrong and what exists."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidPlanError
from columnar_nn.expressions.expression import argmax, call
from columnar_nn.plan.builder import PlanBuilder

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

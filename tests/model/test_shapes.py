"""columnar_nn/model/shapes.py against onnx.shape_inference and the reference's real outputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from generated import normal, quick, windows
from hypothesis import given
from hypothesis import strategies as st
from judged_networks import small
from reference_operator import computed

from columnar_nn.errors import InvalidModelError, UnsupportedOperatorError
from columnar_nn.model import onnx_io, zoo
from columnar_nn.model.graph import Graph, Node, Shape, TensorSpec
from columnar_nn.model.shapes import infer_shapes


def shape_after(
    op_type: str, shapes: list[Shape], weights: list[np.ndarray], attributes: dict[str, Any]
) -> Shape:
    """Inferred output shape of one node: first its computed inputs, then its constant ones."""
    inputs = [TensorSpec(f"x{i}", shape) for i, shape in enumerate(shapes)]
    constants = {f"w{i}": array for i, array in enumerate(weights)}
    names = (*(spec.name for spec in inputs), *constants)
    node = Node("node", op_type, names, ("y",), attributes)
    graph = Graph("g", (node,), tuple(inputs), (TensorSpec("y", ()),), constants)
    return infer_shapes(graph)["y"]


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


@pytest.mark.parametrize("name", zoo.BUILDERS)
def test_networks_agree_with_onnx(name: str) -> None:
    graph = zoo.build(small(name))
    model = onnx.shape_inference.infer_shapes(onnx_io.to_proto(graph), strict_mode=True)
    ours = infer_shapes(graph)
    compared = 0
    for value in [*model.graph.value_info, *model.graph.output]:
        dimensions = value.type.tensor_type.shape.dim
        theirs = tuple(d.dim_value if d.HasField("dim_value") else None for d in dimensions)
        assert ours[value.name] == theirs, value.name
        compared += 1
    assert compared == len(graph.nodes)


@quick
@given(windows(), st.booleans())
def test_windows_have_the_shape_that_the_reference_computes(
    window: dict[str, Any], ceil_mode: bool
) -> None:
    size = tuple(window.pop("size"))
    w = normal(0, 2, 3, *window["kernel_shape"])
    expected = computed("Conv", normal(1, 1, 3, *size), w, **window).shape
    assert shape_after("Conv", [(None, 3, *size)], [w], window) == (None, *expected[1:])
    window["ceil_mode"] = int(ceil_mode)
    expected = computed("MaxPool", normal(1, 1, 3, *size), **window).shape
    for op_type in ("MaxPool", "AveragePool"):
        assert shape_after(op_type, [(None, 3, *size)], [], window) == (None, *expected[1:])


@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER", "VALID"])
@pytest.mark.parametrize("stride", [1, 2, 3])
def test_automatic_padding(auto_pad: str, stride: int) -> None:
    attributes = {"kernel_shape": [4], "strides": [stride], "auto_pad": auto_pad}
    expected = computed("MaxPool", normal(1, 1, 3, 10), **attributes).shape
    assert shape_after("MaxPool", [(None, 3, 10)], [], attributes) == (None, *expected[1:])


# Operator, shapes computed, constants, attributes, shape expected; None is the batch.
SYMBOLIC: list[tuple[str, list[Shape], list[np.ndarray], dict[str, Any], Shape]] = [
    ("Flatten", [(None, 3, 4, 5)], [], {}, (None, 60)),
    ("Flatten", [(None, 1, 4, 5)], [], {"axis": 2}, (None, 20)),
    ("Reshape", [(None, 8, 1, 1)], [integers(-1, 8)], {}, (None, 8)),
    ("Reshape", [(None, 8, 2, 1)], [integers(0, -1)], {}, (None, 16)),
    ("Reshape", [(None, 6, 5, 4)], [integers(-1, 2, 3, 5, 4)], {}, (None, 2, 3, 5, 4)),
    ("Reshape", [(None, 2, 3, 5, 4)], [integers(0, -1, 5, 4)], {}, (None, 6, 5, 4)),
    ("Transpose", [(None, 2, 3)], [], {"perm": [0, 2, 1]}, (None, 3, 2)),
    ("Squeeze", [(None, 3, 1, 1)], [], {}, (None, 3)),
    ("Unsqueeze", [(None, 3)], [integers(2, 3)], {}, (None, 3, 1, 1)),
    ("Add", [(None, 3, 4, 4), (None, 3, 4, 4)], [], {}, (None, 3, 4, 4)),
    ("Mul", [(None, 3, 4, 4), (None, 3, 1, 1)], [], {}, (None, 3, 4, 4)),
    ("Sub", [(None, 3, 4, 4)], [normal(0, 3, 1, 1)], {}, (None, 3, 4, 4)),
    ("Concat", [(None, 3, 4), (None, 2, 4)], [], {"axis": 1}, (None, 5, 4)),
    ("Gemm", [(None, 8)], [normal(0, 5, 8)], {"transB": 1}, (None, 5)),
    ("MatMul", [(None, 8)], [normal(0, 8, 5)], {}, (None, 5)),
    ("MatMul", [(None, 2, 8)], [normal(0, 8)], {}, (None, 2)),
    ("Pad", [(None, 2, 3)], [integers(0, 0, 1, 0, 1, 2)], {}, (None, 3, 6)),
    ("Slice", [(None, 6)], [integers(1), integers(2**62), integers(1), integers(2)], {}, (None, 3)),
    ("ReduceMean", [(None, 3, 4, 4)], [integers(2, 3)], {"keepdims": 0}, (None, 3)),
    ("GlobalAveragePool", [(None, 3, 4, 4)], [], {}, (None, 3, 1, 1)),
]


@pytest.mark.parametrize(("op_type", "shapes", "constants", "attributes", "expected"), SYMBOLIC)
def test_the_batch_stays_symbolic(
    op_type: str,
    shapes: list[Shape],
    constants: list[np.ndarray],
    attributes: dict[str, Any],
    expected: Shape,
) -> None:
    assert shape_after(op_type, shapes, constants, attributes) == expected
    fixed = [tuple(5 if d is None else d for d in shape) for shape in shapes]
    actual = computed(op_type, *(normal(1, *s) for s in fixed), *constants, **attributes).shape
    assert (
        tuple(None if d is None else a for d, a in zip(expected, actual, strict=True)) == expected
    )


WINDOW = {"kernel_shape": [3, 3]}
# Operator, shapes computed, constants, attributes, and a part of the error's message.
WRONG: list[tuple[str, list[Shape], list[np.ndarray], dict[str, Any], str]] = [
    ("Conv", [(None, 3, 8, 8)], [normal(0, 4, 2, 3, 3)], {}, "3 channels do not fit"),
    ("Conv", [(None, 4, 8, 8)], [normal(0, 3, 2, 3, 3)], {"group": 2}, "4 channels do not fit"),
    ("Conv", [(None, 3, 8, 8)], [normal(0, 4, 3, 3)], {}, "differ in rank"),
    ("Conv", [(None, 3, 2, 8)], [normal(0, 4, 3, 3, 3)], {}, "window of 3 does not fit"),
    ("Conv", [(None, 3, 8, 8)], [normal(0, 4, 3, 3, 3)], {"kernel_shape": [5, 5]}, "differs from"),
    ("Conv", [(None, 3, 8, 8)], [normal(0, 4, 3, 3, 3)], {"strides": [0, 1]}, "below 1"),
    ("Conv", [(None, 3, 8, 8)], [normal(0, 4, 3, 3, 3)], {"pads": [1, 1]}, "needs 4"),
    ("Conv", [(None, 3, 8, 8)], [normal(0, 4, 3, 3, 3)], {"pads": [0, 0, 0, -1]}, "negative"),
    ("Conv", [(None, 3, 8, 8)], [normal(0, 4, 3, 3, 3), normal(1, 3)], {}, r"bias \(3,\)"),
    ("Conv", [(None, 3, 8, 8)], [normal(0, 4, 3, 3, 3)], {"auto_pad": "HALF"}, "unknown"),
    ("MaxPool", [(None, 3, 8, 8)], [], {}, "kernel_shape is missing"),
    ("MaxPool", [(None, 3)], [], WINDOW, "is not"),
    ("BatchNormalization", [(None, 3, 8)], [normal(0, 3)] * 3 + [normal(0, 4)], {}, "variance"),
    ("Gemm", [(None, 8)], [normal(0, 5, 8)], {}, "inner dimensions differ"),
    ("Gemm", [(None, 2, 4)], [normal(0, 4, 8)], {}, "must be matrices"),
    ("MatMul", [(None, 8)], [normal(0, 5, 8)], {}, "inner dimensions differ"),
    ("Add", [(None, 3, 4), (None, 2, 4)], [], {}, "do not broadcast"),
    ("Add", [(None, 3)], [normal(0, 5, 3)], {}, "do not broadcast"),
    ("PRelu", [(None, 3)], [normal(0, 2, 1, 3)], {}, "slope"),
    ("Concat", [(None, 3), (None, 3)], [], {"axis": 0}, "symbolic batch"),
    ("Concat", [(None, 3, 4), (None, 3, 5)], [], {"axis": 1}, "differ outside axis 1"),
    ("Flatten", [(None, 3)], [], {"axis": 0}, "mix images"),
    ("Reshape", [(None, 3)], [integers(6)], {}, "fixes the batch"),
    ("Reshape", [(None, 3)], [integers(-1, 2)], {}, "mixing images"),
    ("Reshape", [(2, 3)], [integers(4, 2)], {}, "number of elements"),
    ("Transpose", [(None, 3)], [], {"perm": [0, 0]}, "no permutation"),
    ("Squeeze", [(None, 3, 1)], [integers(1)], {}, "not all of size 1"),
    ("Slice", [(None, 3)], [integers(0), integers(1), integers(0)], {}, "symbolic batch"),
    ("ReduceMean", [(None, 3)], [integers(0)], {}, "symbolic batch"),
    ("Softmax", [(None, 3)], [], {"axis": 2}, "out of range"),
    ("Pad", [(None, 3)], [integers(1, 0)], {}, "two entries"),
]


@pytest.mark.parametrize(("op_type", "shapes", "constants", "attributes", "message"), WRONG)
def test_what_does_not_fit_is_named(
    op_type: str,
    shapes: list[Shape],
    constants: list[np.ndarray],
    attributes: dict[str, Any],
    message: str,
) -> None:
    with pytest.raises(InvalidModelError, match=rf"^node node \({op_type}\): .*{message}"):
        shape_after(op_type, shapes, constants, attributes)


def test_a_shape_computed_at_run_time_is_refused() -> None:
    with pytest.raises(InvalidModelError, match="computed at run time"):
        shape_after("Reshape", [(None, 3), (2,)], [], {})


def test_every_unknown_operator_is_listed() -> None:
    nodes = (Node("a", "Foo", ("x",), ("y",)), Node("b", "Bar", ("y",), ("z",)))
    graph = Graph("g", nodes, (TensorSpec("x", (None, 3)),), (TensorSpec("z", ()),), {})
    with pytest.raises(UnsupportedOperatorError, match=r"a \(Foo\).*b \(Bar\)"):
        infer_shapes(graph)

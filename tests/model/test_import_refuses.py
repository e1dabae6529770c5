"""Files that cannot run: one line from the importer that names the cause, whatever is in them."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from generated import normal
from model.onnx_models import (
    CONV,
    FILTERS,
    branch,
    call,
    constant,
    function,
    model,
    node,
    value,
)
from onnx import TensorProto, helper

from columnar_nn.errors import (
    CnnBenchError,
    InvalidModelError,
    UnsupportedOperatorError,
    UsageError,
)
from columnar_nn.model import onnx_io, zoo

RELU = node("Relu", "x", "y")
ESCAPES = "\x1b[2J\x1b[31mred\r\n\t\x07\u202e"


def refusal(made: onnx.ModelProto, folder: Path) -> CnnBenchError:
    """The error that loading the model raises: one printable line that begins with the path."""
    path = folder / "m.onnx"
    path.write_bytes(made.SerializeToString())
    with pytest.raises(CnnBenchError) as raised:
        zoo.resolve(str(path))
    message = str(raised.value)
    assert message.startswith(f"{path}: ")
    assert message.isprintable()
    assert len(message) < 500
    return raised.value


def _integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def _renamed(made: onnx.ModelProto, **fields: Any) -> onnx.ModelProto:
    for name, text in fields.items():
        setattr(made.graph.node[0], name, text)
    return made


def _image(*shape: int | str | None) -> onnx.ModelProto:
    return model([RELU], inputs=[value("x", shape)])


def _doubling(depth: int) -> list[onnx.FunctionProto]:
    inner = [
        function(f"F{i}", [call(f"F{i + 1}", "a", "t"), call(f"F{i + 1}", "t", "b")])
        for i in range(depth)
    ]
    return [*inner, function(f"F{depth}", [node("Relu", "a", "b")])]


def _batch_times(op_type: str) -> onnx.ModelProto:
    nodes = [
        node("Shape", "x", "s"),
        node("Gather", "s zero", "n"),
        node(op_type, "n two", "m"),
        node("Concat", "m rest", "target", axis=0),
        node("Reshape", "x target", "y"),
    ]
    weights = {"zero": _integers(0), "two": _integers(2), "rest": _integers(-1, 7, 8)}
    return model(nodes, weights)


def _outputs() -> Mapping[str, tuple[onnx.ModelProto, str]]:
    shape, size = node("Shape", "x", "s"), node("Size", "x", "s")
    last = [shape, node("Gather", "s three", "n"), RELU]
    return {
        "a weight": (model([CONV], {"w": FILTERS}, "c w"), "output 'w' does not depend"),
        "a constant": (
            model([constant("k", np.ones(3, np.float32)), RELU], outputs="y k"),
            "'k' does not depend",
        ),
        "the shape": (model([shape, RELU], outputs="y s"), "'s' holds the size of the batch"),
        "the size": (model([size, RELU], outputs="y s"), "batch size is multiplied"),
        "a size": (
            model(last, {"three": _integers(3)}, "y n"),
            "'n' does not depend",
        ),
        "no batch first": (
            model([node("Transpose", "x", "y", perm=[1, 0, 2, 3])]),
            "first dimension is not the batch",
        ),
        "the batch mixed": (
            model([node("Reshape", "x shape", "y")], {"shape": _integers(1, -1)}),
            "cannot become",
        ),
        "of a fixed batch, no batch first": (
            model([node("Transpose", "x", "y")], inputs=[value("x", [2, 3, 4, 4])]),
            "first dimension is not the batch",
        ),
        "made by nothing": (model([RELU], outputs="y z"), "'z' is made by no node"),
        "without an output": (model([RELU], outputs=""), "no output"),
        "without an input": (
            model([node("Relu", "w", "y")], {"w": FILTERS}, inputs=[]),
            "no input",
        ),
    }


def _constants() -> Mapping[str, tuple[onnx.ModelProto, str]]:
    row = normal(1, 1, 1, 3, 7, 8)
    huge, less = _integers(2**40), _integers(-5)
    shape = node("ConstantOfShape", "n", "k")
    cropped = {"p": _integers(0, 0, -9, 0, 0, 0, 9, 0)}
    both = {"p": _integers(0, 0, -4, 0, 0, 0, -4, 0)}
    end = {"p": _integers(0, 0, 12, 0, 0, 0, -12, 0)}
    half = {"h": normal(1, 3, 7, 8).astype(np.float16)}
    whole = {"h": np.ones((3, 7, 8), np.int64)}
    return {
        **{
            f"more dimensions in {op_type}": (
                model([node(op_type, f"x {w}" if first else f"{w} x", "y")], {w: row}),
                "more dimensions",
            )
            for op_type, first, w in (("Add", True, "w"), ("Mul", False, "w"), ("Div", True, "w"))
        },
        "a slope of more dimensions": (
            model([node("PRelu", "x w", "y")], {"w": row}),
            "does not broadcast",
        ),
        "cropping before": (model([node("Pad", "x p", "y")], cropped), "crop more than there is"),
        "cropping all": (model([node("Pad", "x p", "y")], both), "crop more than there is"),
        "cropping behind": (model([node("Pad", "x p", "y")], end), "crop more than there is"),
        "half precision": (model([node("Add", "x h", "y")], half), "'h' is float16"),
        "integers": (model([node("Mul", "h x", "y")], whole), "'h' is int64"),
        "a huge constant": (model([shape, node("Add", "x k", "y")], {"n": huge}), "k|broadcast"),
        "a negative size": (model([shape, node("Add", "x k", "y")], {"n": less}), "negative"),
        "an expansion": (
            model([node("Expand", "w n", "k"), node("Add", "x k", "y")],
                  {"w": normal(1, 8), "n": _integers(2**20, 2**12, 8)}),
            "more than the size of the model's files and 1 GiB",
        ),
        "an outer sum": (
            model([node("Add", "v w", "k"), node("ReduceSum", "k", "s", keepdims=0),
                   node("Add", "x s", "y")],
                  {"v": normal(1, 2**17, 1), "w": normal(1, 2**17)}),
            "more than the size of the model's files and 1 GiB",
        ),
        "a range": (
            model([constant("a", np.float32(0)), constant("b", np.float32(1e30)),
                   constant("c", np.float32(1)), node("Range", "a b c", "k"),
                   node("ReduceSum", "k", "s", keepdims=0), node("Add", "x s", "y")]),
            "Range.* 1 GiB|Range.*fit",
        ),
        "a product": (
            model([node("MatMul", "v w", "k"), node("ReduceSum", "k", "s", keepdims=0),
                   node("Add", "x s", "y")],
                  {"v": normal(1, 4, 2), "w": normal(1, 3, 4)}),
            "MatMul",
        ),
        "random weights": (
            model([node("RandomNormal", "", "k", shape=[3, 7, 8]), node("Add", "x k", "y")]),
            "RandomNormal",
        ),
        "a division by zero": (
            model([node("Div", "a b", "e"), node("Slice", "x a e a", "y")],
                  {"a": _integers(1), "b": _integers(0)}),
            "divides by zero",
        ),
    }  # fmt: skip


def _structures() -> Mapping[str, tuple[onnx.ModelProto, str]]:
    newer = model([RELU], opset=99, ir_version=13)
    own = function("F", [node("Relu", "a", "b")], opset=99)
    itself = function("F", [call("F", "a", "b")])
    around = [function("F", [call("G", "a", "b")]), function("G", [call("F", "a", "b")])]
    looped = function(
        "F",
        [node("If", "a", "b", then_branch=branch([call("F", "a", "t")], "t"),
              else_branch=branch([node("Relu", "a", "t")], "t"))],
    )  # fmt: skip
    operator = function("Relu", [node("Tanh", "a", "b")])
    operator.domain = ""
    many = function("F", [node("Relu", "a", "b")], "a", "b")
    twice = model([RELU, node("Tanh", "x", "y")])
    shared = model([CONV], {"w": FILTERS}, "c")
    shared.graph.initializer.append(shared.graph.initializer[0])
    branches = {"then_branch": branch([node("Relu", "x", "t")], "t"),
                "else_branch": branch([node("Tanh", "x", "t")], "t")}  # fmt: skip
    condition = [node("ReduceMean", "x", "m", keepdims=0), node("Cast", "m", "on", to=9)]
    domain = {"domains": ["local"]}
    return {
        "a newer opset": (newer, "opset 99; the installed onnx"),
        "a newer opset of a function": (
            model([call("F", "x", "y")], functions=[own], **domain), "function F .*opset 99"),
        "opset 0": (model([RELU], opset=0), "opset 0"),
        "a function that calls itself": (
            model([call("F", "x", "y")], functions=[itself], **domain), "F calls itself"),
        "functions that call each other": (
            model([call("F", "x", "y")], functions=around, **domain), "calls itself"),
        "a function that calls itself in a branch": (
            model([call("F", "x", "y")], functions=[looped], **domain), "F calls itself"),
        "functions that call the next one twice": (
            model([call("F0", "x", "y")], functions=_doubling(40), **domain), "50,000 nodes"),
        "a function that redefines an operator": (
            model([RELU], functions=[operator]), "redefines"),
        "a call with too much": (
            model([call("F", "x x", "y")], functions=[many], **domain), r"takes 1 input"),
        "a tensor made twice": (twice, "'y' a second time"),
        "an edge from nowhere": (model([node("Relu", "z", "y")]), "reads 'z'"),
        "nodes in disorder": (
            model([node("Relu", "t", "y"), node("Tanh", "x", "t")]), "reads 't'"),
        "a weight stored twice": (shared, "'w' is stored twice"),
        "an input twice": (
            model([RELU], inputs=[value("x"), value("x")]), "two inputs are called 'x'"),
        "a condition of the image": (
            model([*condition, node("If", "on", "y", **branches)],
                  inputs=[value("x", [2, 3, 7, 8])]),
            r"cast_1 \(Cast\): supported to float32 alone, or of constants"),
        "a loop": (
            model([node("Loop", "- -", "y", body=branch([node("Relu", "x", "t")], "t"))]),
            "control flow"),
        "an unknown attribute": (model([node("Relu", "x", "y", up=1)]), "no attribute 'up'"),
        "an attribute of another type": (
            model([node("Flatten", "x", "y", axis=1.5)]), "'axis' is not of type INT"),
        "an attribute that is missing": (
            model([node("Concat", "x x", "y")]), "attribute 'axis' is missing"),
        "an operator that its opset deprecates": (
            model([node("Upsample", "x", "y")], opset=12), "export with another"),
        "indices where there is no row": (
            model([node("GatherElements", "x i", "y", axis=3)],
                  {"i": np.zeros((1, 4, 2, 2), np.int64)}), "do not fit"),
        "too many inputs": (model([node("Relu", "x x", "y")]), r"2 input\(s\)"),
        "the batch doubled": (_batch_times("Mul"), "node mul_2 .*batch size is multiplied"),
        "the batch and two more": (_batch_times("Add"), "batch size is added to"),
        "the batch halved": (_batch_times("Div"), "batch size is divided"),
        "statistics that train": (
            model([node("BatchNormalization", "x s b m v", "y mean var")],
                  {n: abs(normal(1, 3)) for n in "sbmv"}, opset=9), "optional outputs"),
    }  # fmt: skip


def _absurd() -> Mapping[str, tuple[onnx.ModelProto, str]]:
    far = 2**62
    window: dict[str, Any] = {"kernel_shape": [2, 2]}

    def pooled(**attributes: Any) -> onnx.ModelProto:
        return model([node("MaxPool", "x", "y", **{**window, **attributes})])

    dims = model([CONV], {"w": FILTERS}, "c")
    dims.graph.initializer[0].dims[0] = far
    less = model([CONV], {"w": FILTERS}, "c")
    less.graph.initializer[0].dims[0] = -1
    none = model([CONV], {"w": FILTERS[:0]}, "c")
    return {
        "a huge image": (_image("N", 3, far, far), "image"),
        "a large image": (_image("N", 3, 2**15, 2**15), "image"),
        "a negative size": (_image("N", 3, -7, 8), "image"),
        "a negative batch": (_image(-2, 3, 7, 8), "image"),
        "an empty image": (_image("N", 3, 0, 8), "image"),
        "a batch of none": (_image(0, 3, 7, 8), "image"),
        "no shape": (model([RELU], inputs=[value("x", None)]), "no shape"),
        "no dimension": (model([RELU], inputs=[value("x", [])]), "image|batch"),
        "a symbolic size": (_image("N", 3, "H", 8), "dimension 2 of input 'x' is symbolic"),
        "a huge weight": (dims, "'w'"),
        "a weight of negative size": (less, "'w' is damaged: .*negative"),
        "no filters": (none, "conv"),
        "huge strides": (pooled(strides=[far, far], pads=[far, 0, 0, 0]), "2,147,483,648 or more"),
        "a negative stride": (pooled(strides=[-1, 1]), "entry below 1"),
        "a huge window": (pooled(kernel_shape=[2**30, 1]), "does not fit"),
        "no window": (pooled(kernel_shape=[0, 1]), "entry below 1"),
        "huge padding": (
            model([node("Pad", "x p", "y")], {"p": _integers(0, 0, far, 0, 0, 0, 0, 0)}),
            "elements of an image",
        ),
        "a huge shape": (
            model([node("Reshape", "x s", "y")], {"s": _integers(0, far, far)}), "number of"),
        "a shape of minus five": (
            model([node("Reshape", "x s", "y")], {"s": _integers(0, -5, 2)}), "negative"),
        "an axis far away": (model([node("Softmax", "x", "y", axis=far)]), "out of range"),
        "groups of none": (
            model([node("Conv", "x w", "y", group=0)], {"w": FILTERS}), "group"),
        "a permutation of nothing": (
            model([node("Transpose", "x", "y", perm=[0, 0, 0, 0])]), "no permutation"),
        "filters of another rank": (
            model([node("Conv", "x w", "y")], {"w": np.ones((5, 3, 2), np.float32)}),
            "kernel_shape .2. .* not one for each of 2 axes"),
        "a window of another rank": (
            model([node("MaxPool", "x", "y", kernel_shape=[2])]), "kernel_shape"),
        "no operand": (model([node("HardSigmoid", "-", "y")]), "input 0 is absent"),
        "no second operand": (model([node("Add", "x -", "y")]), "input 1 is absent"),
        "a constant cast to nothing": (
            model([node("Cast", "w", "c", to=0), node("Mul", "x c", "y")], {"w": FILTERS}),
            "Cast"),
        "a file of weights whose name no system takes": (
            _external("w" * 5000), "cannot be read from w+"),
    }  # fmt: skip


def _external(location: str) -> onnx.ModelProto:
    """A network whose filters lie in another file."""
    made = model([CONV, node("Relu", "c", "y")])
    stored = made.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=FILTERS.shape)
    stored.data_location = TensorProto.EXTERNAL
    stored.external_data.add(key="location", value=location)
    return made


CASES = {
    f"{kind}: {name}": case
    for kind, cases in (
        ("output", _outputs()),
        ("constant", _constants()),
        ("structure", _structures()),
        ("absurd", _absurd()),
    )
    for name, case in cases.items()
}


@pytest.mark.parametrize(("made", "cause"), CASES.values(), ids=CASES)
def test_a_file_is_refused_in_one_line(made: onnx.ModelProto, cause: str, tmp_path: Path) -> None:
    error = refusal(made, tmp_path)
    raised = pytest.raises(CnnBenchError, match=cause)
    with raised:
        raise error


@pytest.mark.parametrize("kind", ["fifo", "device", "huge"])
def test_only_files_that_may_be_onnx_are_read(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, 2**31 + 1)
    with pytest.raises(UsageError, match=r"not a regular file|more than 2,147,483,648 bytes"):
        zoo.resolve(str(path))


def test_a_weight_without_a_name_is_passed_over(tmp_path: Path) -> None:
    yes = constant("yes", np.array(True))
    then = branch([node("Relu", "x", "t")], "t", **{"": FILTERS})
    other = branch([node("Cos", "x", "e")], "e")
    made = model([yes, node("If", "yes", "y", then_branch=then, else_branch=other)], {"": FILTERS})
    (tmp_path / "m.onnx").write_bytes(made.SerializeToString())
    graph = onnx_io.load(tmp_path / "m.onnx")
    assert [n.op_type for n in graph.nodes] == ["Relu"]
    assert not graph.weights


@pytest.mark.parametrize("field", ["name", "domain", "op_type"])
def test_control_characters_are_escaped(field: str, tmp_path: Path) -> None:
    made = _renamed(model([node("Sin", "x", "y")]), **{field: ESCAPES})
    assert "\\x1b[2J\\x1b[31mred\\r\\n\\t\\x07\\u202e" in str(refusal(made, tmp_path))


def test_a_name_of_a_megabyte_is_shortened(tmp_path: Path) -> None:
    made = _renamed(model([node("Sin", "x", "y")]), name="n" * 2**20)
    assert "not an operator of this project" in str(refusal(made, tmp_path))


def test_many_unsupported_nodes_are_told_by_operator(tmp_path: Path) -> None:
    nodes = [node("Sin", "x", "t0")]
    nodes += [node("Cos" if i % 2 else "Sin", f"t{i}", f"t{i + 1}") for i in range(60)]
    error = refusal(model(nodes, outputs="t60"), tmp_path)
    assert isinstance(error, UnsupportedOperatorError)
    assert len(error.nodes) == 61
    assert "cannot run 61 node(s): sin_0 and 30 more (Sin): not an operator" in str(error)


def test_unknown_nodes_of_a_branch_that_is_not_known_are_not_told(tmp_path: Path) -> None:
    nodes = [
        node("Sin", "x", "e", name="first"),
        node("Shape", "e", "s"),
        node("Gather", "s zero", "n"),
        node("Unsqueeze", "n zero", "m"),
        node("Concat", "m rest", "t", axis=0),
        node("Reshape", "e t", "y"),
    ]
    weights = {"zero": _integers(0), "rest": _integers(-1)}
    error = refusal(model(nodes, weights), tmp_path)
    assert isinstance(error, UnsupportedOperatorError)
    assert [name for name, _, _ in error.nodes] == ["first"]


def test_names_that_cannot_be_printed_stay_apart(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["a\n"], name="r\n"),
        helper.make_node("Tanh", ["x"], ["a\\n"], name="r\\n"),
        helper.make_node("Sub", ["a\n", "a\\n"], ["s"], name="\x1b[31m"),
    ]
    made = model(nodes, outputs="s")
    onnx.save(made, tmp_path / "m.onnx")
    graph = onnx_io.load(tmp_path / "m.onnx")
    names = [n.name for n in graph.nodes]
    tensors = [n.outputs[0] for n in graph.nodes]
    assert all(map(str.isprintable, names + tensors))
    assert len(set(names)) == len(set(tensors)) == 3
    assert graph.nodes[2].inputs == (tensors[0], tensors[1])


def test_an_input_of_integers_is_refused(tmp_path: Path) -> None:
    image = value("x", dtype=TensorProto.INT64)
    assert isinstance(refusal(model([RELU], inputs=[image]), tmp_path), InvalidModelError)

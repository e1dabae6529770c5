"""ONNX's own backend test cases, for every engine that takes a graph and gives outputs.

The cases come with the onnx package: generated node cases for the operators of this project,
and its folders simple, pytorch-operator and pytorch-converted.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test import loader

from columnar_nn.model import onnx_io
from columnar_nn.model.canonical import EXPRESSED
from columnar_nn.model.graph import Graph
from columnar_nn.model.operators import OPERATORS

KNOWN = frozenset(OPERATORS) | {"Constant", "ConstantOfShape"} | EXPRESSED
FOLDERS = ("simple", "pytorch-operator", "pytorch-converted")
TWO_SIDED = frozenset(
    {"Add", "And", "Concat", "Div", "Equal", "Greater", "GreaterOrEqual", "Less"}
    | {"LessOrEqual", "Max", "Mean", "Min", "Mul", "Or", "Sub", "Sum"}
)
"""Operators whose second input is data like the first, not a parameter.

That of MatMul is, too, where both are stacks of matrices of one length.
"""

OTHER_FLOATS = frozenset({"bfloat16", "float16", "float64"})

FIRST_OUTPUT = frozenset({"LayerNormalization"})
"""Operators whose cases ask for what training needs beside the first output: that alone is run."""

INTEGERS = ("int8", "uint8", "int16", "uint16")


@dataclass(frozen=True)
class Case:
    """One model with one set of inputs and the outputs ONNX expects, in the model's order."""

    name: str
    kind: str
    model: onnx.ModelProto
    inputs: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...]
    rtol: float
    atol: float


@cache
def all_cases() -> tuple[Case, ...]:
    """Node cases made of this project's operators only, then every case of the folders.

    But those of tensors that NumPy has no type for, as of four bits.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # making the cases of other operators warns
        node_cases = loader.load_model_tests(kind="node")
    found = [
        _between_floats(
            _first_output(
                Case(c.name, c.kind, c.model, tuple(inputs), tuple(outputs), c.rtol, c.atol)
            )
        )
        for c in node_cases
        if KNOWN.issuperset(node.op_type for node in c.model.graph.node)
        for inputs, outputs in c.data_sets[:1]
        if not any(isinstance(array, onnx.TensorProto) for array in (*inputs, *outputs))
    ]
    for kind in FOLDERS:
        for c in loader.load_model_tests(kind=kind):
            folder = Path(c.model_dir)
            data = folder / "test_data_set_0"
            found.append(
                Case(
                    c.name,
                    kind,
                    onnx.load(folder / "model.onnx"),
                    tuple(_arrays(data, "input")),
                    tuple(_arrays(data, "output")),
                    c.rtol,
                    c.atol,
                )
            )
    return tuple(found)


def _first_output(case: Case) -> Case:
    """The case without outputs for training: see FIRST_OUTPUT."""
    node = case.model.graph.node[-1]
    if node.op_type not in FIRST_OUTPUT:
        return case
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    del model.graph.node[-1].output[1:], model.graph.output[1:]
    return replace(case, model=model, outputs=case.outputs[:1])


def _between_floats(case: Case) -> Case:
    """A case of a tensor of integers with both ends in float32, in which every one is exact."""
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    node, integers = model.graph.node[0], (*case.inputs, *case.outputs)
    reads = node.op_type == "DequantizeLinear"
    tensor = integers[0] if reads else integers[-1]
    if not (reads or node.op_type == "QuantizeLinear") or str(tensor.dtype) not in INTEGERS:
        return case
    plain = [numpy_helper.from_array(np.float32(1), "one")]
    plain.append(numpy_helper.from_array(np.zeros((), tensor.dtype), "none"))
    model.graph.initializer.extend(plain)
    end = model.graph.input[0] if reads else model.graph.output[0]
    edges = [end.name, "float"][:: -1 if reads else 1]
    op_type = "QuantizeLinear" if reads else "DequantizeLinear"
    added = onnx.helper.make_node(op_type, [edges[0], "one", "none"], edges[1:])
    model.graph.node.insert(0 if reads else 1, added)
    end.name, end.type.tensor_type.elem_type = "float", onnx.TensorProto.FLOAT
    as_floats = tensor.astype(np.float32)
    inputs = (as_floats, *case.inputs[1:]) if reads else case.inputs
    outputs = case.outputs if reads else (as_floats,)
    return Case(f"{case.name}_between_floats", case.kind, model, inputs, outputs, 0, 0)


def _arrays(folder: Path, role: str) -> Iterator[np.ndarray]:
    """The arrays stored as <role>_0.pb, <role>_1.pb, ..."""
    for index in range(len(list(folder.glob(f"{role}_*.pb")))):
        content = (folder / f"{role}_{index}.pb").read_bytes()
        yield numpy_helper.to_array(onnx.TensorProto.FromString(content))


def _multiplies_stacks(node: onnx.NodeProto, shapes: Mapping[str, tuple[int, ...]]) -> bool:
    left, right = (shapes.get(name, ()) for name in (*node.input, "", "")[:2])
    return node.op_type == "MatMul" and min(len(left), len(right)) > 2 and left[0] == right[0]


def _parameters(node: onnx.NodeProto) -> Sequence[str]:
    """What an operator takes beside its data; of Where the truth values, which no image holds."""
    if node.op_type == "Where":
        return node.input[:1]
    return node.input[node.op_type != "ConstantOfShape" :]


def as_computed(array: np.ndarray) -> np.ndarray:
    """In float32, in which networks of all floating types are computed; truths are 1 and 0."""
    if not isinstance(array, np.ndarray | np.generic):
        return array
    if array.dtype != np.bool_ and array.dtype.name not in OTHER_FLOATS:
        return array
    with np.errstate(over="ignore"):  # some cases hold what happened to be in memory
        return array.astype(np.float32)


def graph_and_inputs(case: Case) -> tuple[Graph, dict[str, np.ndarray]]:
    """The imported network of a case, and its inputs by name.

    Many cases pass filters, axes or shapes as inputs; networks hold them as constants, so they
    become constants here. Raises what `onnx_io` raises.
    """
    model = onnx.ModelProto.FromString(case.model.SerializeToString())
    stored = {initializer.name for initializer in model.graph.initializer}
    names = [value.name for value in model.graph.input if value.name not in stored]
    shapes = {name: np.shape(array) for name, array in zip(names, case.inputs, strict=True)}
    parameters = {
        name
        for node in model.graph.node
        if node.op_type not in TWO_SIDED and not _multiplies_stacks(node, shapes)
        for name in _parameters(node)
    }
    inputs = {}
    for name, array in zip(names, case.inputs, strict=True):
        if name in parameters or not np.ndim(array):
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(array), name))
        else:
            inputs[name] = as_computed(array)
    return onnx_io.from_proto(model, Path(), case.name), inputs

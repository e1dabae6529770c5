"""columnar_nn/model/operators.py against ONNX's definitions, and every layer against the table."""

from __future__ import annotations

import ast
import importlib
import inspect
from collections.abc import Collection
from pathlib import Path

import onnx
import pytest
from conformance.op_cases import CASES

from columnar_nn.lowering.registry import LOWERINGS, WHEN_MET
from columnar_nn.model.canonical import EXPRESSED, TRAINING
from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.model.operators import OPERATORS, OPSET, SUMMING
from reference.operators import OPERATORS as REFERENCE

ROOT = Path(__file__).parent.parent.parent
LAYERS = ("reference", "lowering", "pytorch", "tensorflow")


def implemented(layer: str) -> Collection[str]:
    """The operators that a layer knows; skips the test without its framework."""
    if layer == "reference":
        return REFERENCE.keys()
    if layer == "lowering":
        importlib.import_module("columnar_nn.lowering.network")
        for module in WHEN_MET.values():
            importlib.import_module(f"columnar_nn.lowering.{module}")
        return LOWERINGS.keys()
    pytest.importorskip({"pytorch": "torch", "tensorflow": "tensorflow"}[layer])
    importlib.import_module(f"adapters.{layer}.operators")
    registry = importlib.import_module(f"adapters.{layer}.registry")
    operators: dict[str, object] = registry.OPERATORS
    return operators.keys()


@pytest.mark.parametrize("layer", LAYERS)
def test_every_layer_has_every_operator(layer: str) -> None:
    known = implemented(layer)
    missing = [
        f"{op_type} has no implementation in {layer}" for op_type in OPERATORS.keys() - known
    ]
    unknown = [f"{op_type} of {layer} is not in the table" for op_type in known - OPERATORS.keys()]
    assert not sorted(missing) + sorted(unknown)


def test_every_operator_has_a_conformance_case() -> None:
    covered = {node.op_type for case in CASES for node in case.graph.nodes}
    # The import drops Identity and Dropout unless they make an output, as in their own cases.
    assert OPERATORS.keys() - covered == set()


@pytest.mark.parametrize("op_type", OPERATORS)
def test_defaults_are_those_of_onnx(op_type: str) -> None:
    attributes = onnx.defs.get_schema(op_type, OPSET).attributes
    expected = {
        name: onnx.helper.get_attribute_value(attribute.default_value)
        for name, attribute in attributes.items()
        if attribute.default_value.name and name not in {*TRAINING, "auto_pad"}
    }
    texts = {name: v.decode() for name, v in expected.items() if isinstance(v, bytes)}
    assert OPERATORS[op_type].defaults == expected | texts


def test_traits_are_those_of_the_operators() -> None:
    """By what their rules and ONNX's schemas say of them."""
    assert {name for name, operator in OPERATORS.items() if operator.window} == {
        name
        for name in OPERATORS
        if {"kernel_shape", "strides"} <= onnx.defs.get_schema(name, OPSET).attributes.keys()
    }
    for name, operator in OPERATORS.items():
        schema = onnx.defs.get_schema(name, OPSET)
        assert not operator.unary or (schema.min_input, schema.max_input) == (1, 1)
        assert not (operator.unary and operator.renames)
        assert operator.unary <= (operator.defaults.keys() == schema.attributes.keys())
    assert {"Conv", "ConvTranspose", "Gemm", "MatMul"} == SUMMING
    moving = {"DepthToSpace", "Einsum", "GatherElements", "ScatterND", "SpaceToDepth", "Upsample"}
    quantizing = {"DequantizeLinear", "QuantizeLinear"}
    summing = {"GlobalLpPool", "LpPool", "Mean", "ReduceLogSum", "ReduceLogSumExp", "Sum"}
    assert moving | quantizing | summing | {"GlobalMaxPool", "Split"} == EXPRESSED


def test_a_graph_has_every_attribute_in_its_nodes() -> None:
    node = Node("n", "HardSigmoid", ("x",), ("y",), {"beta": 0.25})
    spec = (TensorSpec("x", (None, 4)),)
    graph = Graph("g", (node,), spec, (TensorSpec("y", (None, 4)),), {})
    assert graph.nodes[0].attributes == {"alpha": OPERATORS["HardSigmoid"].defaults["alpha"]} | {
        "beta": 0.25
    }
    assert graph.nodes == Graph("g", graph.nodes, spec, graph.outputs, {}).nodes


SAID_BY_ONNX = {name for operator in OPERATORS.values() for name in operator.defaults}


@pytest.mark.parametrize("op_type", OPERATORS)
def test_the_reference_says_no_default(op_type: str) -> None:
    parameters = inspect.signature(REFERENCE[op_type]).parameters
    for name in OPERATORS[op_type].defaults:
        assert parameters[name].default is inspect.Parameter.empty, name


@pytest.mark.parametrize("folder", ["columnar_nn", "adapters", "bench"])
def test_no_layer_says_a_default_again(folder: str) -> None:
    """No attribute of a node or call is looked up with a literal in case it is absent.

    But where older opsets had other defaults, or the table has no line, which the import knows.
    """
    knowing = {"canonical.py", "expressed.py", "lp_pools.py", "onnx_file.py", "quantization.py"}
    said = []
    for path in (ROOT / folder).rglob("*.py"):
        if path.name in knowing:
            continue
        for place in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(place, ast.Call) or not isinstance(place.func, ast.Attribute):
                continue
            key, *default = [*place.args, None][:2]
            looks_up = place.func.attr in ("get", "attribute", "setdefault")
            if (
                looks_up
                and isinstance(key, ast.Constant)
                and key.value in SAID_BY_ONNX
                and isinstance(default[0], ast.Constant)
            ):
                said.append(f"{path.relative_to(ROOT)}:{place.lineno}: {ast.unparse(place)}")
    assert not said

"""columnar_nn/model/einsum.py: every kind of equation, against numpy.einsum."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from closeness import assert_close
from conformance.columnar_runner import run_columnar
from generated import normal
from onnx import TensorProto, helper, numpy_helper

from columnar_nn.errors import CnnBenchError
from columnar_nn.model import onnx_io
from columnar_nn.model.graph import Graph
from reference.evaluate import evaluate

SIZES = {"n": 3, "i": 4, "j": 5, "k": 2, "h": 3, "d": 6}

OF_ROWS = [
    *("nij,jk->nik", "nij,kj->nki", "jk,nij->nik", "nij,nkj->nik", "nhid,nhjd->nhij"),
    *("nij->nji", "nij->ni", "nij,nij->ni", "nij,j->ni", "nij,ij->ni", "ni,nj->nij", "nihh->nih"),
    *(
        "nij,jk,kd->nid",
        "...j,jk->...k",
        "nij,n...j->n...i",
        "nii->ni",
        "njhid,nhid->nij",
    ),
]
OF_ALL = ["nij,jk", "nij->", "nij->j", "nn->n", "n,n", "nij,nij->", "nij,nik->jk"]


def imported(equation: str, batch: int | None) -> tuple[Graph, list[np.ndarray]]:
    """The network of an equation, and its operands, of which those without images are weights."""
    terms = equation.partition("->")[0].split(",")
    arrays = [normal(i, *(SIZES[c] for c in t.replace("...", "i"))) for i, t in enumerate(terms)]
    rows = [term.startswith("n") or term.startswith("...") for term in terms]
    names = [f"x{index}" for index in range(len(terms))]
    node = helper.make_node("Einsum", names, ["y"], equation=equation)
    if terms[0].startswith("..."):
        arrays[0] = normal(0, 3, 4, 5)
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch or "n", *array.shape[1:]])
        for name, array, has_rows in zip(names, arrays, rows, strict=True)
        if has_rows
    ]
    weights = [
        numpy_helper.from_array(array, name)
        for name, array, has_rows in zip(names, arrays, rows, strict=True)
        if not has_rows
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "einsum", inputs, [output], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    return onnx_io.from_proto(model, Path()), arrays


@pytest.mark.parametrize("equation", OF_ROWS + OF_ALL)
def test_equation(equation: str) -> None:
    graph, arrays = imported(equation, None if equation in OF_ROWS else SIZES["n"])
    expected = np.einsum(equation, *(array.astype(np.float64) for array in arrays))
    inputs = {f"x{index}": array for index, array in enumerate(arrays)}
    given = {spec.name: inputs[spec.name] for spec in graph.inputs}
    (actual,) = evaluate(graph.nodes, graph.weights, given, ["y"]).values()
    assert_close(actual, expected.astype(np.float32), rtol=1e-5, atol=1e-5)
    if equation in OF_ROWS:
        assert_close(run_columnar(graph, given)[0], actual, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("equation", ["nij,jk->nix", "nij->nn", "nij,jkd->nik", "ni->n"])
def test_what_is_no_equation_of_the_operands_is_refused(equation: str) -> None:
    terms = equation.partition("->")[0].split(",")
    shapes = [[3, 4, 5], [5, 2]][: len(terms)]
    inputs = [
        helper.make_tensor_value_info(f"x{index}", TensorProto.FLOAT, shape)
        for index, shape in enumerate(shapes)
    ]
    names = [value.name for value in inputs]
    node = helper.make_node("Einsum", names, ["y"], equation=equation)
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    graph = helper.make_graph([node], "einsum", inputs, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])
    with pytest.raises(CnnBenchError):
        onnx_io.from_proto(model, Path())

"""The work and memory of an import are bounded by the size of the file."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
import pytest
from model.onnx_models import branch, call, constant, function, model, node

from columnar_nn.errors import CnnBenchError, InvalidModelError
from columnar_nn.model import onnx_io

NUM_NODES = 20_000
CORPUS = Path(onnx.__file__).parent / "backend" / "test" / "data"


def _chain(
    op_type: str, first: str = "x", last: str = "y", **attributes: str
) -> list[onnx.NodeProto]:
    edges = [first, *(f"{last}{i}" for i in range(1, NUM_NODES)), last]
    return [node(op_type, a, b, **attributes) for a, b in pairwise(edges)]


LARGE = {
    "a chain": model(_chain("Relu")),
    "nodes of one name": model(_chain("Relu", name="same")),
    "a chain that computes a shape": model(
        [node("Shape", "x", "s"), *_chain("Identity", "s", "t"), node("Reshape", "x t", "y")]
    ),
    "one node of many inputs": model([node("Sum", " ".join(["x"] * NUM_NODES), "y")]),
    "names that collide": model(
        [
            *(node("Relu", "x", f"y.1{'' if i == 0 else f'_{i}'}") for i in range(NUM_NODES)),
            node("Sum", " ".join(["x"] * 100), "y"),
            node("Add", f"y y.1_{NUM_NODES - 1}", "z"),
        ],
        outputs="y z",
    ),
    "functions in functions": model(
        [call("F0", "x", "y")],
        functions=[
            *(function(f"F{i}", [call(f"F{i + 1}", "a", "b")]) for i in range(NUM_NODES)),
            function(f"F{NUM_NODES}", [node("Relu", "a", "b")]),
        ],
        domains=["local"],
    ),
}


@pytest.mark.parametrize("made", LARGE.values(), ids=LARGE)
def test_large_files_load_in_seconds(made: onnx.ModelProto, tmp_path: Path) -> None:
    onnx.save(made, tmp_path / "m.onnx")
    start = time.process_time()
    onnx_io.load(tmp_path / "m.onnx")
    assert time.process_time() - start < 20


def _refused(made: onnx.ModelProto, folder: Path, cause: str) -> None:
    onnx.save(made, folder / "m.onnx")
    start = time.process_time()
    with pytest.raises(InvalidModelError, match=cause):
        onnx_io.load(folder / "m.onnx")
    assert time.process_time() - start < 20


def test_branches_of_functions_that_call_functions_twice(tmp_path: Path) -> None:
    def taken(index: int) -> Sequence[onnx.NodeProto]:
        nodes = [call(f"F{index + 1}", "on a", "t"), call(f"F{index + 1}", "on t", "u")]
        other = branch([node("Relu", "a", "t")], "t")
        return [node("If", "on", "b", then_branch=branch(nodes, "u"), else_branch=other)]

    functions = [function(f"F{i}", taken(i), "on a") for i in range(40)]
    functions.append(function("F40", [node("Relu", "a", "b")], "on a"))
    nodes = [constant("on", True), call("F0", "on x", "y")]
    _refused(model(nodes, functions=functions, domains=["local"]), tmp_path, "50,000 nodes")


def test_a_constant_in_a_function_that_is_called_often(tmp_path: Path) -> None:
    large = constant("k", np.zeros(2**22, np.float32))
    body = [large, node("ReduceMax", "k", "m", keepdims=0), node("Add", "a m", "b")]
    names = ["x", *(f"t{i}" for i in range(300))]
    nodes = [call("F", a, b) for a, b in pairwise(names)]
    made = model(nodes, outputs=names[-1], functions=[function("F", body)], domains=["local"])
    _refused(made, tmp_path, "1 GiB")


def test_a_deep_nest_of_branches(tmp_path: Path) -> None:
    inner = branch([node("Relu", "x", "t0")], "t0")
    for depth in range(1, 25):
        both = {"then_branch": inner, "else_branch": branch([node("Tanh", "x", "u")], "u")}
        inner = branch([node("If", "on", f"t{depth}", **both)], f"t{depth}")
    both = {"then_branch": inner, "else_branch": branch([node("Tanh", "x", "u")], "u")}
    onnx.save(model([node("If", "on", "y", **both)], {"on": True}), tmp_path / "m.onnx")
    assert [n.op_type for n in onnx_io.load(tmp_path / "m.onnx").nodes] == ["Relu"]


def test_every_model_of_the_onnx_package_is_a_graph_or_one_line() -> None:
    paths = [path for path in CORPUS.rglob("*.onnx") if path.parent.name != "light"]
    loaded = 0
    for path in paths:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            try:
                onnx_io.load(path)
                loaded += 1
            except CnnBenchError as error:
                message = str(error)
                assert message.isprintable()
                assert len(message) < 500
    assert loaded > 80
    assert len(paths) > 130


@pytest.mark.parametrize("path", sorted(CORPUS.glob("light/*.onnx")), ids=lambda path: path.stem)
def test_light_networks_load(path: Path) -> None:
    graph = onnx_io.load(path)
    assert [spec.shape[1] for spec in graph.outputs] == [1000]


FILLED = [
    node("ConstantOfShape", "dims", "a"),
    node("ReduceMean", "r", "mean", keepdims=0),
    node("Add", "x mean", "y"),
]
WORK = {
    "what takes no memory is not read at length": (
        [FILLED[0], node("ReduceMean", "a", "r"), *FILLED[1:]],
        {"dims": np.array([2**40, 2**20])},
    ),
    "element by element": (
        [FILLED[0], node("Erf", "a", "r"), *FILLED[1:]],
        {"dims": np.array([2**27])},
    ),
    "one large constant read again and again": (
        [
            node("Tile", "one dims", "a"),
            *(node("ReduceMax", "a", f"r{i}") for i in range(100)),
            node("Sum", " ".join(f"r{i}" for i in range(100)), "r"),
            *FILLED[1:],
        ],
        {"one": np.ones(1, np.float32), "dims": np.array([2**26])},
    ),
    "many products": (
        [
            node("Tile", "one dims", "a"),
            *(node("MatMul", "a a", f"r{i}") for i in range(300)),
            node("Sum", " ".join(f"r{i}" for i in range(300)), "r"),
            *FILLED[1:],
        ],
        {"one": np.ones((1, 1), np.float32), "dims": np.array([2000, 2000])},
    ),
}


@pytest.mark.parametrize(("nodes", "weights"), WORK.values(), ids=WORK)
def test_the_work_on_constants_is_bounded(
    nodes: list[onnx.NodeProto], weights: dict[str, np.ndarray], tmp_path: Path
) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model(nodes, weights), path)
    with pytest.raises(InvalidModelError, match=r"takes too long; export with"):
        onnx_io.load(path)

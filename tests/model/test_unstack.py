"""columnar_nn/model/unstack.py: reductions of stacked tensors, against ONNX Runtime on the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from model.onnx_models import model, node
from model.test_import_reads import check

from columnar_nn.model import onnx_io
from columnar_nn.model.unstack import CHAINED, unstack_reductions


def stacked(op_type: str, axis: int = 0, **attributes: int) -> onnx.ModelProto:
    """torch.stack([relu(x), tanh(x), x], axis), reduced along it."""
    nodes = [node("Relu", "x", "r"), node("Tanh", "x", "t")]
    nodes += [node("Unsqueeze", f"{name} axis", f"{name}.u") for name in "rtx"]
    nodes += [
        node("Concat", "r.u t.u x.u", "s", axis=axis),
        node(op_type, "s axis", "y", **attributes),
    ]
    return model(nodes, {"axis": np.array([axis])}, opset=18)


@pytest.mark.parametrize("op_type", CHAINED)
def test_the_engine_runs_reductions_of_stacked_tensors(op_type: str, tmp_path: Path) -> None:
    check(stacked(op_type, keepdims=0), tmp_path / "m.onnx")


@pytest.mark.parametrize("made", [stacked("ReduceSum", keepdims=1), stacked("ReduceSum", 1)])
def test_others_stay(made: onnx.ModelProto) -> None:
    graph = onnx_io.from_proto(made, Path(), without=("unstack_reductions",))
    assert unstack_reductions(graph).nodes == graph.nodes

"""A file with several unknown operators, given to the command line as a user would."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper


@pytest.mark.parametrize(
    "command", [["compare", "--model"], ["profile", "--model"], ["explain"]], ids=lambda c: c[0]
)
def test_all_are_named_in_one_line(command: list[str], tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Sin", ["x"], ["a"], name="first"),
        helper.make_node("Relu", ["a"], ["b"], name="fine"),
        helper.make_node("Gelu", ["b"], ["c"], name="second", domain="com.microsoft"),
        helper.make_node("Cos", ["c"], ["y"], name="third"),
    ]
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 3, 4, 4])],
    )
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets), tmp_path / "unknown.onnx")
    path = str(tmp_path / "unknown.onnx")
    done = subprocess.run(
        [sys.executable, "-m", "cnn_bench", *command, path],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"cnn-bench: error: {path}: the ONNX importer cannot run 3 node(s): "
        "first (Sin): not an operator of this project; "
        "second (Gelu): operator of another domain, com.microsoft; "
        "third (Cos): not an operator of this project\n"
    )

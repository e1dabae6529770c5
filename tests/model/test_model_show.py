"""`cnn-bench model show`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from bench.cli.model import app
from bench.text.table_style import WIDTH
from columnar_nn.model import onnx_io, zoo
from columnar_nn.model.graph import Graph, Node, TensorSpec


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["show", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_table_of_plain9() -> None:
    lines = [line.split() for line in shown("plain9").splitlines()]
    rows = {line[0]: line[1:] for line in lines if line}
    assert rows["conv1"] == ["Conv", "Nx16x30x30", "3x3", "/1", "+0", "448", "388,800"]
    assert rows["dense"] == ["Gemm", "Nx10", "3,250", "3,240"]
    assert rows["total"] == ["75,907", "34,475,112"]


@pytest.mark.parametrize("model", zoo.BUILDERS)
def test_every_network_fits_the_width_of_a_terminal(
    model: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = zoo.resolve(model)
    monkeypatch.setattr(zoo, "resolve", lambda *_: graph)
    for width in (WIDTH, 80):
        monkeypatch.setenv("COLUMNS", str(width))
        assert max(map(len, shown(model).splitlines())) <= width


def test_uneven_windows_are_told_side_by_side(tmp_path: Path) -> None:
    attributes = {"kernel_shape": [2, 3], "strides": [1, 2], "pads": [0, 1, 0, 1]}
    graph = Graph(
        "uneven",
        (Node("pool", "MaxPool", ("image",), ("pooled",), attributes),),
        (TensorSpec("image", (None, 3, 8, 8)),),
        (TensorSpec("pooled", (None, 3, 7, 4)),),
        {},
    )
    onnx_io.save(graph, tmp_path / "uneven.onnx")
    (line,) = [x for x in shown(str(tmp_path / "uneven.onnx")).splitlines() if "pool" in x]
    assert line.split() == ["pool", "MaxPool", "Nx3x7x4", "2x3", "/1,2", "+0,1,0,1", "0", "0"]


def test_json_holds_the_same() -> None:
    network = json.loads(shown("plain9", "--json"))
    assert (network["name"], network["parameters"], network["macs"]) == (
        "plain9", 75_907, 34_475_112)  # fmt: skip
    assert sum(layer["parameters"] for layer in network["layers"]) == 75_907
    assert network["layers"][0]["output_shape"] == [None, 16, 30, 30]

"""`cnn-bench model show`."""

from __future__ import annotations

import json

from typer.testing import CliRunner

from bench.cli.model import app


def shown(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["show", *arguments], catch_exceptions=False)
    assert result.exit_code == 0
    return result.output


def test_table_of_plain9() -> None:
    lines = [line.split() for line in shown("plain9").splitlines()]
    rows = {line[0]: line[1:] for line in lines}
    assert rows["conv1"] == ["Conv", "Nx16x30x30", "3x3", "1,1", "0,0,0,0", "448", "388,800"]
    assert rows["dense"] == ["Gemm", "Nx10", "3,250", "3,240"]
    assert rows["total"] == ["75,907", "34,475,112"]


def test_json_holds_the_same() -> None:
    network = json.loads(shown("plain9", "--json"))
    assert (network["name"], network["parameters"], network["macs"]) == (
        "plain9", 75_907, 34_475_112)  # fmt: skip
    assert sum(layer["parameters"] for layer in network["layers"]) == 75_907
    assert network["layers"][0]["output_shape"] == [None, 16, 30, 30]

"""`cnn-bench model list`."""

from __future__ import annotations

import json

import onnx
import pytest

from bench.cli import commands
from columnar_nn.model import zoo


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if there were not so many networks: some are large."""
    names = ("plain9", "resnet20", "squeezenet")
    monkeypatch.setattr(zoo, "BUILDERS", {name: zoo.BUILDERS[name] for name in names})


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert commands.run(["model", "list", *arguments]) == 0
    return capsys.readouterr().out


@pytest.mark.slow
def test_figures_are_those_of_model_show(capsys: pytest.CaptureFixture[str]) -> None:
    networks = json.loads(listed(capsys, "--json"))["networks"]
    assert [network["name"] for network in networks] == list(zoo.BUILDERS)
    for network in networks:
        commands.run(["model", "show", network["name"], "--json"])
        shown = json.loads(capsys.readouterr().out)
        assert (network["parameters"], network["macs"]) == (shown["parameters"], shown["macs"])


@pytest.mark.parametrize("name", ["plain9", "squeezenet", "vit_tiny", "mobilenet_v3"])
def test_an_outline_is_the_network_without_its_values(name: str) -> None:
    outline, built = zoo.outline(name), zoo.build(name)
    assert (outline.name, outline.nodes) == (built.name, built.nodes)
    assert (outline.inputs, outline.outputs) == (built.inputs, built.outputs)
    shapes = [
        {tensor: (w.shape, w.dtype) for tensor, w in graph.weights.items()}
        for graph in (outline, built)
    ]
    assert shapes[0] == shapes[1]


@pytest.mark.usefixtures("few")
def test_trained_weights_are_told_from_random_ones(capsys: pytest.CaptureFixture[str]) -> None:
    """Two builds of a network from its seed are alike; what was trained is unlike them."""
    weights = {n["name"]: n["weights"] for n in json.loads(listed(capsys, "--json"))["networks"]}
    for name, said in weights.items():
        resolved, built = zoo.resolve(name).weights, zoo.build(name).weights
        alike = resolved.keys() == built.keys() and all(
            (resolved[tensor] == built[tensor]).all() for tensor in built
        )
        assert (said == "random") is alike


@pytest.mark.usefixtures("few")
def test_operators_are_of_onnx(capsys: pytest.CaptureFixture[str]) -> None:
    operators = json.loads(listed(capsys, "--json"))["operators"]
    assert {"Conv", "Split", "Einsum", "QuantizeLinear"} <= set(operators)
    assert all(onnx.defs.has(name) for name in operators if "::" not in name)
    shown = listed(capsys)
    assert all(name in shown for name in (*operators, *zoo.BUILDERS))

"""Rows of the table, and the nodes of a backend's fused operators, from made-up operators."""

from __future__ import annotations

import pytest
from profiling.residual_network import residual_network
from rich.console import Console

from adapters.fused_nodes import fused_nodes, nodes_between
from adapters.operator_profile import OperatorProfile
from bench.machine.disturbance import Disturbance
from bench.profile import report
from bench.profile.result import BackendProfile, ProfiledRun, ProfileResult
from bench.profile.rows import RowTime, layer_rows, row_name, row_time
from bench.verdict.status import CRASHED, PASSED, SKIPPED
from columnar_nn.model.graph import Graph, Node, TensorSpec


def operators(*groups: str) -> tuple[OperatorProfile, ...]:
    """One a group of nodes "a+b", of 1, 2, 4 ... seconds."""
    return tuple(
        OperatorProfile(tuple(filter(None, group.split("+"))), "kernel", 2.0**index, 1)
        for index, group in enumerate(groups)
    )


def result(*backends: tuple[OperatorProfile, ...]) -> ProfileResult:
    return ProfileResult(
        {},
        1,
        tuple(
            BackendProfile("fake", "x", PASSED, profiled=(ProfiledRun(9.0, b),)) for b in backends
        ),
    )


def test_rows_join_what_any_engine_fuses() -> None:
    fused = operators("conv1+relu1", "block.conv2", "block.add+block.relu2", "dense")
    apart = operators("dense", "conv1", "relu1", "block.conv2+block.add", "pool", "")
    assert layer_rows(residual_network(), result(fused, apart)) == [
        ("conv1", "relu1"),
        ("block.conv2", "block.add", "block.relu2"),
        ("pool",),
        ("dense",),
    ]
    assert layer_rows(residual_network(), result()) == []


def test_cells_add_up_and_say_what_is_fused() -> None:
    mine = operators("conv1", "relu1", "block.conv2+block.add", "block.relu2", "")
    assert row_time(mine, ("conv1", "relu1")) == RowTime(3.0, fused=False)
    assert row_time(mine, ("block.conv2", "block.add", "block.relu2")) == RowTime(12.0, fused=True)
    assert row_time(mine, ()) == RowTime(16.0, fused=False)
    assert row_time(mine, ("pool",)) is None


@pytest.mark.parametrize(
    ("nodes", "name"),
    [
        (["conv1"], "conv1"),
        (["conv1", "relu1"], "conv1+relu1"),
        (["block.conv2", "block.add"], "block.conv2+add"),
        (["a.b.x", "a.b.y", "a.z"], "a.b.x+b.y+z"),
        (["layer"] * 9, "layer+layer+layer+layer+.. (9)"),
        (["n" * 40], "n" * 28 + ".."),
    ],
)
def test_names_of_rows(nodes: list[str], name: str) -> None:
    assert row_name(nodes) == name


def test_the_median_run_and_exit_code() -> None:
    runs = tuple(ProfiledRun(seconds, ()) for seconds in (5.0, 1.0, 3.0, 4.0))
    backend = BackendProfile("fake", "x", PASSED, profiled=runs, plain=(2.0, 9.0, 4.0))
    assert backend.median_run == runs[2]
    assert backend.plain_seconds == 4.0
    assert backend.profiling_cost == 1.0 / 2.0 - 1
    skipped, crashed = BackendProfile("a", "b", SKIPPED), BackendProfile("a", "b", CRASHED)
    assert skipped.median_run is skipped.plain_seconds is None
    assert ProfileResult({}, 1, (backend, skipped)).exit_code() == 0
    assert ProfileResult({}, 1, (backend, crashed)).exit_code() == 1


@pytest.mark.parametrize(("steal", "mark"), [(0.05, ""), (0.5, "*")])
def test_what_others_disturbed_is_marked(steal: float, mark: str) -> None:
    taken = Disturbance(1.0, steal, 0.0, (), 0)
    backend = BackendProfile("fake", "x", PASSED, plain=(2.0,), disturbances=(taken,))
    context = {
        "machine": {"brand": "a processor"},
        "settings": {"cpus": [0], "batch_size": 1},
        "model": {"name": "small"},
        "data": {"name": "synthetic"},
        "warnings": [],
    }
    console = Console(width=100, force_terminal=False)
    with console.capture() as capture:
        report.show(ProfileResult(context, 1, (backend,)), [], console)
    lines = capture.get().splitlines()
    assert ["layer", f"x{mark}"] in [line.split() for line in lines]
    assert any("others took over 10% of the time" in line for line in lines) == bool(mark)


def test_a_fused_operator_is_named_after_its_last_node() -> None:
    graph = residual_network()
    ran = {"relu1": ["Conv"], "block.relu2": ["Conv"], "pool": ["MaxPool"], "dense": ["Gemm"]}
    assert fused_nodes(graph, ran) == {
        "relu1": ("conv1", "relu1"),
        "block.relu2": ("block.conv2", "block.add", "block.relu2"),
        # Flattening only renames what is there already.
        "pool": ("pool", "flatten"),
        "dense": ("dense",),
    }


def test_a_fused_operator_is_named_after_its_first_node() -> None:
    ran = {"conv1": ["Conv"], "block.conv2": ["Conv"], "pool": ["MaxPool"], "dense": ["Gemm"]}
    nodes = fused_nodes(residual_network(), ran)
    assert nodes["conv1"] == ("conv1", "relu1")
    assert nodes["block.conv2"] == ("block.conv2", "block.add", "block.relu2")


def test_padding_alone_is_not_its_convolution() -> None:
    ran = {"conv1": ["Pad"], "relu1": ["_FusedConv2D"]}
    nodes = fused_nodes(residual_network(), ran)
    assert nodes["relu1"][:2] == ("conv1", "relu1")
    assert nodes["conv1"] == ("conv1",)


def test_a_pad_before_a_product_belongs_to_it() -> None:
    graph = Graph(
        "padded",
        (
            Node("relu", "Relu", ("image",), ("r",)),
            Node("pad", "Pad", ("r", "pads"), ("p",)),
            Node("conv", "Conv", ("p", "w"), ("c",)),
        ),
        (TensorSpec("image", (None, 1, 4, 4)),),
        (TensorSpec("c", (None, 1, 4, 4)),),
        residual_network().weights | {"pads": None, "w": None},  # type: ignore[dict-item]
    )
    ran = {"relu": ["Relu"], "conv": ["Conv"]}
    assert fused_nodes(graph, ran) == {"relu": ("relu",), "conv": ("pad", "conv")}


def test_nodes_between_tensors() -> None:
    graph = residual_network()
    assert nodes_between(graph, ("r1",), "r2") == ("block.conv2", "block.add", "block.relu2")
    assert nodes_between(graph, ("p",), "logits") == ("flatten", "dense")

"""`cnn-bench explain`, run as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from columnar_nn import models
from columnar_nn.layer_table import layers


def explain(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "bench.cli.app", "explain", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def output(*arguments: str) -> str:
    finished = explain(*arguments)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_the_plan_and_the_work_of_every_layer() -> None:
    lines = output("plain9").splitlines()
    assert lines[0].startswith("-- Project[1][expressions: (logits:ARRAY<REAL>, pipeline(dense_")
    assert lines[1] == "  -- TableScan[0][table: arrow_table] -> image:ARRAY<TINYINT>"
    steps = [line.split()[0] for line in lines[4:-2]]
    assert steps == ["pixels_to_float", *(f"conv{i}+relu{i}" for i in range(1, 8)), "dense"]
    assert "us" not in lines[3]


def test_the_peak_activation_memory_of_a_chain_is_that_of_two_neighbours() -> None:
    line = output("plain9").splitlines()[-1]
    sizes = [4 * 3 * 32 * 32]
    for layer in layers(models.build("plain9")):
        if layer.op_type == "Conv":
            _, channels, height, width = (dimension or 1 for dimension in layer.output_shape)
            sizes.append(4 * -(-channels // 16) * 16 * height * width)
    peak = max(left + right for left, right in pairwise(sizes)) / 1e3
    assert line == (
        f"peak activation memory of an image: {peak:.1f} kB; at least {peak:.1f} kB live at once; "
        f"{sum(sizes) / 1e3:.1f} kB if none shared"
    )


def test_operations_agree_with_the_layer_table() -> None:
    plan = json.loads(output("plain9", "--fusion", "none", "--format", "json"))
    flops: dict[str, int] = {}
    for kernel in plan["kernels"]:
        name = kernel["operator_name"]
        flops[name] = flops.get(name, 0) + kernel["flops_per_image"]
    graph = models.build("plain9")
    for layer in layers(graph):
        if layer.macs:
            elements = 1
            for dimension in layer.output_shape[1:]:
                elements *= dimension or 1
            assert flops[layer.name] == 2 * layer.macs + elements  # and its bias


@pytest.mark.parametrize("threads", [1, 2])
def test_analyze_measures_what_it_ran(threads: int, tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    options = ("--samples", "40", "--threads", str(threads), "--trace", str(trace))
    plan = json.loads(output("plain9", "--analyze", "--format", "json", *options))
    found: list[dict[str, Any]] = []
    node = plan
    while node:
        found.append(node)
        assert {
            "operator_type",
            "operator_name",
            "operator_timing",
            "operator_cardinality",
            "children",
        } <= set(node)
        assert node["operator_cardinality"] == 40
        assert node["operator_timing"] > 0
        node = node["children"][0] if node["children"] else None
    types = [node["operator_type"] for node in found]
    assert types == ["LocalPartition"] * (threads > 1) + ["Project", "TableScan"]
    kernels = next(node["kernels"] for node in found if node["operator_type"] == "Project")
    project = next(node for node in found if node["operator_type"] == "Project")
    assert 0 < sum(kernel["operator_timing"] for kernel in kernels) <= project["operator_timing"]
    assert all(kernel["roofline_share"] > 0 for kernel in kernels)
    assert json.loads(trace.read_text())["traceEvents"]


def test_analyze_as_text() -> None:
    text = output("plain9", "--analyze", "--samples", "8", "--fusion", "layer")
    assert "Output: 8 rows (320B, 1 batches), Cpu time: " in text
    assert "profiling changed CPU time by" in text
    assert "peak of a core, measured" in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plain8",), "unknown model 'plain8'"),
        (("plain9", "--fusion", "most"), "no fusion level 'most': use none, layer, pipeline"),
        (("plain9", "--algorithm", "fft"), "no algorithm 'fft'"),
        (("plain9", "--format", "xml"), "--format 'xml': choose from text, json"),
        (("plain9", "--backend", "torch"), "--backend 'torch': choose from columnar, velox"),
        (
            ("plain9", "--backend", "velox", "--formulation", "nope"),
            "no formulation 'nope': use winograd",
        ),
    ],
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    finished = explain(*arguments)
    assert finished.returncode == 2
    assert message in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


def test_the_plans_of_velox() -> None:
    pytest.importorskip("pyvelox")
    tasks = json.loads(output("plain9", "--backend", "velox", "--format", "json"))
    assert {task["name"].partition(" ")[0] for task in tasks} >= {f"conv{i}" for i in range(1, 8)}
    for task in tasks:
        node = task["plan"]
        assert node["operator_timing"] is None
        while node["children"]:
            (node,) = node["children"]
        assert node["operator_type"] == "Values"
    analyzed = output("plain9", "--backend", "velox", "--analyze", "--samples", "2")
    assert "conv7" in analyzed
    assert "Output: " in analyzed

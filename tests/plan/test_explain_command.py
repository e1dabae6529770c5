"""`cnn-bench explain`, run as a user runs it."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from profiling.residual_network import residual_network

from bench.explain import text as explain_text
from bench.explain import velox as velox_explain
from columnar_nn.model import onnx_io, zoo
from columnar_nn.model.layer_table import layers


def explain(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cnn_bench", "explain", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def output(*arguments: str) -> str:
    finished = explain(*arguments)
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_the_plan_and_the_work_of_every_layer() -> None:
    lines = output("plain9").splitlines()
    assert lines[0].startswith("-- Project[1][expressions: (logits:ARRAY<REAL>, pipeline(dense_")
    assert lines[1] == "  -- TableScan[0][table: arrow_table] -> image:ARRAY<TINYINT>"
    steps = [line.split()[0] for line in lines[4:13]]
    assert steps == ["pixels_to_float", *(f"conv{i}+relu{i}" for i in range(1, 8)), "dense"]
    assert lines[13].startswith("error: most that rounding can change an output by")
    assert "us" not in lines[3]


def test_the_peak_activation_memory_of_a_chain_is_that_of_two_neighbours() -> None:
    line = output("plain9").splitlines()[-1]
    sizes = [4 * 3 * 32 * 32]
    for layer in layers(zoo.build("plain9")):
        if layer.op_type == "Conv":
            _, channels, height, width = (dimension or 1 for dimension in layer.output_shape)
            sizes.append(4 * -(-channels // 16) * 16 * height * width)
    peak = max(left + right for left, right in pairwise(sizes)) / 1e3
    assert line == (
        f"peak activation memory of an image: {peak:.1f} kB; least possible {peak:.1f} kB; "
        f"none shared {sum(sizes) / 1e3:.1f} kB"
    )


def test_operations_agree_with_the_layer_table() -> None:
    plan = json.loads(output("plain9", "--fusion", "none", "--format", "json"))
    flops: dict[str, int] = {}
    for kernel in plan["children"][0]["kernels"]:
        name = kernel["operator_name"]
        flops[name] = flops.get(name, 0) + kernel["flops_per_image"]
    graph = zoo.build("plain9")
    for layer in layers(graph):
        if layer.macs:
            elements = 1
            for dimension in layer.output_shape[1:]:
                elements *= dimension or 1
            assert flops[layer.name] == 2 * layer.macs + elements  # and its bias


def test_the_bound_of_the_rounding_error_of_every_convolution() -> None:
    graph = zoo.resolve("plain9")
    for algorithm in ("direct", "auto"):
        plan = json.loads(output("plain9", "--algorithm", algorithm, "--format", "json"))
        for kernel in plan["children"][0]["kernels"]:
            name, bound = kernel["operator_name"].partition("+")[0], kernel["error_bound"]
            if not name.startswith("conv"):
                assert bound == 0
                continue
            weight = graph.weights[f"{name}.weight"]
            direct = np.abs(weight).sum(axis=(1, 2, 3)).max() * weight[0].size * 2.0**-24
            if "winograd" in kernel["operator_type"]:
                assert bound > 2 * direct
            else:
                assert bound == pytest.approx(direct, rel=0.05)  # besides the last rounding


@pytest.mark.parametrize("threads", [1, 2])
def test_analyze_measures_what_it_ran(threads: int, tmp_path: Path) -> None:
    trace = tmp_path / "trace.json"
    options = ("--samples", "40", "--threads", str(threads), "--trace", str(trace))
    document = json.loads(output("plain9", "--analyze", "--format", "json", *options))
    found: list[dict[str, Any]] = []
    (node,) = document["children"]
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
    assert json.loads(trace.read_text())["traceEvents"]
    assert document["images"] == 40
    total = sum(node["operator_timing"] for node in found)
    assert document["operator_time"] == pytest.approx(total)
    assert total <= threads * document["latency"]
    assert sum(node["extra_info"]["share"] for node in found) == pytest.approx(1)
    assert sum(k["share"] for k in kernels) <= project["extra_info"]["share"]
    for kernel in kernels:
        seconds = kernel["operator_timing"] / 40
        assert kernel["share"] == pytest.approx(40 * seconds / total)
        assert kernel["gflops"] == pytest.approx(kernel["flops_per_image"] / seconds / 1e9)
        read = kernel["input_bytes_per_image"] + kernel["weight_bytes"]
        executed = 2 * kernel["multiply_adds_per_image"] or kernel["flops_per_image"]
        least, held = executed / 1e9 / document["peak_gflops"], 0
        for level, bandwidth in document["peak_gigabytes_per_second"].items():
            crossing = max(0, read - held) + max(0, kernel["output_bytes_per_image"] - held)
            least = max(least, crossing / 1e9 / bandwidth)
            held = document["cache_bytes"].get(level)
        assert kernel["roofline_share"] == pytest.approx(least / seconds)


@pytest.mark.parametrize("fusion", ["none", "layer", "pipeline"])
def test_no_kernel_is_above_the_roofline(fusion: str) -> None:
    options = ("--analyze", "--samples", "64", "--format", "json", "--fusion", fusion)
    (project,) = json.loads(output("plain9", *options))["children"]
    shares = {k["operator_name"]: k["roofline_share"] for k in project["kernels"]}
    assert max(shares.values()) <= 1.05, shares


def figure_line(lines: list[str], name: str) -> str:
    """The first line that begins so: the table's, should a note begin so too."""
    return next(line for line in lines if line.startswith(name))


def figures(lines: list[str], name: str) -> list[str]:
    return figure_line(lines, name).split()


def test_a_profiled_stream_has_drivers_however_short_it_is() -> None:
    for threads, reason in ((1, False), (2, True)):
        text = output("plain9", "--analyze", "--samples", "8", "--threads", str(threads))
        assert (": 2 drivers instead of 1" in text) == reason


def test_analyze_as_text() -> None:
    text = output("plain9", "--analyze", "--samples", "8", "--fusion", "layer")
    assert "Output: 8 rows (320B, 1 batches), Cpu time: " in text
    assert "profiling changed the fastest of 5 runs by" in text
    assert "peak of a core, measured" in text
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("operator, step"))
    assert max(map(len, lines[4:])) <= 100
    times = lines[start + 1 :]
    shares = [float(figures(times, name)[2].strip("%")) for name in ("Project[1]", "TableScan[0]")]
    assert sum(shares) == pytest.approx(100, abs=0.1)
    kernels = [line.split() for line in times[1:10]]
    assert [row[0] for row in kernels] == [
        "pixels_to_float",
        *(f"conv{i}+relu{i}" for i in range(1, 8)),
        "dense",
    ]
    outside = figures(times, "  outside kernels")
    project = float(figures(times, "Project[1]")[1])
    parts = [float(row[2]) for row in [*kernels, outside]]
    assert sum(parts) == pytest.approx(project, abs=0.05 * len(parts) + 0.05)


def broken_apart(text: str) -> str:
    """A text without what breaking its lines may add or take."""
    return "".join(text.split())


@pytest.mark.parametrize("width", [40, 80, 100])
def test_on_a_terminal_long_lines_are_broken_and_nothing_is_lost(width: int) -> None:
    plan = output("plain9").partition("\n\n")[0]
    assert explain_text.fit(plan, None) == plan
    fitted = explain_text.fit(plan, width)
    assert max(map(len, fitted.splitlines())) <= width
    assert broken_apart(fitted) == broken_apart(plan)
    assert fitted.splitlines()[-1].endswith("image:ARRAY<TINYINT>")


@pytest.mark.parametrize(
    ("width", "left_out"), [(None, []), (22, []), (21, ["c"]), (18, ["c"]), (17, ["c", "b"])]
)
def test_a_table_leaves_out_columns_that_do_not_fit(width: int | None, left_out: list[str]) -> None:
    rows = [("first", "10.0", "2.00", "3"), ("second", "1.0", "2", "30")]
    text = explain_text.table(("name", "a", "b", "c"), rows, 1, width, ("c", "b"))
    heading, *lines = text.splitlines()
    assert heading.split() == [n for n in ("name", "a", "b", "c") if n not in left_out]
    assert lines[0].split()[:2] == ["first", "10.0"]
    said = [f"left out for want of columns, in JSON: {', '.join(left_out)}"]
    assert lines[2:] == (said if left_out else [])


def test_each_layer_has_a_line_of_its_own() -> None:
    lines = explain_text.fit(output("plain9").partition("\n\n")[0], 100).splitlines()
    for layer in range(2, 8):
        assert sum(f"conv{layer}.weight" in line for line in lines) == 1
        assert any(line.strip().startswith(f"conv{layer}.weight") for line in lines)


def test_what_is_left_out_of_a_long_node_of_velox_is_counted() -> None:
    terms = ",".join(f'multiply(ROW["t{i}"],ROW["w{i}"])' for i in range(300))
    columns = ", ".join(f"t{i}:REAL" for i in range(300))
    what = f"  -- Project[1][expressions: (y, {terms})"
    shown, _, left = velox_explain.shortened(f"{what}] -> {columns}").partition(" ... ")
    assert what.startswith(shown)
    assert 200 < len(shown) <= velox_explain.SHOWN_CHARACTERS
    calls = 300 - shown.count("multiply(")
    assert left == (
        f"{calls} more calls, {len(what) - len(shown):,} characters] -> "
        "t0:REAL, t1:REAL, t2:REAL, t3:REAL, ... 296 more"
    )
    for short in ("-- Values[0][6 rows in 1 vectors] -> p:TINYINT", "-- Values[0]"):
        assert velox_explain.shortened(short) == short


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("plain8",), "unknown model 'plain8'"),
        (("plain9", "--fusion", "most"), "no fusion level 'most': use none, layer, pipeline"),
        (("plain9", "--algorithm", "fft"), "--algorithm 'fft': choose from auto, direct, winograd"),
        (("plain9", "--threads", "1000"), "--threads 1000: this process may use 1 to"),
        (("plain9", "--trace", "/no/such/folder/x"), "there is no folder /no/such/folder"),
        (("plain9", "--trace", "/"), "--trace /: this is a folder"),
        (("plain9", "--formulation", "direct"), "add --backend velox"),
        (("plain9", "--backend", "velox", "--fusion", "layer"), "--without and --trace are of"),
        (("plain9", "--format", "xml"), "--format 'xml': choose from text, json"),
        (("plain9", "--backend", "torch"), "--backend 'torch': choose from columnar, velox"),
        (
            ("plain9", "--backend", "velox", "--formulation", "nope"),
            "no formulation 'nope': choose from winograd",
        ),
    ],
)
def test_wrong_usage_is_one_line(arguments: tuple[str, ...], message: str) -> None:
    finished = explain(*arguments)
    assert finished.returncode == 2
    assert message in finished.stderr
    assert len(finished.stderr.splitlines()) == 1


@pytest.fixture
def small_model(tmp_path: Path) -> str:
    """Path of a network that is told to Velox in a moment."""
    path = tmp_path / "residual.onnx"
    onnx_io.save(residual_network(), path)
    return str(path)


def test_the_plans_of_velox(small_model: str) -> None:
    pytest.importorskip("pyvelox")
    document = json.loads(output(small_model, "--backend", "velox", "--format", "json"))
    tasks = document["children"]
    assert [t["operator_name"] for t in tasks] == ["image", "conv1", "block.conv2", "pool", "dense"]
    for task in tasks:
        (node,) = task["children"]
        assert node["operator_timing"] is None
        assert node["operator_type"] == "Project"
        assert node["extra_info"]["details"].startswith("expressions: (")
        assert ":REAL" in node["extra_info"]["output_type"]
        while node["children"]:
            (node,) = node["children"]
        assert node["operator_type"] == "Values"


def test_what_velox_did(small_model: str) -> None:
    pytest.importorskip("pyvelox")
    options = ("--backend", "velox", "--formulation", "direct", "--analyze", "--samples", "2")
    lines = output(small_model, *options).splitlines()
    assert max(map(len, lines)) < 500
    plan = lines[lines.index("block.conv2:") + 1 :]
    assert plan[0].startswith("-- Project[1][expressions: (")
    assert plan[1].startswith("   Output: ")
    assert "Cpu time: " in plan[1]
    start = next(i for i, line in enumerate(lines) if line.startswith("task "))
    shares = {}
    for line in lines[start + 1 : lines.index(figure_line(lines, "whole run "))]:
        name, _, share = line.partition("%")[0].rpartition(" ")
        shares[name.rsplit(maxsplit=1)[0].strip()] = float(share)
    assert list(shares)[-2:] == ["dense", "outside the tasks"]
    assert sum(shares.values()) == pytest.approx(100, abs=0.05 * len(shares) + 0.05)
    assert max(map(len, lines[start:])) <= 100

"""What commands say of the import of a user's file, and that they measure no misread one."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from onnx import helper
from onnx_files import NETWORK, node, write
from progress_lines import without_progress
from sessions import read_back

from bench.cli.app import main
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph

pytest.importorskip("onnxruntime")

COMMANDS = {
    "compare": ["compare", "--samples", "2", "--runs", "1", "--min-time", "0"],
    "profile": ["profile", "--samples", "2", "--rounds", "1"],
    "golden create": ["golden", "create", "bundle", "--count", "1", "--taps", "outputs"],
}
ONE_BACKEND = ["--backend", "reference"]
MEASURED = {"compare": "Time in ms", "profile": "Whose clock", "golden create": "1 tensor"}
CHECKED = "import checked against ONNX Runtime "

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in an empty folder: exit status, output, errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CNN_BENCH_CACHE_DIR", str(tmp_path / "cache"))

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cnn-bench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return call


def of_command(command: str, model: str = "file.onnx") -> list[str]:
    backend = ONE_BACKEND if command != "golden create" else []
    return [*COMMANDS[command], "--model", model, "--data", "synthetic", *backend]


@pytest.fixture
def misread(monkeypatch: pytest.MonkeyPatch) -> None:
    """An importer that reads every alpha as ONNX's default."""
    right = zoo.resolve

    def wrong(name_or_path: str, *arguments: Any) -> Graph:
        graph = right(name_or_path, *arguments)
        nodes = [
            replace(n, attributes={**n.attributes, "alpha": 0.01})
            if n.op_type == "LeakyRelu"
            else n
            for n in graph.nodes
        ]
        return replace(graph, nodes=tuple(nodes))

    monkeypatch.setattr(zoo, "resolve", wrong)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_check_is_the_first_line(command: str, run: Run, tmp_path: Path) -> None:
    write(tmp_path / "file.onnx")
    status, output, errors = run(*of_command(command))
    assert (status, without_progress(errors)) == (0, "")
    first, *rest = output.splitlines()
    assert first.startswith(CHECKED)
    assert " on the file itself: equal " in first
    assert not first.endswith("(remembered)")
    assert MEASURED[command] in "\n".join(rest)


@pytest.mark.parametrize("command", COMMANDS)
def test_nothing_is_measured_of_a_misread_file(
    command: str, run: Run, tmp_path: Path, misread: None
) -> None:
    write(tmp_path / "file.onnx")
    status, output, errors = run(*of_command(command))
    assert (status, without_progress(errors)) == (1, "")
    assert output.count("\n") == 1
    assert output.startswith("MISREAD: the import differs from the file in ONNX Runtime ")
    assert "nothing is measured, as it would be another network" in output
    assert not (tmp_path / "bundle").exists()
    status, output, _ = run(*of_command(command), "--no-import-check")
    assert status == 0
    assert output.splitlines()[0] == "import not checked: --no-import-check"
    assert MEASURED[command] in output


def test_the_json_of_a_comparison_tells(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "file.onnx")
    for remembered in (False, True):
        status, output, _ = run(*of_command("compare"), "--json", "result.json")
        assert (status, output.splitlines()[0].endswith("(remembered)")) == (0, remembered)
        check = read_back(Path("result.json")).context["import_check"]
        assert (check["verdict"], check["remembered"]) == ("equal", remembered)
        assert check["outputs"][0]["name"] == "y"


def test_the_json_of_a_misread_file_tells(run: Run, tmp_path: Path, misread: None) -> None:
    write(tmp_path / "file.onnx")
    assert run(*of_command("compare"), "--json", "result.json")[0] == 1
    result = read_back(Path("result.json"))
    assert result.context["import_check"]["verdict"] == "MISREAD"
    assert [record.status for record in result.backends] == ["MISREAD"]
    assert "output y: it differs by" in result.backends[0].reason
    assert result.benchmarks == ()


def test_a_network_by_name_has_no_file_to_check(run: Run) -> None:
    status, output, _ = run(*of_command("golden create", "plain9"))
    assert status == 0
    assert "import" not in output


def test_model_check(run: Run, tmp_path: Path) -> None:
    write(tmp_path / "file.onnx", outputs=("y", "a"))
    status, output, errors = run("model", "check", "file.onnx")
    assert (status, without_progress(errors)) == (0, "")
    assert output.startswith(CHECKED)
    rows = [line.split() for line in output.splitlines()]
    assert [row[:2] for row in rows if row and row[-1] == "yes"] == [["y", "4x4"], ["a", "4x5x6x6"]]
    assert "on 4 images, photographs and noise, by ONNX Runtime " in output
    status, output, _ = run("model", "check", "file.onnx", "--json")
    assert (status, json.loads(output)["remembered"]) == (0, True)


def test_model_check_of_a_misread_file(run: Run, tmp_path: Path, misread: None) -> None:
    write(tmp_path / "file.onnx")
    status, output, _ = run("model", "check", "file.onnx")
    assert status == 1
    assert output.startswith("MISREAD: ")
    assert json.loads(run("model", "check", "file.onnx", "--json")[1])["verdict"] == "MISREAD"


def test_names_from_a_file_reach_no_terminal_as_they_are(
    run: Run, tmp_path: Path, misread: None
) -> None:
    name = "\x1b[31my\n"
    dense = helper.make_node("Gemm", ["f", "matrix"], [name])
    file = write(tmp_path / "file.onnx", [*NETWORK[:-1], dense], outputs=(name,))
    status, output, _ = run("model", "check", str(file))
    assert status == 1
    assert r"output \x1b[31my\n: it differs by" in output
    assert "\x1b" not in output


def test_model_check_that_is_not_done(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "onnxruntime.py").write_text("raise ImportError")
    monkeypatch.syspath_prepend(tmp_path)
    pooled = node("MaxPool", "x", "p", kernel_shape=[3, 3], auto_pad="SAME_UPPER")
    write(tmp_path / "file.onnx", [pooled, node("Flatten", "p", "y")])
    status, output, _ = run("model", "check", "file.onnx")
    assert status == 0
    assert output.startswith("import not checked: onnxruntime is not installed: ")
    assert output.count("\n") == 1


@pytest.mark.parametrize("file", ["plain9", "absent.onnx", "damaged.onnx"])
def test_model_check_of_what_is_no_file(file: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "damaged.onnx").write_bytes(b"\xff" * 20)
    status, output, errors = run("model", "check", file)
    assert (status, output) == (2, "")
    assert errors.startswith("cnn-bench: error: ")
    assert errors.count("\n") == 1


def test_the_untouched_file_beside_its_import(run: Run, tmp_path: Path, misread: None) -> None:
    """What a user does who wants to see by how much a misread file differs."""
    write(tmp_path / "file.onnx", batch=1)
    backends = ["--backend", "onnxruntime:default", "--backend", "onnxruntime:original"]
    options = [*of_command("compare"), *backends, "--no-import-check", "--json", "result.json"]
    assert run(*options)[0] == 1
    records = read_back(Path("result.json")).backends
    statuses = {record.configuration: record.status for record in records}
    assert statuses == {"float64": "PASSED", "default": "PASSED", "original": "FAILED"}
    (original,) = [r for r in records if r.configuration == "original"]
    assert original.notes == ("runs image by image: the file takes batches of 1",)


def test_a_network_by_name_has_no_untouched_file(run: Run) -> None:
    options = [*COMMANDS["compare"], "--model", "squeezenet", "--backend", "onnxruntime:original"]
    status, output, _ = run(*options)
    assert status == 0
    told = "UNIMPLEMENTED squeezenet was made in code, not read from an ONNX file"
    assert told in " ".join(output.split())

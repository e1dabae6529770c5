"""`cnn-bench golden` as a user has it: a process, files, exit status, one line for an error."""

import json
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from golden.small_network import small_network
from progress_lines import without_progress

from bench.cli.app import main
from bench.golden.bundle import Bundle
from bench.results import document
from columnar_nn.model import onnx_io

WIDTH = 100
MAIN = [sys.executable, "-m", "cnn_bench", "golden"]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path),
    "COLUMNS": str(WIDTH),
    "OMP_NUM_THREADS": "1",
}


def golden(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MAIN, *map(str, arguments)], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )


def backend(name: str) -> str:
    return f"golden.faulty_backends.{name}"


def test_create_then_verify(tmp_path: Path) -> None:
    folder = tmp_path / "plain9"
    options = ["--data", "synthetic", "--start", 3, "--count", 1, "--taps", "conv1,outputs"]
    made = golden("create", folder, *options)
    assert made.returncode == 0, made.stderr
    assert "2 tensors of 1 image" in made.stdout
    creation = json.loads((folder / "manifest.json").read_text())["creation"]
    assert creation == {
        "model": "plain9",
        "data": "synthetic",
        "count": 1,
        "taps": ["conv1", "outputs"],
        "start": 3,
        "options": [],
    }
    verified = golden("verify", folder, "--backend", backend("Correct"))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    assert "PASSED: 2 of 2 tensors passed" in verified.stdout
    again = golden("create", folder, "--data", "synthetic")
    assert again.returncode == 2
    assert "exists already" in again.stderr


def test_images_that_say_nothing_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """plain9 is blind to the first image of photo10, and not to the next."""
    for start, warned in (("0", True), ("1", False)):
        options = ["--start", start, "--count", "1", "--taps", "outputs"]
        line = ["golden", "create", str(tmp_path / start), *options]
        monkeypatch.setattr(sys, "argv", ["cnn-bench", *line])
        with suppress(SystemExit):
            main()
        printed = " ".join(capsys.readouterr().out.split())
        assert ("1 of 1 image, dimmed, would give the same outputs" in printed) == warned


def test_model_files_are_stored_without_their_folder(tmp_path: Path) -> None:
    """The images come in the network's size, and the path of its file is never recorded."""
    model, folder = tmp_path / "small.onnx", tmp_path / "out"
    onnx_io.save(small_network(), model)
    made = golden("create", folder, "--model", model, "--data", "synthetic")
    assert (made.returncode, without_progress(made.stderr)) == (0, "")
    assert "warning" not in made.stdout
    assert json.loads((folder / "manifest.json").read_text())["creation"]["model"] == "small.onnx"
    assert not any(str(tmp_path).encode() in f.read_bytes() for f in folder.rglob("*.*"))
    verified = golden("verify", folder, "--backend", "reference")
    assert verified.returncode == 0, verified.stdout + verified.stderr


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_weights_that_are_not_finite_are_warned_of(tmp_path: Path, value: float) -> None:
    graph = small_network()
    graph.weights["conv2.bias"][3] = value
    onnx_io.save(graph, tmp_path / "spoiled.onnx")
    options = ["--model", tmp_path / "spoiled.onnx", "--data", "synthetic"]
    made = golden("create", tmp_path / "out", *options)
    assert made.returncode == 0, made.stderr
    warnings = [line for line in made.stdout.splitlines() if line.startswith("warning: ")]
    assert len(warnings) == 1
    assert "NaN or infinity: conv2.bias;" in warnings[0]


def test_failure_prints_the_operator_and_writes_reports(bundle: Bundle, tmp_path: Path) -> None:
    files = {option: tmp_path / option for option in ("json", "junit", "save")}
    options = [word for option, file in files.items() for word in (f"--{option}", file)]
    failed = golden("verify", bundle.folder, "--backend", backend("SwappedChannels"), *options)
    assert failed.returncode == 1
    assert "First diverging operator: conv2 (Conv)" in failed.stdout
    assert "top-1 agreement of logits" in failed.stdout
    assert max(map(len, failed.stdout.splitlines()[1:])) <= WIDTH
    results = document.read(files["json"])
    (cell,), (session,) = results["cell"], results["session"]
    assert (cell["status"], cell["detail"]["first_diverging"]) == ("FAILED", "conv2")
    assert (session["command"], session["settings"]["backends"]) == (
        "golden verify",
        [f"{backend('SwappedChannels')}:usual"],
    )
    figures = {tuple(row["part"]): row["value"] for row in results["observation"]}
    assert figures["conv1", "max_abs"] == [0.0]
    assert figures["conv1", "sqnr_db"] == [None], "infinite: both are equal"
    assert figures["conv2", "max_abs"][0] > 0.1
    manifest = json.loads((bundle.folder / "manifest.json").read_text())
    assert (
        results["workload"][0]["data_fingerprint"] == manifest["files"]["inputs.arrows"]["sha256"]
    )
    (suite,) = ElementTree.parse(files["junit"]).getroot()
    assert suite.attrib["failures"] == "5"
    compared = golden("diff", bundle.folder, files["save"])
    assert compared.returncode == 1
    assert "First diverging operator: conv2 (Conv)" in compared.stdout


def test_bisect_prints_own_and_inherited_errors(bundle: Bundle, tmp_path: Path) -> None:
    file = tmp_path / "bisection.json"
    found = golden("bisect", bundle.folder, "--backend", backend("DroppedBias"), "--json", file)
    assert found.returncode == 1
    assert "Wrong by themselves: conv2 (Conv); 4 tensor(s) only inherited" in found.stdout
    assert max(map(len, found.stdout.splitlines()[1:])) <= WIDTH
    assert json.loads(file.read_text())["culprits"] == ["conv2"]
    clean = golden("bisect", bundle.folder, "--backend", backend("OneUlpNoise"))
    assert clean.returncode == 0, clean.stdout
    assert "No operator is wrong by itself, of the 8 of 8 that ran alone" in clean.stdout


def test_equal_bundles_do_not_differ(bundle: Bundle) -> None:
    assert golden("diff", bundle.folder, bundle.folder).returncode == 0


def test_engine_that_is_not_installed_is_status_2(bundle: Bundle) -> None:
    missing = golden("verify", bundle.folder, "--backend", backend("NotInstalled"))
    assert missing.returncode == 2
    assert "SKIPPED" in missing.stdout
    assert "pip install" in missing.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["verify", "BUNDLE"], "backend"),
        (["verify", "BUNDLE", "--backend", "nothing"], "unknown backend 'nothing'"),
        (["verify", "BUNDLE", "--backend", "CORRECT", "--backend", "numpy"], "takes one"),
        (["bisect", "BUNDLE", "--backend", "CORRECT", "--backend", "numpy"], "takes one"),
        (["verify", "BUNDLE", "--backend", "CORRECT", "--check", "best"], "--check 'best'"),
        (["verify", "BUNDLE", "--backend", "CORRECT", "--taps", "conv9"], "conv9"),
        (["verify", "BUNDLE", "--backend", "CORRECT", "--rtol", "conv9:1"], "conv9"),
        (["verify", "BUNDLE", "--backend", "CORRECT", "--algorithm", "fft"], "--algorithm 'fft'"),
        (["verify", "BUNDLE", "--backend", "CORRECT", "--json", "/no/such/f"], "no folder"),
        (["verify", "/nowhere", "--backend", "CORRECT"], "has no manifest.json"),
        (["diff", "BUNDLE", "/nowhere"], "does not exist"),
        (["create", "/nowhere/at/all", "--data", "synthetic"], "cannot write to /nowhere/at"),
        (["create", "OUT", "--taps", "conv9", "--data", "synthetic"], "cannot tap conv9"),
        (["create", "OUT", "--count", "0"], "--count"),
    ],
)
def test_mistakes_are_one_line_and_status_2(
    bundle: Bundle,
    tmp_path: Path,
    *,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    words = {"BUNDLE": bundle.folder, "CORRECT": backend("Correct"), "OUT": tmp_path / "out"}
    line = [str(words.get(argument, argument)) for argument in arguments]
    monkeypatch.setattr(sys, "argv", ["cnn-bench", "golden", *line])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    complaint = capsys.readouterr().err
    assert complaint.startswith("cnn-bench: error: ")
    assert complaint.count("\n") == 1
    assert message in complaint


def test_refused_bundle_is_one_line_and_status_2(damaged: Path) -> None:
    (damaged / "model.onnx").write_bytes(b"")
    finished = golden("verify", damaged, "--backend", backend("Correct"))
    assert finished.returncode == 2
    assert finished.stderr.count("\n") == 1
    assert "model.onnx has 0 bytes" in finished.stderr

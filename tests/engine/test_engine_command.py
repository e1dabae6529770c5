"""The command as a user has it: in a process of its own, with files on disk."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from engine.small_network import small_graph
from progress_lines import without_progress

from bench.results import document
from bench.text.table_style import WIDTH
from columnar_nn.model import onnx_io

MAIN = [sys.executable, "-m", "cnn_bench", "engine"]
ENVIRONMENT = {
    **os.environ,
    "PYTHONPATH": os.pathsep.join(os.path.abspath(entry) for entry in sys.path),
}


def cnn_bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*MAIN, *arguments], capture_output=True, text=True, env=ENVIRONMENT, check=False
    )


@pytest.fixture
def model(tmp_path: Path) -> str:
    onnx_io.save(small_graph(), tmp_path / "small.onnx")
    return str(tmp_path / "small.onnx")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--part", "speed"], "--part 'speed': choose from roofline, layers"),
        (["--model", "nope"], "unknown model 'nope': choose from plain9"),
        (["--data", "/no/such/place"], "/no/such/place"),
        (["--threads", "0"], "--threads 0"),
        (["--runs", "0"], "--runs"),
        (["--json", "/no/such/folder/x.json"], "there is no folder /no/such/folder"),
    ],
)
def test_wrong_usage_is_one_line_and_exit_status_2(arguments: list[str], message: str) -> None:
    done = cnn_bench(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("cnn-bench: error: ")
    assert done.stderr.count("\n") == 1
    assert message in done.stderr


def test_tables_and_json(model: str, tmp_path: Path) -> None:
    path = tmp_path / "engine.json"
    options = ["--model", model, "--data", "synthetic", "--part", "overhead,layers"]
    done = cnn_bench(*options, "--min-time", "0", "--json", str(path))
    assert (done.returncode, without_progress(done.stderr)) == (0, ""), done.stderr
    assert max(map(len, done.stdout.splitlines())) <= WIDTH
    results = document.read(path)
    assert [row["settings"]["part"] for row in results["session"]] == ["layers", "overhead"]
    assert all(row["complete"] for row in results["session"])
    assert {tuple(row["settings"]["parts"]) for row in results["session"]} == {
        ("layers", "overhead")
    }
    layers = results.session(results["session"][0]["session_id"])
    parts = [row["part"] for row in layers["observation"] if row["metric"] == "operator"]
    assert parts[1] == ["1", "conv1", "relu1"]


def has_worker(pid: int) -> bool:
    try:
        return any("bench.workers.child" in c.cmdline() for c in psutil.Process(pid).children())
    except psutil.Error:  # a child that ended meanwhile
        return False


def test_an_interrupted_run_keeps_its_results(model: str, tmp_path: Path) -> None:
    path = tmp_path / "engine.json"
    options = ["--model", model, "--part", "overhead", "--min-time", "3600", "--json", str(path)]
    with subprocess.Popen(
        [*MAIN, *options],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=ENVIRONMENT,
    ) as process:
        deadline = time.monotonic() + 60
        while not has_worker(process.pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"interrupted before the end; what was measured is in {path}" in errors
    (session,) = document.read(path)["session"]
    assert not session["complete"]

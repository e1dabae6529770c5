"""Commands other than compare whose worker is killed: its reason, and exit status 1."""

from __future__ import annotations

import os
import signal
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from golden.small_network import small_network

from bench.cli.app import main
from bench.workers.process import WorkerProcess
from columnar_nn.model import onnx_io

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="cores and signals as Linux has them"),
]

COMMANDS = {
    "golden verify": "golden verify {folder}/bundle --backend columnar --threads 1",
    "golden bisect": "golden bisect {folder}/bundle --backend columnar --threads 1",
    "taps": "taps {folder}/small.onnx --tensor outputs --out {folder}/taps.arrow --samples 2 "
    "--data synthetic",
    "profile": "profile --model {folder}/small.onnx --data synthetic --samples 2 --rounds 1 "
    "--backend columnar:layer/auto --no-import-check",
    "engine": "engine --model {folder}/small.onnx --data synthetic --part overhead --runs 1 "
    "--min-time 0 --threads 1",
    "explain": "explain {folder}/small.onnx --backend velox",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    onnx_io.save(small_network(), folder / "small.onnx")
    model = str(folder / "small.onnx")
    create = ["golden", "create", str(folder / "bundle"), "--model", model, "--no-import-check"]
    assert run([*create, "--data", "synthetic"]) == 0
    return folder


def run(arguments: list[str]) -> object:
    """The exit status of a command."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["cnn-bench", *arguments])
        with pytest.raises(SystemExit) as left:
            main()
    return left.value.code


def kill_at(patch: pytest.MonkeyPatch, doomed: int) -> None:
    """Has the workers killed as their `doomed`th command is sent, counted over all of them."""
    request, sent = WorkerProcess.request, []

    def killing(self: WorkerProcess, command: str, timeout: float, **arguments: Any) -> Any:
        sent.append(command)
        if len(sent) == doomed:
            os.kill(self.pid, signal.SIGKILL)
        return request(self, command, timeout, **arguments)

    patch.setattr(WorkerProcess, "request", killing)


@pytest.mark.parametrize("doomed", [1, 2, 3])
@pytest.mark.parametrize("name", COMMANDS)
def test_a_killed_worker_is_a_reason_and_exit_status_1(
    folder: Path,
    name: str,
    doomed: int,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    if name == "explain" and find_spec("pyvelox") is None:
        pytest.skip("Velox is not installed")
    kill_at(monkeypatch, doomed)
    code = run(COMMANDS[name].format(folder=folder).split())
    output, errors = capfd.readouterr()
    assert code == 1, output + errors
    assert "killed by SIGKILL" in output + errors
    assert "Traceback" not in output + errors
    assert "Bad file descriptor" not in output + errors
    assert errors.count("\n") <= 1
    assert not (folder / "taps.arrow").exists()


@pytest.mark.parametrize("doomed", [1, 2, 3])
def test_an_import_check_whose_worker_is_killed_goes_on_with_the_next_runner(
    folder: Path,
    doomed: int,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("CNN_BENCH_CACHE_DIR", str(tmp_path / "cache"))  # remembers no check
    kill_at(monkeypatch, doomed)
    code = run(["model", "check", str(folder / "small.onnx"), "--threads", "1"])
    output, errors = capfd.readouterr()
    assert (code, errors) == (0, "")
    assert "Traceback" not in output
    assert "by onnx.reference" in output, "the next runner takes its place"

"""What `compare` keeps, says and leaves behind, however it or what it writes to ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fake_backends
import numpy as np
import psutil
import pytest
from sessions import read_back

from bench.results import document
from bench.results.summary import summarize
from columnar_nn.model import onnx_io

MAIN = [sys.executable, "-m", "cnn_bench"]

MEDDLING = """
import os
from fake_backends import FakeBackend

class Meddling(FakeBackend):
    def _compute(self, model_input):
        exec(os.environ["MEDDLE"])
        return super()._compute(model_input)
"""
"""A backend that does what the test says, in a worker of its own."""

SHORT = ["--samples", "1", "--runs", "1", "--min-time", "0"]
LONG = ["--samples", "1", "--runs", "500", "--min-time", "0", "--budget", "3600"]
"""Turns of 100 runs each, which pauses of a slow backend make 2 seconds long."""


@dataclass
class Place:
    """A folder for one test: a network, images, and the user's temporary files."""

    folder: Path

    @property
    def temporary(self) -> list[str]:
        return sorted(path.name for path in (self.folder / "tmp").iterdir())

    def command(self, *options: str, backend: str = "fake_backends.FakeBackend") -> list[str]:
        inputs = ["--model", "tiny.onnx", "--data", "images.bin", "--no-import-check"]
        return [*MAIN, "compare", *inputs, "--backend", backend, *options]

    def environment(self, meddle: str = "", **variables: str) -> dict[str, str]:
        path = [os.path.abspath(entry) for entry in sys.path]
        return {
            **os.environ,
            "PYTHONPATH": os.pathsep.join([*path, str(self.folder)]),
            "TMPDIR": str(self.folder / "tmp"),
            "MEDDLE": meddle,
            **variables,
        }

    def run(
        self, *options: str, backend: str = "fake_backends.FakeBackend", meddle: str = ""
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.command(*options, backend=backend),
            cwd=self.folder,
            env=self.environment(meddle),
            capture_output=True,
            text=True,
            check=False,
        )

    @contextmanager
    def running(
        self, *options: str, backend: str = "fake_backends.FakeBackend:slow", meddle: str = ""
    ) -> Iterator[subprocess.Popen[str]]:
        """A command that is measuring: it has written its first turn to the journal."""
        with subprocess.Popen(
            self.command(*LONG, *options, backend=backend),
            cwd=self.folder,
            env=self.environment(meddle),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                wait_until(lambda: process.poll() is not None or any(self.turns()))
                assert process.returncode is None, process.stderr and process.stderr.read()
                yield process
            finally:
                process.kill()

    def journals(self) -> list[Path]:
        return sorted(self.folder.rglob("*.journal"))

    def turns(self) -> Iterator[dict[str, Any]]:
        for journal in self.journals():
            lines = [json.loads(line) for line in journal.read_text().splitlines()]
            yield from (line for line in lines if line.get("metric") == "time")


@pytest.fixture
def place(tmp_path: Path) -> Place:
    onnx_io.save(fake_backends.tiny_graph(), tmp_path / "tiny.onnx")
    records = np.random.default_rng(6).integers(0, 256, (10, 3073), np.uint8)
    records[:, 0] = np.arange(10)
    (tmp_path / "images.bin").write_bytes(records.tobytes())
    (tmp_path / "meddling.py").write_text(MEDDLING)
    (tmp_path / "tmp").mkdir()
    return Place(tmp_path)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, "it never came"
        time.sleep(0.02)


def is_whole(file: Path) -> bool:
    return read_back(file).complete


def test_json_on_standard_output_sends_tables_to_standard_error(place: Place) -> None:
    done = place.run(*SHORT, "--json", "-")
    assert done.returncode == 0
    (session,) = document.loads(done.stdout.encode())["session"]
    assert session["complete"]
    assert "Time in ms" in done.stderr
    assert place.temporary == []


def test_json_goes_through_a_link_and_leaves_it(place: Place) -> None:
    (place.folder / "folder").mkdir()
    (place.folder / "link").symlink_to("folder/result")
    done = place.run(*SHORT, "--json", "link")
    assert done.returncode == 0, done.stderr
    assert (place.folder / "link").is_symlink()
    assert [file.name for file in (place.folder / "folder").iterdir()] == ["result"]


def test_json_goes_into_a_fifo(place: Place) -> None:
    os.mkfifo(place.folder / "fifo")
    read: list[str] = []
    reader = threading.Thread(target=lambda: read.append((place.folder / "fifo").read_text()))
    reader.start()
    done = place.run(*SHORT, "--json", "fifo")
    reader.join()
    assert done.returncode == 0, done.stderr
    (session,) = document.loads(read[0].encode())["session"]
    assert session["complete"]
    assert (place.folder / "fifo").is_fifo()


@pytest.mark.parametrize(
    ("redirection", "variables", "status", "said"),
    [
        ("| head -1", {}, 0, ""),
        ("| true", {}, 0, ""),
        (">&-", {}, 0, ""),
        (">&- 2>&- <&-", {}, 0, ""),
        ("> /dev/full", {}, 2, "cannot write to standard output: No space left on device"),
        ("> /dev/full 2> /dev/full", {}, 2, ""),
        ("> shown", {"PYTHONIOENCODING": "ascii"}, 0, ""),
        ("> shown", {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, 0, ""),
    ],
)
def test_wherever_tables_go_the_json_is_kept(
    place: Place, redirection: str, variables: dict[str, str], status: int, said: str
) -> None:
    shell = ["bash", "-c", f'"$@" {redirection}; exit ${{PIPESTATUS[0]}}', "bash"]
    done = subprocess.run(
        [*shell, *place.command(*SHORT, "--json", "result.json")],
        cwd=place.folder,
        env=place.environment(**variables),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == status
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert is_whole(place.folder / "result.json")
    assert place.journals() == []
    assert place.temporary == []


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_tables_that_are_not_shown_are_kept_as_json(place: Place) -> None:
    done = subprocess.run(
        ["bash", "-c", '"$@" > /dev/full', "bash", *place.command(*SHORT)],
        cwd=place.folder,
        env=place.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    (kept,) = (place.folder / "tmp").glob("*.json")
    assert f"cannot show the tables: No space left on device; the result is in {kept}" in (
        done.stderr
    )
    assert is_whole(kept)


@pytest.mark.parametrize(
    ("file", "meddle"),
    [
        pytest.param("/dev/full", "", id="no room"),
        pytest.param(
            "results/result.json",
            "__import__('shutil').rmtree('{folder}/results', True)",
            id="folder gone",
        ),
        pytest.param(
            "results/result.json",
            "__import__('os').makedirs('{folder}/results/result.json', exist_ok=True)",
            id="a folder now",
        ),
    ],
)
def test_a_result_that_cannot_be_saved_is_kept_elsewhere(
    place: Place, file: str, meddle: str
) -> None:
    (place.folder / "results").mkdir()
    meddle = meddle.format(folder=place.folder)
    done = place.run(*SHORT, "--json", file, backend="meddling.Meddling:fine", meddle=meddle)
    assert done.returncode == 2
    assert "Time in ms" in done.stdout
    (kept,) = (place.folder / "tmp").glob("cnn-bench-result-*")
    assert f"cannot write {file}: " in done.stderr
    assert f"; the result is in {kept}\n" in done.stderr
    assert is_whole(kept)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_run_keeps_its_turns(place: Place, number: signal.Signals) -> None:
    with place.running("--json", "result.json") as process:
        workers = psutil.Process(process.pid).children(recursive=True)
        process.send_signal(number)
        shown, errors = process.communicate()
    assert process.returncode == 130
    assert "interrupted before the end; what was measured is in result.json" in errors
    assert "Time in ms" in shown
    result = read_back(place.folder / "result.json")
    assert not result.complete
    assert len(result.benchmarks[0].times) >= 100
    assert workers
    wait_until(lambda: not any(worker.is_running() for worker in workers))
    assert place.journals() == []
    assert place.temporary == []


def test_an_interrupt_before_anything_is_measured_is_said(place: Place) -> None:
    (place.folder / "meddled.py").write_text(
        "import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nimport time\ntime.sleep(60)\n"
    )
    done = place.run(backend="meddled.Backend")
    assert done.returncode == 130
    assert done.stderr == "cnn-bench: interrupted\n"


def test_a_signal_that_the_command_was_told_to_ignore_is_ignored(place: Place) -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # which is inherited, as of nohup
    try:
        with place.running() as process:
            process.send_signal(signal.SIGHUP)
            num_turns = len(list(place.turns()))
            wait_until(lambda: len(list(place.turns())) > num_turns)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_second_interrupt_ends_at_once_and_names_the_journal(place: Place) -> None:
    os.mkfifo(place.folder / "fifo")
    with place.running("--json", "fifo") as process:
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        # The first one is being handled: the result waits for a reader that never comes.
        assert process.stderr.readline().startswith("cnn-bench: waiting for a reader of ")
        time.sleep(0.3)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate()
    assert process.returncode == 130
    (journal,) = place.journals()
    assert errors == f"cnn-bench: ended at once; what was measured is in {journal}\n"
    results = document.read(journal)
    (cell,) = summarize(results).benchmarks
    assert (cell.configuration, cell.samples, len(cell.times)) == ("slow", 1, 100)
    blocks = [row for row in results["observation"] if row["metric"] in ("time", "phase")]
    assert {(row["round"], len(row["value"])) for row in blocks} == {(0, 100)}
    assert len(blocks) == 4  # all of it, and three phases


@pytest.mark.skipif(sys.platform != "linux", reason="needs PR_SET_PDEATHSIG")
def test_a_killed_run_leaves_its_journal_and_no_process(place: Place) -> None:
    """The worker, its forked child and the program that it started, all of them stopped."""
    meddle = (
        "import subprocess, sys, time\n"
        "if not os.path.exists('started'):\n"
        "    open('started', 'w').close()\n"
        "    if os.fork() == 0: time.sleep(1000)\n"
        "    subprocess.Popen(['sleep', '1000'])\n"
    )
    options = ["--json", "result.json", "--backend", "fake_backends.FakeBackend:slow"]
    with place.running(*options, backend="meddling.Meddling:fine", meddle=meddle) as process:
        started = psutil.Process(process.pid).children(recursive=True)
        assert "sleep" in [child.name() for child in started]
        process.kill()
        process.wait()
    wait_until(lambda: not any(child.is_running() for child in started))
    (journal,) = place.journals()
    assert journal.name.startswith("result.json.")
    results = document.read(journal)
    (session,) = results["session"]
    assert (session["settings"]["samples"], session["complete"]) == ([1], False)
    assert all(results.rows.values()), "every table has rows"
    assert not (place.folder / "result.json").exists()
    assert place.temporary != []
    assert place.run(*SHORT, "--json", "result.json").returncode == 0
    assert place.temporary == []
    assert place.journals() == [journal], "a later run does not touch it"

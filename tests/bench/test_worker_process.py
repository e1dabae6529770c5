"""Workers that print, raise, hang and die, seen from the parent."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import fake_backends
import numpy as np
import psutil
import pyarrow as pa
import pytest

from bench.verdict.status import CRASHED, SKIPPED, TIMEOUT, UNIMPLEMENTED
from bench.workers.inputs import outputs_of
from bench.workers.process import WorkerError, WorkerProcess
from columnar_nn.data import tensor_column

TIMEOUT_S = 60.0
STRAY = "dying_backends:StrayAnswers"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A pickled graph, and eight images in batches of three."""
    folder = tmp_path_factory.mktemp("files")
    graph, images = folder / "graph", folder / "images"
    graph.write_bytes(pickle.dumps(fake_backends.tiny_graph()))
    pixels = np.random.default_rng(2).integers(0, 256, (8, 3, 32, 32), np.uint8)
    table = pa.table({"image": tensor_column.from_numpy(pixels)})
    with pa.ipc.new_file(str(images), table.schema) as writer:
        writer.write_table(table, max_chunksize=3)
    return {"graph": str(graph), "images": str(images)}


class Harness:
    """A worker with a backend and the commands that tests send it."""

    def __init__(self, folder: Path, files: dict[str, str]) -> None:
        self.folder = folder
        self.files = files
        self.worker = WorkerProcess(folder, cpus=[min(os.sched_getaffinity(0))])
        self.process = psutil.Process(self.worker._process.pid)

    def build(self, configuration: str, backend: str = "FakeBackend") -> None:
        self.worker.request("import_framework", TIMEOUT_S, backend=f"fake_backends.{backend}")
        self.worker.request(
            "build",
            TIMEOUT_S,
            graph=self.files["graph"],
            configuration=configuration,
            threads=1,
            batch_size=3,
            algorithm="auto",
        )

    def run(self, samples: int = 8, timeout: float = TIMEOUT_S, **arguments: Any) -> dict[str, Any]:
        images = self.files["images"]
        return self.worker.request(
            "run", timeout, images=images, samples=samples, batch_size=3, **arguments
        )


@pytest.fixture
def harness(tmp_path: Path, files: dict[str, str]) -> Iterator[Harness]:
    harness = Harness(tmp_path, files)
    yield harness
    harness.worker.kill()
    assert not harness.process.is_running()


def expected_logits(files: dict[str, str], samples: int) -> np.ndarray:
    pixels = outputs_of(Path(files["images"]))["image"][:samples]
    weight = fake_backends.tiny_graph().weights["weight"].astype(np.float64)
    return (pixels.reshape(samples, -1) / 255.0) @ weight.T


def test_run_times_and_writes_outputs(harness: Harness, files: dict[str, str]) -> None:
    harness.build("fine")
    outputs = harness.folder / "outputs"
    reply = harness.run(samples=7, min_runs=3, outputs=str(outputs))
    assert len(reply["times"]) == len(reply["phases"]) == 3
    assert all(
        0 < sum(phases.values()) <= seconds
        for phases, seconds in zip(reply["phases"], reply["times"], strict=True)
    )
    assert reply["peak_rss_bytes"] > 10 * 2**20
    logits = outputs_of(outputs)["logits"]
    assert logits.shape == (7, 10)
    np.testing.assert_allclose(logits, expected_logits(files, 7), rtol=1e-4, atol=1e-3)


def test_threads_and_cpu_are_set_before_the_backend_is_there(harness: Harness) -> None:
    harness.build("fine")
    assert harness.worker.request("describe", TIMEOUT_S)["notes"] == ["OMP_NUM_THREADS=1"]
    assert harness.process.cpu_affinity() == [min(os.sched_getaffinity(0))]
    assert harness.process.environ()["TF_NUM_INTRAOP_THREADS"] == "1"


def test_whatever_is_printed_corrupts_nothing(harness: Harness) -> None:
    harness.build("garbage")
    assert len(harness.run(min_runs=2)["times"]) == 2
    assert '{"times": [0]}' in harness.worker.log_tail()


def test_exception_is_one_line_and_leaves_the_worker_usable(harness: Harness) -> None:
    harness.build("raise")
    with pytest.raises(WorkerError) as error:
        harness.run()
    assert (error.value.status, error.value.fatal) == (CRASHED, False)
    assert error.value.reason == "ValueError: on purpose"
    assert harness.worker.request("describe", TIMEOUT_S)["precision"] == "float32"
    assert "Traceback" in harness.worker.log_tail()


def test_abort_names_the_signal_and_the_last_words(harness: Harness) -> None:
    harness.build("abort")
    with pytest.raises(WorkerError) as error:
        harness.run()
    assert (error.value.status, error.value.fatal) == (CRASHED, True)
    assert error.value.reason == "killed by SIGABRT: about to abort"


def test_hang_ends_in_time_and_the_worker_with_it(harness: Harness) -> None:
    harness.build("hang")
    start = time.monotonic()
    with pytest.raises(WorkerError) as error:
        harness.run(timeout=0.5)
    assert time.monotonic() - start < 30
    assert (error.value.status, error.value.reason) == (TIMEOUT, "no answer to run within 0.5 s")
    assert not harness.process.is_running()


def test_missing_package_is_skipped_with_its_command(harness: Harness) -> None:
    with pytest.raises(WorkerError) as error:
        harness.build("default", backend="MissingBackend")
    assert error.value.status == SKIPPED
    assert 'pip install -c constraints.txt "cnn-bench[missing-extra]"' in error.value.reason


def test_missing_operator_is_unimplemented(harness: Harness) -> None:
    with pytest.raises(WorkerError) as error:
        harness.build("unimplemented")
    assert error.value.status == UNIMPLEMENTED
    assert "dense (Gemm): left out on purpose" in error.value.reason


def test_rows_that_got_lost_are_an_error(harness: Harness) -> None:
    harness.build("short")
    with pytest.raises(WorkerError, match="5 rows came out of 8 images"):
        harness.run()


def test_paused_worker_uses_no_cpu_and_resumes(harness: Harness) -> None:
    harness.build("fine")
    harness.worker.pause()
    deadline = time.monotonic() + 10
    while harness.process.status() != psutil.STATUS_STOPPED and time.monotonic() < deadline:
        time.sleep(0.01)
    assert harness.process.status() == psutil.STATUS_STOPPED
    harness.worker.resume()
    assert harness.run()["times"]


@pytest.mark.parametrize(
    ("text", "times", "reason"),
    [
        ("no JSON\n", 1, "wrote to the connection of its answers: 'no JSON'"),
        ("\xff\x00\n", 1, "wrote to the connection of its answers: "),
        ("[]\n", 1, "wrote to the connection of its answers: '[]'"),
        ("\n", 1, "wrote to the connection of its answers: ''"),
        ('{"seconds": 0}\n', 1, "wrote to the connection of its answers: '{\"seconds\": 0}'"),
        ('{"number": 2, "seconds": 0}\n', 1, "wrote to the connection of its answers: "),
        ("[" * 1_000_000 + "\n", 1, "wrote to the connection of its answers: '[[["),
        ("x" * (1 << 20), 1 << 20, "answered with over 64 MiB"),
    ],
)
def test_what_is_no_answer_is_never_taken_for_one(
    tmp_path: Path, text: str, times: int, reason: str
) -> None:
    with closing(WorkerProcess(tmp_path, [], STRAY)) as worker:
        with pytest.raises(WorkerError) as error:
            worker.request("write", TIMEOUT_S, text=text, times=times)
        assert (error.value.status, error.value.fatal) == (CRASHED, True)
        assert error.value.reason.startswith(reason)
        assert len(error.value.reason) < 200


def test_every_request_after_the_end_fails_as_the_one_at_which_it_came(tmp_path: Path) -> None:
    worker = WorkerProcess(tmp_path, [], STRAY)
    for _ in range(2):
        with pytest.raises(WorkerError, match="wrote to the connection") as error:
            worker.request("write", TIMEOUT_S, text="{}\n")
        assert error.value.fatal
    with pytest.raises(WorkerError, match="wrote to the connection"):
        worker.request("write", TIMEOUT_S, text="")
    worker.close()
    worker.kill()


def test_a_worker_that_was_killed_says_so(tmp_path: Path) -> None:
    worker = WorkerProcess(tmp_path, [])
    worker.kill()
    with pytest.raises(WorkerError, match="it was ended before this command"):
        worker.request("describe", TIMEOUT_S)


@pytest.mark.parametrize("command", ["answer", "fail"])
def test_an_answer_that_cannot_be_given_is_an_error_of_one_line(
    tmp_path: Path, command: str
) -> None:
    with closing(WorkerProcess(tmp_path, [], STRAY)) as worker:
        for _ in range(2):
            with pytest.raises(WorkerError) as error:
                worker.request(command, TIMEOUT_S)
            assert (error.value.status, error.value.fatal) == (CRASHED, False)
            assert error.value.reason.isprintable()
            assert len(error.value.reason) < 600


def test_a_worker_that_closes_its_connection_and_lives_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.workers.process._CLOSE_TIMEOUT_S", 0.5)
    worker = WorkerProcess(tmp_path, [], STRAY)
    with pytest.raises(WorkerError, match="closed the connection of its answers"):
        worker.request("disconnect", TIMEOUT_S)
    assert not psutil.pid_exists(worker.pid)


def test_a_worker_that_prints_without_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.workers.process._LOG_LIMIT_BYTES", 1 << 20)
    worker = WorkerProcess(tmp_path, [], STRAY)
    with pytest.raises(WorkerError, match="printed over 1 MiB"):
        worker.request("talk", TIMEOUT_S)
    assert worker.log_tail().endswith("xxx")


def test_a_process_that_cannot_be_started_is_an_error_of_the_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(WorkerError, match=r"could not be started: .*No such file"):
        WorkerProcess(tmp_path / "missing", [])
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    with pytest.raises(WorkerError, match=r"could not be started: .*no-python"):
        WorkerProcess(tmp_path, [])


def test_close_ends_the_process(harness: Harness) -> None:
    harness.build("fine")
    harness.worker.pause()
    harness.worker.close()
    assert not harness.process.is_running()


def test_a_folder_of_the_users_shadows_no_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "bench").mkdir()
    (tmp_path / "bench" / "__init__.py").write_text("raise SystemExit('the wrong bench')")
    (tmp_path / "worker").mkdir()
    monkeypatch.chdir(tmp_path)
    with closing(WorkerProcess(tmp_path / "worker", cpus=[])) as worker:
        assert worker.request("close", TIMEOUT_S)["peak_rss_bytes"] > 0


def test_worker_dies_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import sys, time, pathlib\n"
        "from bench.workers.process import WorkerProcess\n"
        "worker = WorkerProcess(pathlib.Path(sys.argv[1]), [])\n"
        "worker.request('close', 60)\n"
        "print(worker._process.pid, flush=True)\n"
        "worker.pause()\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as parent:
        assert parent.stdout is not None
        worker = psutil.Process(int(parent.stdout.readline()))
        parent.kill()
    worker.wait(10)
    assert not worker.is_running()

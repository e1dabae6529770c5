"""A held worker: stopped between commands, started anew, ended, and what is known of it then."""

from __future__ import annotations

import pickle
import sys
import time
from dataclasses import replace
from pathlib import Path

import fake_backends
import numpy as np
import psutil
import pyarrow as pa
import pytest

from bench.machine import cpus
from bench.verdict.status import CRASHED, SKIPPED
from bench.workers.held import HeldWorker
from bench.workers.inputs import Inputs
from bench.workers.options import Options
from bench.workers.process import WorkerError
from bench.workers.selection import Selection
from columnar_nn.data import tensor_column
from columnar_nn.model.graph import Graph

IMAGES = 8
FINE = Selection("fake_backends.FakeBackend", "fine")

NOT_OF_FRAMEWORKS = {
    *("onnx", "google.protobuf", "pandas", "columnar_nn.model.onnx_io", "columnar_nn.kernels"),
    *("columnar_nn.model.importer", "columnar_nn.plan", "columnar_nn.lowering"),
    *("adapters.onnx_runner", "adapters.fused_nodes", "adapters.openvino.network"),
}
"""What no framework needs that has a file of its model."""


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Inputs:
    folder = tmp_path_factory.mktemp("files")
    graph, images = folder / "graph", folder / "images"
    graph.write_bytes(pickle.dumps(fake_backends.tiny_graph()))
    pixels = np.random.default_rng(2).integers(0, 256, (IMAGES, 3, 32, 32), np.uint8)
    table = pa.table({"image": tensor_column.from_numpy(pixels)})
    with pa.ipc.new_file(str(images), table.schema) as writer:
        writer.write_table(table)
    return Inputs(graph, images, IMAGES, np.zeros(IMAGES, np.int64), 1)


@pytest.fixture
def options() -> Options:
    return Options(cpus.choose(1), 60.0, batch_size=3)


def run(worker: HeldWorker, data: Inputs) -> dict[str, object]:
    return worker.ask("run", images=str(data.images), samples=IMAGES, batch_size=3)


def is_over(pid: int) -> bool:
    return not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE


def wait_until_stopped(pid: int) -> None:
    """The signal takes effect when the process is next scheduled."""
    deadline = time.monotonic() + 30
    while psutil.Process(pid).status() != psutil.STATUS_STOPPED:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_start_is_told_in_its_parts(data: Inputs, options: Options, tmp_path: Path) -> None:
    with HeldWorker(options, tmp_path) as worker:
        parts = worker.start(FINE, data)
    start_bytes = parts.pop("start_rss_bytes")
    assert 2**20 < start_bytes <= worker.peak_rss_bytes
    names = ["process_s", "import_s", "build_s", "first_inference_s", "cold_start_s"]
    assert sorted(parts) == sorted(names)
    assert 0 < sum(parts[name] for name in names[:-1]) <= parts["cold_start_s"]


@pytest.mark.parametrize(("backend", "more"), [("onnxruntime", {"tempfile"}), ("openvino", set())])
def test_a_start_is_not_charged_for_writing_a_model(
    backend: str, more: set[str], data: Inputs, options: Options, tmp_path: Path
) -> None:
    """`more` is what one framework does without, and another imports itself."""
    pytest.importorskip(backend)
    with HeldWorker(options, tmp_path, "telling_session:TellingSession") as worker:
        worker.start(Selection(backend, "default"), data)
        loaded = set(worker.ask("loaded")["names"])
    assert {backend, f"adapters.{backend}_backend"} <= loaded
    assert not loaded & (NOT_OF_FRAMEWORKS | more)


def test_each_network_has_a_file_of_its_own_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also in one folder; a backend whose file cannot be written costs no other anything."""
    written: list[str] = []

    def onnx_of(graph: Graph) -> bytes:
        written.append(graph.name)
        if graph.name == "broken":
            raise ValueError("more than a file can hold")
        return graph.name.encode()

    monkeypatch.setattr(fake_backends.FakeBackend, "onnx_of", onnx_of)
    files = []
    for name in ("first", "second", "broken"):
        path = tmp_path / "graph"
        path.write_bytes(pickle.dumps(replace(fake_backends.tiny_graph(), name=name)))
        inputs = Inputs(path, tmp_path / "images", IMAGES, None, 1)
        given = [inputs.onnx_of(FINE.backend) for _ in range(2)]
        files.append([file and file.read_bytes() for file in given])
    assert files == [[b"first"] * 2, [b"second"] * 2, [None] * 2]
    assert written == ["first", "second", "broken"]


@pytest.mark.skipif(sys.platform != "linux", reason="states as Linux names them")
def test_it_runs_only_while_it_answers(data: Inputs, options: Options, tmp_path: Path) -> None:
    with HeldWorker(options, tmp_path) as worker:
        assert not worker.running
        worker.start(FINE, data)
        for _ in range(2):
            wait_until_stopped(worker.pids[0])
            assert run(worker, data)["times"]
    assert is_over(worker.pids[0])


def test_a_failure_leaves_it_running_and_its_log(
    data: Inputs, options: Options, tmp_path: Path
) -> None:
    with HeldWorker(options, tmp_path) as worker:
        worker.build(replace(FINE, configuration="raise"), data.graph, 3)
        with pytest.raises(WorkerError, match="on purpose") as error:
            run(worker, data)
        assert not error.value.fatal
        assert "Traceback" in worker.log
        assert worker.running
        # Another configuration in its place, without a second import.
        assert set(worker.build(FINE, data.graph, 3)) == {"build_s"}
        assert run(worker, data)["times"]


def test_it_may_be_started_anew_after_its_death(
    data: Inputs, options: Options, tmp_path: Path
) -> None:
    worker = HeldWorker(options, tmp_path)
    with pytest.raises(WorkerError, match="killed by SIGABRT: about to abort"):
        worker.start(replace(FINE, configuration="abort"), data)
    assert "about to abort" in worker.log
    first, peak = worker.pids[0], worker.peak_rss_bytes
    with pytest.raises(WorkerError, match="killed by SIGABRT"):
        worker.ask("describe")
    worker.start(FINE, data)
    assert worker.pids[0] != first
    assert worker.peak_rss_bytes >= peak > 0
    worker.kill()
    assert is_over(worker.pids[0])


def test_one_that_was_ended_says_what_it_ended_with(
    data: Inputs, options: Options, tmp_path: Path
) -> None:
    missing = HeldWorker(options, tmp_path)
    with pytest.raises(WorkerError) as error:
        missing.start(Selection("fake_backends.MissingBackend", "default"), data)
    missing.kill()
    with pytest.raises(WorkerError) as again:
        missing.ask("describe")
    assert again.value.status == error.value.status == SKIPPED
    finished = HeldWorker(options, tmp_path)
    finished.start(FINE, data)
    finished.finish()
    with pytest.raises(WorkerError, match="it was ended before this command") as error:
        finished.ask("describe")
    assert error.value.status == CRASHED
    finished.finish()
    finished.kill()


def test_a_block_that_raises_leaves_no_process(
    data: Inputs, options: Options, tmp_path: Path
) -> None:
    worker = HeldWorker(options, tmp_path)

    def fail() -> None:
        with worker:
            worker.start(FINE, data)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert is_over(worker.pids[0])
    assert not worker.running

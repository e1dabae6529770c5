"""Several processes that share every run: how images are dealt out, what counts, how they fail."""

from __future__ import annotations

from pathlib import Path

import fake_backends
import numpy as np
import psutil
import pytest
from random_images import RandomImages, write_random_images

from bench.machine import cpus
from bench.verdict.status import CRASHED, NOT_RUN
from bench.workers import crew, inputs
from bench.workers.crew import Crew, worker_for
from bench.workers.held import HeldWorker
from bench.workers.inputs import Inputs
from bench.workers.options import Options
from bench.workers.partitioning import Partitioning, dealt
from bench.workers.process import WorkerError
from bench.workers.selection import select
from columnar_nn.errors import UsageError

IMAGES = 24


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    monkeypatch.setattr("bench.workers.inputs.write_ipc", write_random_images)
    graph = fake_backends.tiny_graph()
    return inputs.prepare(tmp_path, graph, RandomImages(), IMAGES, 5)  # type: ignore[arg-type]


def crew_of(
    folder: Path, data: Inputs, backend: str, processes: int, partitions: str = ""
) -> Crew | HeldWorker:
    cut = Partitioning.parse(partitions) if partitions else None
    pinned = (cpus.available() * processes)[:processes]  # a test may share a CPU
    options = Options(pinned, 60.0, 5, processes=processes, partitions=cut)
    made = worker_for(options, folder)
    made.start(select([f"fake_backends.FakeBackend:{backend}"])[0], data)
    return made


@pytest.mark.parametrize("text", ["1", "3", "7", "3:zipf", "7:zipf"])
@pytest.mark.parametrize("samples", [7, 8, 100, 1001])
def test_partitions_have_every_image_once(text: str, samples: int) -> None:
    cut = Partitioning.parse(text)
    parts = cut.parts(samples)
    assert str(cut) == text
    assert [row for start, n in parts for row in range(start, start + n)] == list(range(samples))
    sizes = [count for _, count in parts]
    assert len(sizes) == cut.count
    assert min(sizes) >= 1
    if not cut.skewed:
        assert max(sizes) - min(sizes) <= 1
    assert sorted(p for own in dealt(parts, 2) for p in own) == parts


def test_skewed_partitions_follow_zipf() -> None:
    sizes = [count for _, count in Partitioning(4, skewed=True).parts(100_000)]
    np.testing.assert_allclose([sizes[0] / size for size in sizes], [1, 2, 3, 4], rtol=1e-3)


@pytest.mark.parametrize("text", ["0", "x", "4:skewed", "-1", "4:zipf:", ""])
def test_partitions_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="partitions"):
        Partitioning.parse(text)


def test_of_a_run_only_the_interval_counts_in_which_all_run() -> None:
    # The second starts 1 s later and goes on for 9 s after the first, which changes nothing.
    steady = [[(0.0, 2.0), (2.0, 4.0), (4.0, 6.0)], [(1.0, 5.0), (5.0, 15.0)]]
    rate = 10 / 2 + (20 / 4 * 4 + 20 / 10 * 1) / 5  # images a second from 1 s to 6 s
    assert crew._interval_time(steady, [10, 20]) == pytest.approx(30 / rate)
    assert crew._job_time([[(1.0, 3.0)], [(0.5, 2.0)]]) == 2.5
    with pytest.raises(WorkerError, match="never at work together"):
        crew._interval_time([[(0.0, 1.0)], [(2.0, 3.0)]], [1, 1])


def test_one_process_without_partitions_is_no_crew(tmp_path: Path) -> None:
    assert isinstance(worker_for(Options((0,), 1.0), tmp_path), HeldWorker)


@pytest.mark.parametrize(
    ("processes", "partitions"), [(2, ""), (2, "2:zipf"), (2, "5"), (1, "3:zipf"), (3, "")]
)
def test_a_crew_gives_what_one_worker_gives(
    tmp_path: Path, data: Inputs, processes: int, partitions: str
) -> None:
    arguments = {"images": str(data.images), "samples": IMAGES - 1, "batch_size": 5}
    alone = crew_of(tmp_path, data, "fine", 1)
    alone.ask("run", **arguments, outputs=str(tmp_path / "alone"))
    alone.finish()
    shared = crew_of(tmp_path, data, "fine", processes, partitions)
    reply = shared.ask("run", **arguments, min_runs=2, prime=True, outputs=str(tmp_path / "shared"))
    expected = inputs.outputs_of(tmp_path / "alone")["logits"]
    found = inputs.outputs_of(tmp_path / "shared")["logits"]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert len(reply["times"]) == len(reply["switches"]) == len(reply["phases"]) == 2
    assert len(reply["shares"]) == len(shared.pids) == processes
    for share in reply["shares"]:
        assert len(share["seconds"]) == 2
        assert 0 < (share["pss_bytes"] or 1) <= share["rss_bytes"]
    assert [file.name for file in tmp_path.glob("shared.*")] == []
    pids = shared.pids
    shared.finish()
    assert not any(map(psutil.pid_exists, pids))


def test_a_slow_image_takes_half_the_time_with_two_processes(tmp_path: Path, data: Inputs) -> None:
    arguments = {"images": str(data.images), "samples": 20, "batch_size": 5}
    for partitions in ("", "2"):  # which sleep for 20 ms an image, whatever the CPUs
        shared = crew_of(tmp_path, data, "slow", 2, partitions)
        seconds = shared.ask("run", **arguments, min_runs=3)["times"]
        shared.finish()
        assert 0.2 <= min(seconds) < 0.3  # one process sleeps for 0.4
    skewed = crew_of(tmp_path, data, "slow", 2, "2:zipf")
    reply = skewed.ask("run", **arguments, min_runs=3)
    skewed.finish()
    first, second = (min(share["seconds"]) for share in reply["shares"])
    assert first / second == pytest.approx(13 / 7, rel=0.2)  # as many images
    assert min(reply["times"]) == pytest.approx(first, rel=0.1)


def test_fewer_images_than_processes_are_not_run(tmp_path: Path, data: Inputs) -> None:
    shared = crew_of(tmp_path, data, "fine", 2)
    with pytest.raises(WorkerError, match="cannot be shared by 2") as caught:
        shared.ask("run", images=str(data.images), samples=1, batch_size=5)
    assert (caught.value.status, caught.value.fatal) == (NOT_RUN, False)
    assert shared.running
    shared.kill()


def test_a_process_that_dies_takes_its_crew_with_it(tmp_path: Path, data: Inputs) -> None:
    shared = crew_of(tmp_path, data, "abort_on_many", 2)
    pids = shared.pids
    with pytest.raises(WorkerError) as caught:
        shared.ask("run", images=str(data.images), samples=20, batch_size=5)
    assert (caught.value.status, caught.value.fatal) == (CRASHED, True)
    assert not shared.running
    assert "about to abort" in shared.log
    assert not any(map(psutil.pid_exists, pids))

"""What others took of a worker's time: the counters, the decision, and a machine made busy."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import fake_backends
import pytest
from random_images import RandomImages, write_random_images
from sessions import result_of, session_of

from bench.compare.cell import Cell
from bench.compare.comparison import Comparison
from bench.compare.experiment import Experiment, Limits
from bench.compare.recording import Recording
from bench.machine import cpus, disturbance
from bench.machine.disturbance import DISTURBED_SHARE, Disturbance, Snapshot, taken_share
from bench.results import document
from bench.results.result import BackendRecord, Benchmark, Result
from bench.results.session import Workloads
from bench.results.summary import summarize
from bench.verdict.status import NOT_RUN, PASSED
from bench.workers.options import Options
from bench.workers.selection import select
from bench.workers.turn import Turn

LIMITS = Limits(runs=2, min_time=0.0, budget=9.0)
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def taken(
    wall: float, steal: float = 0.0, others: float = 0.0, waited: Sequence[float] = ()
) -> Disturbance:
    return Disturbance(wall, steal, others, tuple(waited), 0)


@pytest.mark.parametrize(
    ("disturbances", "share"),
    [
        ([], None),
        ([None, None], None),
        ([taken(1.0)], 0.0),
        # The thread that waited longest, as far as others ran meanwhile ...
        ([taken(1.0, others=0.5, waited=[0.3, 0.2])], 0.3),
        ([taken(1.0, others=0.19, waited=[0.3])], 0.19 + TICK_S),
        # ... and not when a backend's threads waited for each other.
        ([taken(1.0, others=0.0, waited=[0.5, 0.5, 0.5])], TICK_S),
        # Other processes ran, but no thread was kept waiting.
        ([taken(1.0, others=0.9)], 0.0),
        # The hypervisor, of whose ticks one may have begun before.
        ([taken(1.0, steal=0.3)], 0.3 - TICK_S),
        ([taken(0.05, steal=TICK_S)], 0.0),
        ([taken(1.0, steal=0.3, others=0.5, waited=[0.2])], 0.5 - TICK_S),
        # Too short for ticks: what the threads waited decides.
        ([taken(0.002, waited=[0.001])], 0.5),
        # All turns together, each by its wall time; those that are not known do not count.
        ([taken(1.0, others=1.0, waited=[0.8]), None, taken(3.0)], 0.2),
        ([taken(1.0, steal=5.0)], 1.0),
    ],
)
def test_taken_share(disturbances: list[Disturbance | None], share: float | None) -> None:
    found = taken_share(disturbances)
    assert found == (None if share is None else pytest.approx(share))


def turn(times: Sequence[float], switches: Sequence[int], found: Disturbance | None) -> Turn:
    return Turn(times, [{"compute": seconds} for seconds in times], switches, found)


QUIET = taken(1.0, others=0.09, waited=[0.09])
BUSY = taken(1.0, others=0.5, waited=[0.5])


@pytest.mark.parametrize(
    ("turns", "disturbed", "fastest"),
    [
        ([turn([3.0, 2.0], [1, 1], None)], False, 2.0),
        ([turn([3.0, 2.0], [1, 1], QUIET)], False, 2.0),
        ([turn([3.0, 2.0], [0, 1], BUSY)], True, 3.0),
        ([turn([3.0, 2.0], [1, 1], BUSY)], True, None),
        ([turn([4.0, 5.0], [1, 1], QUIET), turn([3.0, 2.0], [1, 1], BUSY)], True, 4.0),
        ([*[turn([4.0], [1], QUIET)] * 99, turn([2.0], [1], BUSY)], False, 2.0),
    ],
)
def test_a_cell_is_disturbed_from_a_tenth_on(
    turns: list[Turn], disturbed: bool, fastest: float | None
) -> None:
    benchmark = benchmark_of(turns)
    assert (benchmark.disturbed, benchmark.fastest_s) == (disturbed, fastest)
    assert ("disturbed: others took over 10%" in benchmark.warning) == disturbed
    assert benchmark.times == tuple(seconds for turn in turns for seconds in turn.times)
    assert benchmark.taken_share == taken_share(turn.disturbance for turn in turns)


def benchmark_of(turns: list[Turn]) -> Benchmark:
    """The cell of these turns, written as rows and read back."""
    record = BackendRecord("fake", "fine", 1, PASSED)
    experiment = Experiment((), (1,), Options((0,), 9.0), LIMITS, 7)
    session = session_of(experiment)
    workloads = Workloads(fake_backends.tiny_graph(), RandomImages())  # type: ignore[arg-type]
    recording = Recording(session, experiment.options, workloads)
    results = session.results(recording.all_of(record, [Cell(1, 1, turns)]), complete=True)
    (found,) = summarize(document.loads(document.to_json(results))).benchmarks
    return found


def write_counters(folder: Path, waited: dict[int, int], switches: int, ticks: int) -> None:
    """The files of process 7 after `ticks` of CPU 1, of which it had half and others a quarter."""
    folder.mkdir(exist_ok=True)
    rest = "0 0 0 0"
    lines = [
        "cpu  9 9 9 9 9 9 9 9 9 9",
        f"cpu0 {9 * ticks} 0 0 0 {rest} 0 0",
        f"cpu1 {ticks // 2} 0 {ticks // 4} 5 5 0 0 {ticks // 10} 0 0",
        "intr 5",
    ]
    (folder / "stat").write_text("\n".join(lines) + "\n")
    process = folder / "7"
    for thread, nanoseconds in waited.items():
        task = process / "task" / str(thread)
        task.mkdir(parents=True, exist_ok=True)
        (task / "schedstat").write_text(f"123 {nanoseconds} 5\n")
        text = f"Name:\tx\nvoluntary_ctxt_switches:\t99\nnonvoluntary_ctxt_switches:\t{switches}\n"
        (task / "status").write_text(text)
    numbers = " ".join(map(str, range(4, 14)))
    (process / "stat").write_text(f"7 (a ) name) S {numbers} {ticks // 2} 0 17 18\n")


def test_counters_are_read_as_the_kernel_writes_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disturbance, "_PROC", tmp_path)
    write_counters(tmp_path, {7: 10**9, 8: 10**9}, switches=3, ticks=1000)
    before = Snapshot.take([7], [1])
    write_counters(tmp_path, {7: 10**9, 8: 3 * 10**9, 9: 5 * 10**8}, switches=5, ticks=3000)
    after = Snapshot.take([7], [1])
    assert before is not None
    assert after is not None
    found = before.until(after)
    assert found.steal_s == pytest.approx(200 * TICK_S)
    assert found.others_s == pytest.approx(500 * TICK_S)
    assert found.run_queue_s == pytest.approx((2.0, 0.5))
    assert found.involuntary_switches == 2 + 2 + 5
    assert found.wall_s > 0


@pytest.mark.parametrize("missing", ["stat", "7/stat", "7/task", "7/task/7/schedstat"])
def test_a_kernel_that_does_not_tell_disturbs_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(disturbance, "_PROC", tmp_path)
    write_counters(tmp_path, {7: 0}, switches=0, ticks=0)
    (tmp_path / missing).rename(tmp_path / "elsewhere")
    assert Snapshot.take([7], [1]) is None


def test_cpus_that_are_not_listed_are_no_reason_to_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(disturbance, "_PROC", tmp_path)
    write_counters(tmp_path, {7: 0}, switches=0, ticks=0)
    assert Snapshot.take([7], [5]) is None


def outcome(status: str = PASSED, share: float | None = None, **settings: object) -> Result:
    return Result(
        {"settings": settings},
        (BackendRecord("fake", "fine", 1, status), BackendRecord("fake", "slow", 1, NOT_RUN)),
        (Benchmark("fake", "fine", 1, 1, 1, status, taken_share=share),),
    )


@pytest.mark.parametrize(
    ("result", "code"),
    [
        (outcome(share=0.5), 0),
        (outcome(share=0.5, strict=True), 1),
        (outcome(share=DISTURBED_SHARE, strict=True), 0),
        (outcome(share=None, strict=True), 0),
        (outcome(), 0),
        (outcome(named=["fake"]), 0),  # one of its configurations was run
        (outcome(named=["fake:slow"]), 1),
        (outcome(named=["fake:fine", "other"]), 0),
        (outcome(NOT_RUN, named=["fake"]), 1),
        (outcome(NOT_RUN), 0),
    ],
)
def test_exit_code_of_disturbed_and_of_named_but_not_run(result: Result, code: int) -> None:
    assert result.exit_code() == code


def test_a_strict_comparison_says_why_it_fails() -> None:
    too_disturbed = "--strict: other processes disturbed 1 of 1 cell"
    assert outcome(share=0.5, strict=True).too_disturbed == too_disturbed
    assert outcome(share=0.5).too_disturbed == outcome(share=0.0, strict=True).too_disturbed == ""


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    monkeypatch.setattr("bench.workers.inputs.write_ipc", write_random_images)

    def run(name: str, min_time: float = 0.5, budget: float = 60.0, **settings: object) -> Result:
        experiment = Experiment(
            selections=select([f"fake_backends.FakeBackend:{name}"]),
            samples=(8,),
            options=Options(cpus.choose(1), 120.0, batch_size=3),
            limits=Limits(2, min_time, budget),
            seed=7,
        )
        comparison = Comparison(
            session_of(experiment, **settings),
            experiment,
            fake_backends.tiny_graph(),
            RandomImages(),  # type: ignore[arg-type]
            lambda done, total, doing: None,
        )
        comparison.run()
        return result_of(comparison)

    return run


def test_a_named_backend_of_which_nothing_was_run_says_what_would_run_it(
    compare: Callable[..., Result],
) -> None:
    result = compare("slow", min_time=0.0, budget=0.001, named=("fake_backends.FakeBackend:slow",))
    (record,) = result.backends
    assert record.status == NOT_RUN
    assert record.reason.startswith("--budget 0.")
    assert record.reason.endswith(" would run it on 8 image(s)")
    assert result.exit_code() == 1
    budget = float(record.reason.split()[1])
    assert budget >= 0.16, "it sleeps as long"


@pytest.fixture
def busy_cpus() -> Iterator[None]:
    """A process that never rests on each of this process's CPUs."""
    program = "import os, sys\nos.sched_setaffinity(0, [int(sys.argv[1])])\nwhile True: pass"
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(cpu)]) for cpu in cpus.available()
    ]
    yield
    for process in processes:
        process.kill()
        process.wait()


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="known on Linux only")
@pytest.mark.usefixtures("busy_cpus")
def test_on_a_busy_machine_the_cell_is_marked(compare: Callable[..., Result]) -> None:
    result = compare("fine", strict=True)
    (cell,) = result.benchmarks
    if cell.taken_share is None:
        pytest.skip("this kernel tells nothing of its threads")
    assert cell.status == PASSED
    assert cell.disturbed
    assert "disturbed: others took over 10%" in cell.warning
    assert result.exit_code() == 1
    assert dataclasses.replace(result, context={}).exit_code() == 0

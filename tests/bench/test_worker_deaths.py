"""Every state of a worker and every way to die in it: that backend's end, and nobody else's."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dying_backends
import fake_backends
import psutil
import pytest
from dying_backends import DEATHS, PAUSED, STATES
from random_images import RandomImages, write_random_images
from sessions import result_of, session_of

from adapters import registry
from bench.compare.comparison import Comparison
from bench.compare.contender import Contender
from bench.compare.experiment import Experiment, Limits
from bench.machine import cpus
from bench.results.result import BackendRecord, Benchmark, Result
from bench.verdict.status import CRASHED, PASSED, SKIPPED, TIMEOUT, UNIMPLEMENTED
from bench.workers.held import HeldWorker
from bench.workers.inputs import Inputs
from bench.workers.options import Options
from bench.workers.process import WorkerProcess
from bench.workers.selection import Selection, select

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the deaths are written for Linux"),
]

PATIENCE_S = 120.0
SHORT_S = 1.0

ENDINGS = {
    "sigkill": (CRASHED, r"killed by SIGKILL \(out of memory\?\)"),
    "sigsegv": (CRASHED, "killed by SIGSEGV"),
    "sigstop": (TIMEOUT, r"no answer to \w+ within 1 s, stopped by a signal"),
    "memory": (CRASHED, "(ended with exit status 1: .*)?MemoryError: Unable to allocate 1.00 GiB"),
    "hang": (TIMEOUT, r"no answer to \w+ within 1 s"),
    "printed": (PASSED, ""),
    "answered": (CRASHED, "wrote to the connection of its answers: .*times"),
    "closed": (CRASHED, "ended with exit status 1"),
    "exit": (CRASHED, "ended with exit status 3"),
    "fork": (CRASHED, "ended with exit status 0"),
    "copy": (PASSED, ""),
}
"""Status and reason, as a regular expression, of each death; the same in every state."""

CASES = {
    **{f"{state}/{death}": ENDINGS[death] for state in STATES for death in DEATHS},
    "paused/sigkill": ENDINGS["sigkill"],
    "paused/sigsegv": ENDINGS["sigsegv"],
    "paused/sigstop": (PASSED, ""),  # it is stopped as it is, and goes on when its turn comes
}


def selection(case: str) -> str:
    state, _, death = case.partition("/")
    name = dying_backends.importing_class(death) if state == "importing" else "DyingBackend"
    return f"dying_backends.{name}:{case}"


def comparison_of(names: list[str], min_time: float, graph: Any, progress: Any) -> Comparison:
    experiment = Experiment(
        selections=select(names),
        samples=(1,),
        options=Options(cpus.choose(1), PATIENCE_S, batch_size=3),
        limits=Limits(runs=2, min_time=min_time, budget=60.0),
        seed=7,
    )
    return Comparison(
        session_of(experiment),
        experiment,
        graph,
        RandomImages(),  # type: ignore[arg-type]
        progress,
    )


def by_configuration(result: Result) -> dict[str, tuple[BackendRecord, Benchmark]]:
    return {
        record.configuration: (record, cell)
        for record, cell in zip(result.backends, result.benchmarks, strict=True)
    }


@pytest.fixture(scope="module", autouse=True)
def _random_images() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.workers.inputs.write_ipc", write_random_images)
        yield


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dying")


@pytest.fixture(scope="module")
def processes() -> list[psutil.Process]:
    """Those of other tests, which this process runs too."""
    return psutil.Process().children()


@pytest.fixture(scope="module")
def deaths(folder: Path, processes: list[psutil.Process]) -> Result:
    """All of them in one comparison, between two backends that do as they should."""
    spawned: list[str] = []
    start = HeldWorker.start

    def watched_start(self: HeldWorker, selection: Selection, data: Inputs) -> dict[str, Any]:
        spawned.append(selection.configuration)
        return start(self, selection, data)

    def process(folder: Path, numbers: tuple[int, ...], *others: Any) -> WorkerProcess:
        state, _, death = spawned[-1].partition("/")
        if state != "starting":
            return WorkerProcess(folder, numbers, *others)
        variables = {dying_backends.START_VARIABLE: death}
        return WorkerProcess(folder, numbers, "dying_backends:DyingSession", variables)

    def progress(done: int, total: int, doing: str) -> None:
        contenders = {c.selection.configuration: c for c in comparison._contenders}
        name = doing.removeprefix("starting ").partition(":")[2]
        before_turns = not (folder / dying_backends.TIMING).exists()
        if doing.startswith("starting ") and name.partition("/")[0] in STATES[:3]:
            shorten(contenders[name])
        if doing.startswith("timing ") and before_turns:
            (folder / dying_backends.TIMING).touch()
            for contender in contenders.values():
                shorten(contender)
            for case in PAUSED:
                stopped = contenders[case]._worker
                assert stopped.running
                number = getattr(signal, case.partition("/")[2].upper())
                os.kill(stopped.pids[0], number)

    def shorten(contender: Contender) -> None:
        """Only those that hang wait for it: a busy machine may need longer for the others."""
        if CASES.get(contender.selection.configuration, ("",))[0] == TIMEOUT:
            options = dataclasses.replace(contender._worker._options, timeout=SHORT_S)
            contender._worker._options = options

    names = ["fake_backends.FakeBackend:fine", *map(selection, CASES)]
    names.append("fake_backends.FakeBackend:garbage")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(dying_backends.FOLDER_VARIABLE, str(folder))
        patch.setattr(HeldWorker, "start", watched_start)
        patch.setattr("bench.workers.held.WorkerProcess", process)
        comparison = comparison_of(names, 0.0, fake_backends.tiny_graph(), progress)
        comparison.run()
    return result_of(comparison)


@pytest.mark.parametrize("case", CASES)
def test_a_death_gives_the_backend_its_status_and_reason(deaths: Result, case: str) -> None:
    record, cell = by_configuration(deaths)[case]
    status, reason = CASES[case]
    assert (record.status, bool(record.reason)) == (status, status != PASSED)
    assert re.match(reason, record.reason)
    assert "\n" not in record.reason
    # What was measured before the end is kept.
    was_measured = status == PASSED or case.partition("/")[0] in ("describing", "stopping")
    assert cell.status == (PASSED if was_measured else status)
    assert len(cell.times) == (2 if was_measured else 0)


def test_no_death_is_anybody_elses(deaths: Result) -> None:
    for name in ("fine", "garbage"):
        record, cell = by_configuration(deaths)[name]
        assert (record.status, cell.status, len(cell.times)) == (PASSED, PASSED, 2)
    assert deaths.complete
    assert deaths.exit_code() == 1


def test_nothing_outlives_the_comparison(
    deaths: Result, folder: Path, processes: list[psutil.Process]
) -> None:
    children = [int(path.name.partition("-")[2]) for path in folder.glob("child-*")]
    assert len(children) == len(STATES)
    running = [n for n in children if psutil.pid_exists(n)]
    assert all(psutil.Process(n).status() == psutil.STATUS_ZOMBIE for n in running)
    assert not set(psutil.Process().children()) - set(processes)


@pytest.fixture(scope="module")
def killed_while_measuring() -> Result:
    """Every real backend, each killed in its first turn."""
    killers = []

    def kill(pid: int) -> None:
        with contextlib.suppress(ProcessLookupError):  # the turn before may have been its last
            os.kill(pid, signal.SIGKILL)

    def progress(done: int, total: int, doing: str) -> None:
        label = doing.removeprefix("timing ").partition(" on ")[0]
        for each in comparison._contenders:
            worker = each._worker
            doomed = each.selection.backend in registry.BACKENDS and worker.running
            if doing.startswith("timing ") and each.selection.label == label and doomed:
                killers.append(threading.Timer(0.1, kill, worker.pids))
                killers[-1].start()

    names = [select([name])[0].label for name in registry.BACKENDS]
    names.append("fake_backends.FakeBackend:fine")
    comparison = comparison_of(names, 2.0, fake_backends.tiny_graph(), progress)
    comparison.run()
    for killer in killers:
        killer.join()
    return result_of(comparison)


@pytest.mark.parametrize("name", registry.BACKENDS)
def test_a_real_backend_killed_while_measuring(killed_while_measuring: Result, name: str) -> None:
    record = next(r for r in killed_while_measuring.backends if r.backend == name)
    if record.status == SKIPPED:
        pytest.skip(record.reason)
    assert record.status in (CRASHED, UNIMPLEMENTED)
    assert record.status == UNIMPLEMENTED or record.reason.startswith("killed by SIGKILL")
    fine = killed_while_measuring.benchmarks[-1]
    assert (fine.status, len(fine.times) >= 2) == (PASSED, True)
    assert killed_while_measuring.exit_code() == 1

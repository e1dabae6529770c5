"""One task at a time, read once: what an executable and its tasks refuse, and that nothing hangs.

The watchdog is a thread that ends the process: a hang inside a kernel answers no signal.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from exec.networks import images, residual_network

from columnar_nn.data.arrow_source import from_batches
from columnar_nn.errors import InvalidDataError, UsageError
from columnar_nn.exec.executable import Executable, prepare
from columnar_nn.lowering.network import network
from columnar_nn.plan.builder import PlanBuilder

pytestmark = pytest.mark.timeout(60, method="thread")

ROOT = Path(__file__).parents[2]
ROWS = (40, 3, 40, 3, 40, 3)
TOTAL = sum(ROWS)


def stream() -> Iterator[pa.RecordBatch]:
    for seed, rows in enumerate(ROWS):
        yield images(rows, seed=seed)


def network_over(threads: int) -> Executable:
    source = from_batches(images(1).schema, [])
    plan = PlanBuilder().table_scan(source).project({"y": network(residual_network())}).plan()
    return prepare(plan, threads)


@pytest.fixture
def executable(threads: int) -> Iterator[Executable]:
    with network_over(threads) as made:
        yield made


def rows_of(executable: Executable) -> int:
    rows: int = executable.run({"0": stream()}).to_table().num_rows
    return rows


def test_another_task_is_refused_until_the_first_is_read_to_its_end(
    executable: Executable,
) -> None:
    held = iter(executable.run({"0": stream()}))
    rows = next(held).num_rows
    for _ in range(2):
        with pytest.raises(UsageError, match="runs another task: read that to its end"):
            rows_of(executable)
    assert rows + sum(batch.num_rows for batch in held) == TOTAL
    assert rows_of(executable) == TOTAL


def drop(held: list[Iterator[pa.RecordBatch]]) -> None:
    held.clear()


def close(held: list[Iterator[pa.RecordBatch]]) -> None:
    held[0].close()  # type: ignore[attr-defined]


def fail(held: list[Iterator[pa.RecordBatch]]) -> None:
    with pytest.raises(RuntimeError):
        held[0].throw(RuntimeError)  # type: ignore[attr-defined]


@pytest.mark.parametrize("leave", [drop, close, fail])
def test_an_iterator_left_early_frees_the_executable(
    executable: Executable, leave: Callable[[list[Iterator[pa.RecordBatch]]], None]
) -> None:
    for _ in range(3):
        held = [iter(executable.run({"0": stream()}))]
        next(held[0])
        leave(held)
        assert rows_of(executable) == TOTAL


def test_a_closed_task_frees_the_executable_and_its_iterator_says_so(
    executable: Executable,
) -> None:
    task = executable.run({"0": stream()})
    held = iter(task)
    next(held)
    task.close()
    assert rows_of(executable) == TOTAL
    with pytest.raises(UsageError, match="task has been closed"):
        next(held)
    unread = executable.run({"0": stream()})
    unread.close()
    with pytest.raises(UsageError, match="a task is read once"):
        iter(unread)


def test_a_closed_executable_ends_its_task_and_refuses_others(threads: int) -> None:
    executable = network_over(threads)
    unread = executable.run({"0": stream()})
    held = iter(executable.run({"0": stream()}))
    next(held)
    executable.close()
    executable.close()
    with pytest.raises(UsageError, match="closed"):
        next(held)
    for use in (executable.run, unread.to_table):
        with pytest.raises(UsageError, match="executable has been closed: prepare another"):
            use()


@pytest.mark.parametrize("what", ["task", "executable"])
def test_closing_while_another_thread_reads(threads: int, what: str) -> None:
    """No partial result passes for a whole one, not even a count."""
    go_on, waiting = threading.Event(), threading.Event()

    def waits() -> Iterator[pa.RecordBatch]:
        yield images(300)
        waiting.set()
        go_on.wait()
        yield images(300)

    source = from_batches(images(1).schema, [])
    plan = PlanBuilder().table_scan(source).aggregate([], ["count(1) AS n"]).plan()
    executable = prepare(plan, threads)
    task = executable.run({"0": waits()})
    caught: list[Exception] = []

    def read() -> None:
        try:
            task.to_table()
        except UsageError as error:
            caught.append(error)

    reader = threading.Thread(target=read)
    reader.start()
    waiting.wait()
    (task if what == "task" else executable).close()
    go_on.set()
    reader.join()
    assert "has been closed" in str(caught[0])


def test_a_source_may_close_what_reads_it(threads: int) -> None:
    executable = network_over(threads)

    def closes() -> Iterator[pa.RecordBatch]:
        yield images(300)
        executable.close()
        yield images(300)

    with pytest.raises(UsageError, match="closed"):
        executable.run({"0": closes()}).to_table()


def test_threads_that_share_an_executable_are_told(executable: Executable) -> None:
    outcomes: list[int | str] = []

    def use() -> None:
        for _ in range(10):
            try:
                outcomes.append(rows_of(executable))
            except UsageError as error:
                outcomes.append(str(error))

    users = [threading.Thread(target=use) for _ in range(4)]
    for user in users:
        user.start()
    for user in users:
        user.join()
    assert len(outcomes) == 40
    assert TOTAL in outcomes
    for outcome in outcomes:
        assert outcome == TOTAL or "need an executable each" in str(outcome)


def test_a_task_is_read_once(executable: Executable) -> None:
    task = executable.run({"0": stream()})
    assert task.to_table().num_rows == TOTAL
    for again in (task.to_table, lambda: list(task)):
        with pytest.raises(UsageError, match="read once: ask the executable for another"):
            again()


@pytest.mark.parametrize("kind", ["generator", "reader"])
def test_a_source_that_is_read_up_gives_no_empty_result(threads: int, kind: str) -> None:
    reader = pa.RecordBatchReader.from_batches(images(1).schema, stream())
    source = from_batches(images(1).schema, stream()) if kind == "generator" else reader
    plan = PlanBuilder().table_scan(source).aggregate([], ["count(1) AS n"]).plan()
    with prepare(plan, threads) as executable:
        assert executable.run().to_table().to_pylist() == [{"n": TOTAL}]
        with pytest.raises(UsageError, match="arrow_table can be read once"):
            executable.run().to_table()


NO_BATCHES = {
    "nothing": (lambda: [images(3), None], "gave NoneType: it must give pyarrow RecordBatches"),
    "a table": (lambda: [pa.Table.from_batches([images(3)])], "gave Table"),
    "a batch": (lambda: images(3), "RecordBatch is no stream of batches"),
    "a path": (lambda: "images.arrow", "gave str"),
    "a number": (lambda: 3, "int is no stream of batches"),
}


@pytest.mark.parametrize("kind", NO_BATCHES)
def test_what_is_no_batch_is_named(executable: Executable, kind: str) -> None:
    make, message = NO_BATCHES[kind]
    with pytest.raises(InvalidDataError, match=message) as caught:
        executable.run({"0": make()}).to_table()  # type: ignore[dict-item]
    assert "\n" not in str(caught.value)
    assert rows_of(executable) == TOTAL


def test_batches_for_a_scan_that_is_none(executable: Executable) -> None:
    with pytest.raises(UsageError, match=r"no scan has plan node id '1': the plan's has '0'"):
        executable.run({"1": stream()})


@pytest.mark.parametrize("threads", [0, -1])
def test_there_is_a_thread(threads: int) -> None:
    with pytest.raises(UsageError, match="1 or more"):
        network_over(threads)


@pytest.mark.parametrize("partitions", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.usefixtures("drivers")
def test_a_plan_may_gather_more_than_once(partitions: int, count: int) -> None:
    builder = PlanBuilder().values([images(4, seed=seed) for seed in range(60)])
    for _ in range(partitions):
        builder = builder.local_partition()
    ids = prepare(builder.plan(), count).run().to_table().column("id").to_pylist()
    assert ids == [0, 1, 2, 3] * 60


PREAMBLE = f"""
import os, signal, sys, threading
sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / "tests")!r}]
from columnar_nn.exec import task_threads
threads = int(sys.argv[1])
if sys.argv[2] == "drivers":
    task_threads.SHORT_STREAM_ROWS = 0
from exec.test_contract import TOTAL, UsageError, images, network_over, rows_of, stream

def refused(function):
    try:
        function()
    except UsageError as error:
        return str(error)
    return "nothing was refused"
"""

WAYS = {"one thread": (1, "-"), "two drivers": (2, "drivers"), "two threads": (2, "-")}


def start(way: str, program: str) -> subprocess.Popen[str]:
    threads, drivers = WAYS[way]
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + program, str(threads), drivers],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[int, str]:
    try:
        output, errors = process.communicate(timeout=30)
    except subprocess.TimeoutExpired:
        process.kill()
        raise
    return process.returncode, output + errors


FORK = """
executable = network_over(threads)
unread = executable.run({"0": stream()})
held = iter(executable.run({"0": stream()}))
next(held)
child = os.fork()
if not child:
    for use in (executable.run, unread.to_table, lambda: next(held)):
        print("child:", refused(use), flush=True)
    executable.close()
    del held
    print("child:", rows_of(network_over(threads)) == TOTAL, flush=True)
    sys.exit(5)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(1 + sum(1 for _ in held) > 1, rows_of(executable) == TOTAL)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
@pytest.mark.parametrize("way", WAYS)
def test_the_child_of_a_fork_is_refused(way: str) -> None:
    status, output = finish(start(way, FORK))
    assert output.count("child: a forked process cannot") == 3, output
    assert output.splitlines()[3:6] == ["child: True", "5", "True True"], output
    assert status == 0


SIGINT = """
executable = network_over(threads)
def waits():
    yield from stream()
    print("waiting", flush=True)
    threading.Event().wait()
try:
    print(executable.run({"0": waits()}).to_table())
except KeyboardInterrupt:
    print("interrupted", flush=True)
print(rows_of(executable) == TOTAL)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="SIGINT cannot be sent there")
@pytest.mark.parametrize("way", WAYS)
def test_an_interrupt_ends_a_wait_for_the_source(way: str) -> None:
    """Whichever driver waits: the one on the main thread or the other."""
    for _ in range(2):
        process = start(way, SIGINT)
        assert process.stdout is not None
        assert process.stdout.readline() == "waiting\n"
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        assert finish(process) == (0, "interrupted\nTrue\n")


EXIT = """
executable = network_over(threads)
held = iter(executable.run({"0": stream()}))
next(held)
print("held", flush=True)
"""


@pytest.mark.parametrize("way", WAYS)
def test_an_interpreter_ends_though_an_iterator_is_held(way: str) -> None:
    assert finish(start(way, EXIT)) == (0, "held\n")


STUCK = """
executable = network_over(threads)
stuck = threading.Event()
def waits():
    yield from stream()
    stuck.set()
    if threading.current_thread() is not threading.main_thread():
        threading.Event().wait()
held = iter(executable.run({"0": waits()}))
for _ in held:
    if stuck.is_set():
        break
del held
print(rows_of(executable) == TOTAL)
"""


@pytest.mark.parametrize("way", WAYS)
def test_a_dropped_iterator_does_not_wait_for_a_source_without_end(way: str) -> None:
    assert finish(start(way, STUCK)) == (0, "True\n")

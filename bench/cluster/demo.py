"""`make cluster-demo`: images through a cluster on this machine, parts of which are killed.

    python -m bench.cluster.demo

Starts a master and two workers, writes the images as Parquet, runs the network, kills a Python
worker and an executor on the way, and holds every row against the engine alone. Exit status: 0 all
equal, 1 not so, or not both could be killed at work, 130 interrupted.
"""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psutil
import pyarrow as pa
from pyarrow import parquet
from rich.console import Console

from bench.cluster import report, status
from bench.cluster.data import SPLIT_IS_A_FILE, write_images
from bench.cluster.equality import differing
from bench.cluster.job import PREDICTIONS, Job, run
from bench.cluster.session import Opened, session
from bench.cluster.standalone import executors, python_workers, standalone, working
from bench.data.dataset import open_dataset
from bench.files.temporary import temporary_folder
from bench.text.progress import silent
from columnar_nn.errors import CnnBenchError
from columnar_nn.integrations.batches import infer

IMAGES, FILES = 50_000, 20
OUTPUTS = ("predicted", "logits")
NOTICED_S = 10.0
"""Within which Spark has told of a task whose process was killed."""

EXIT_USAGE, EXIT_INTERRUPTED = 2, 130


def main() -> int:
    """Runs it; the exit status."""
    console = Console()
    with temporary_folder() as folder:
        console.print(f"{IMAGES:,} images are written as {FILES} Parquet files")
        write_images(open_dataset("photo10"), IMAGES, FILES, folder)
        with standalone() as cluster, session("spark", cluster.master, SPLIT_IS_A_FILE) as opened:
            console.print(f"a master and two workers are up: {cluster.master}", highlight=False)
            roots = [process.pid for process in cluster.processes]
            job = Job(
                "plain9",
                str(folder / "images"),
                labels=str(folder / "labels.parquet"),
                outputs=OUTPUTS,
                group_by=("predicted", "label"),
            )
            (folder / "out").mkdir()
            with killing(opened, roots, console) as killed:
                outcome = run(opened, job, folder / "out", silent)
            report.show(outcome, opened, console)
            failed = status.tasks(opened.spark).failed
        console.print(f"\n{len(killed)} of 2 processes killed, {failed} tasks failed and retried")
        wrong = wrong_rows(folder)
        console.print(f"{wrong:,} of {IMAGES:,} rows differ from what the engine alone gives")
    return int(wrong > 0 or len(killed) < 2)


@contextmanager
def killing(opened: Opened, roots: Sequence[int], console: Console) -> Iterator[list[str]]:
    """While the block runs: kills a Python worker at work, later an executor whose worker works.

    Yields the names of those killed of which Spark said that a task failed.
    """
    over, killed = threading.Event(), list[str]()
    thread = threading.Thread(target=_kill, args=(opened, roots, console, over, killed))
    thread.start()
    try:
        yield killed
    finally:
        over.set()
        thread.join()


def _kill(
    opened: Opened,
    roots: Sequence[int],
    console: Console,
    over: threading.Event,
    killed: list[str],
) -> None:
    for name, least in (("a Python worker", 3), ("an executor", 8)):
        while not over.wait(0.1):
            done = _tasks_done(opened)
            workers = working(python_workers(roots)) if done >= least else []
            victims = workers if name == "a Python worker" else _executors_of(workers, roots)
            if not victims:
                continue
            failed = status.tasks(opened.spark).failed
            with contextlib.suppress(psutil.NoSuchProcess):
                victims[0].kill()
            if _has_failed(opened, failed, over):
                console.print(
                    f"kill -9 of {name} (process {victims[0].pid}) after {done} tasks",
                    highlight=False,
                )
                killed.append(name)
                break


def _tasks_done(opened: Opened) -> int:
    """Of the stage that reads the images, while it runs."""
    tracker = opened.spark.sparkContext.statusTracker()
    stages = map(tracker.getStageInfo, tracker.getActiveStageIds())
    return max((s.numCompletedTasks for s in stages if s and s.numTasks == FILES), default=0)


def _executors_of(workers: Sequence[psutil.Process], roots: Sequence[int]) -> list[psutil.Process]:
    above: set[int] = set()
    for worker in workers:
        with contextlib.suppress(psutil.NoSuchProcess):
            above.update(process.pid for process in worker.parents())
    return [executor for executor in executors(roots) if executor.pid in above]


def _has_failed(opened: Opened, before: int, over: threading.Event) -> bool:
    """Waits until more tasks have failed than before; False if none does."""
    patience_ends = time.monotonic() + NOTICED_S
    while time.monotonic() < patience_ends:
        if status.tasks(opened.spark).failed > before:
            return True
        over.wait(0.1)
    return False


def wrong_rows(folder: Path) -> int:
    """Rows of the predictions that are missing, or differ in a bit from the engine's own."""
    batches = parquet.read_table(folder / "images").to_batches()
    mine = pa.Table.from_batches(list(infer(batches, outputs=OUTPUTS))).sort_by("id")
    return differing(parquet.read_table(folder / "out" / PREDICTIONS).sort_by("id"), mine, OUTPUTS)


if __name__ == "__main__":
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.default_int_handler)
    try:
        sys.exit(main())
    except CnnBenchError as error:
        print(f"cluster-demo: {error}", file=sys.stderr)
        sys.exit(EXIT_USAGE)
    except KeyboardInterrupt:
        print("cluster-demo: interrupted", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)

"""`make cluster-demo`: images through a cluster on this machine, parts of which are killed.

    python -m bench.cluster.demo

Starts a master and two workers, writes the images as Parquet, runs the network, kills a Python
worker and an executor on the way, and holds every row against the engine alone. Exit status: 0 all
equal, 1 not so, or nothing could be killed.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
from pyarrow import parquet
from rich.console import Console

from bench.cluster import report, status
from bench.cluster.data import write_images
from bench.cluster.job import PREDICTIONS, Job, run
from bench.cluster.session import Opened, session
from bench.cluster.standalone import executors, python_workers, standalone
from bench.data.dataset import open_dataset
from bench.files.temporary import temporary_folder
from bench.text.progress import silent
from columnar_nn.errors import CnnBenchError
from columnar_nn.integrations.batches import infer

IMAGES, FILES = 50_000, 20
OUTPUTS = ("predicted", "logits")
PATIENCE_S = 300.0
SETTINGS = {"spark.sql.files.openCostInBytes": "1g", "spark.sql.files.maxPartitionBytes": "1g"}
"""A file is a split: some are done, and some are not, when parts of the cluster are killed."""


def main() -> int:
    """Runs it; the exit status."""
    console = Console()
    with temporary_folder() as folder:
        console.print(f"{IMAGES:,} images are written as {FILES} Parquet files")
        write_images(open_dataset("photo10"), IMAGES, FILES, folder)
        with standalone() as cluster, session("spark", cluster.master, SETTINGS) as opened:
            console.print(f"a master and two workers are up: {cluster.master}", highlight=False)
            roots = [process.pid for process in cluster.processes]
            killer = Killer(opened, roots, console)
            killer.start()
            job = Job(
                "plain9",
                str(folder / "images"),
                labels=str(folder / "labels.parquet"),
                outputs=OUTPUTS,
                group_by=("predicted", "label"),
            )
            (folder / "out").mkdir()
            outcome = run(opened, job, folder / "out", silent)
            killer.join()
            report.show(outcome, opened, console)
            failed = status.tasks(opened.spark).failed
        console.print(
            f"\n{len(killer.killed)} of 2 processes killed, {failed} tasks failed and retried"
        )
        wrong = wrong_rows(folder)
        console.print(f"{wrong:,} of {IMAGES:,} rows differ from what the engine alone gives")
    return int(wrong > 0 or len(killer.killed) < 2)


class Killer(threading.Thread):
    """Kills a Python worker once some tasks are done, and an executor once more are."""

    def __init__(self, opened: Opened, roots: Sequence[int], console: Console) -> None:
        super().__init__(daemon=True)
        self.killed: list[str] = []
        self._spark = opened.spark
        self._roots = list(roots)
        self._console = console

    def run(self) -> None:
        """Until both are killed, or PATIENCE_S have passed."""
        patience_ends = time.monotonic() + PATIENCE_S
        victims: list[tuple[str, int, Callable[[list[int]], list[psutil.Process]]]] = [
            ("a Python worker", 3, python_workers),
            ("an executor", 8, executors),
        ]
        tracker = self._spark.sparkContext.statusTracker()
        while victims and time.monotonic() < patience_ends:
            name, least, find = victims[0]
            stages: list[Any] = [tracker.getStageInfo(s) for s in tracker.getActiveStageIds()]
            done = max(
                (s.numCompletedTasks for s in stages if s and s.numTasks == FILES), default=0
            )
            found = find(self._roots) if done >= least else []
            if found:
                found[0].kill()
                self._console.print(
                    f"kill -9 of {name} (process {found[0].pid}) after {done} tasks"
                )
                self.killed.append(name)
                del victims[0]
            time.sleep(0.1)


def wrong_rows(folder: Path) -> int:
    """Rows of the predictions that are missing, or differ in a bit from the engine's own."""
    batches = parquet.read_table(folder / "images").to_batches()
    mine = pa.Table.from_batches(list(infer(batches, outputs=OUTPUTS))).sort_by("id")
    written = parquet.read_table(folder / "out" / PREDICTIONS).sort_by("id")
    if written["id"].to_pylist() != mine["id"].to_pylist():
        return max(1, abs(int(mine.num_rows) - int(written.num_rows)))
    equal = np.ones(mine.num_rows, bool)
    for name in OUTPUTS:
        left, right = (_rows(table[name].combine_chunks()) for table in (mine, written))
        equal &= (left == right).all(axis=1)
    return int((~equal).sum())


def _rows(column: pa.Array) -> np.ndarray:
    flat = column.flatten() if pa.types.is_list(column.type) else column
    return np.array(flat).reshape(len(column), -1)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except CnnBenchError as error:
        sys.exit(f"cluster-demo: {error}")

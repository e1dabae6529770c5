"""What Spark itself says of a query: how far it is, and what its tasks cost in the JVM."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.text.progress import Progress

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

POLL_S = 0.5


@dataclass(frozen=True)
class Tasks:
    """Of all stages so far: attempts of tasks, of them failed, and seconds added up over tasks.

    `run_s` is time from start to end of the tasks, `cpu_s` CPU time of their threads in the JVM
    and `gc_s` of its garbage collection.
    """

    attempts: int
    failed: int
    run_s: float
    cpu_s: float
    gc_s: float

    def since(self, before: Tasks) -> Tasks:
        """What has come to it."""
        mine, others = vars(self), vars(before)
        return Tasks(**{name: mine[name] - others[name] for name in mine})


def tasks(spark: SparkSession) -> Tasks:
    """By Spark's status store, which its own pages are made of."""
    context: Any = spark.sparkContext
    store = context._jsc.sc().statusStore()
    defaults = [getattr(store, f"stageList$default${number}")() for number in (2, 3, 4)]
    stages = store.stageList(None, *defaults, context._jvm.java.util.ArrayList())
    listed = [stages.apply(index) for index in range(stages.size())]
    return Tasks(
        attempts=sum(
            s.numCompleteTasks() + s.numFailedTasks() + s.numKilledTasks() for s in listed
        ),
        failed=sum(s.numFailedTasks() for s in listed),
        run_s=sum(s.executorRunTime() for s in listed) / 1e3,
        cpu_s=sum(s.executorCpuTime() for s in listed) / 1e9,
        gc_s=sum(s.jvmGcTime() for s in listed) / 1e3,
    )


@contextmanager
def shown(spark: SparkSession, progress: Progress) -> Iterator[None]:
    """Shows how many tasks of the running stages are done, while the block has Spark work."""
    over = threading.Event()
    tracker = spark.sparkContext.statusTracker()

    def poll() -> None:
        while not over.wait(POLL_S):
            stages = map(tracker.getStageInfo, tracker.getActiveStageIds())
            running = [stage for stage in stages if stage is not None]
            total = sum(stage.numTasks for stage in running)
            if total:
                done = sum(stage.numCompletedTasks for stage in running)
                progress(done, total, f"tasks of {len(running)} stage(s)")

    thread = threading.Thread(target=poll, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()

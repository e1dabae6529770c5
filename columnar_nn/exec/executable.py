"""A plan made ready to run (velox/exec/Task.h begins here).

    executable = prepare(plan, threads=2)
    for batch in executable.run():
        ...

`prepare` does once what does not depend on the data: rewrites, kernels bound and compiled.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from columnar_nn.errors import UsageError
from columnar_nn.exec import task_threads
from columnar_nn.exec.compiled_plan import CompiledPlan
from columnar_nn.exec.kernel_program import KernelProgram
from columnar_nn.exec.morsels import checked_rows
from columnar_nn.exec.task_threads import Call, TaskThreads
from columnar_nn.functions.bfloat16 import FLOAT32
from columnar_nn.kernels.placement import Placement
from columnar_nn.plan import rewrites
from columnar_nn.plan.plan_node import PlanNode, checked_plan
from columnar_nn.plan.rewrites import Rewritten
from columnar_nn.shown import Shown, line

if TYPE_CHECKING:
    from columnar_nn.exec.step_stats import StepStats
    from columnar_nn.exec.task import Task


def prepare(
    plan: PlanNode,
    threads: int = 1,
    fusion: str = "pipeline",
    algorithm: str = "auto",
    without: Collection[str] = (),
    keep_denormals: bool = False,
    precision: str = FLOAT32,
) -> Executable:
    """The plan rewritten for a fusion level, algorithm and number of threads, and compiled.

    `without` names rewrite rules that are left out (`rewrites.PLAN_RULES`, `rewrites.RULES`).
    Kernels take denormals for zero, unless `keep_denormals`. `precision` is "float32" or
    "bfloat16", that of the operands of convolutions and dense layers. Raises UsageError for an
    unknown fusion level, algorithm or precision, and for less than one thread, InvalidPlanError
    for what is no plan.
    """
    checked_plan(plan, "prepare()")
    if threads < 1:
        raise UsageError(f"cannot run on {threads} threads: 1 or more")
    rewritten = rewrites.apply(plan, threads, fusion, algorithm, without, precision)
    return Executable(plan, rewritten, threads, keep_denormals)


class Executable(Shown):
    """A plan as it will run, its kernels bound and loaded: `given`, rewritten by the `rules`.

    It runs any number of tasks and calls, one at a time, from any thread: threads that work at the
    same time have an executable each. UsageError is raised from one that begins while a task is
    not yet read to its end, or a call not answered, and by any use after `close` or in the child of
    a fork. A task is over when its iterator is at its end, has raised an error, is closed or
    dropped.

    Threads, and the scratch memory that they keep, live as long as the executable does.
    """

    def __init__(
        self, given: PlanNode, rewritten: Rewritten, threads: int, keep_denormals: bool
    ) -> None:
        self.given = given
        self.plan = rewritten.plan
        self.rules = rewritten.rules
        self.output_type = self.plan.output_type
        self.threads = threads
        self._compiled = CompiledPlan(self.plan, keep_denormals)
        self._threads = TaskThreads(threads)

    def __repr__(self) -> str:
        root = f"{self.plan.name}[{self.plan.id}]"
        return line(f"Executable of {root}:", f"{self.threads} threads, {len(self.rules)} rules")

    def explain(self) -> str:
        """The plan as it was given, the names of the rules that changed it, and as it runs."""
        from columnar_nn.plan.text import to_text  # which no run needs

        given = to_text(self.given)
        if not self.rules:
            return given
        return f"{given}\nrewritten by {', '.join(self.rules)}\n\n{to_text(self.plan)}"

    @property
    def steps(self) -> tuple[StepStats, ...]:
        """The work a row of every kernel step of every node, without times."""
        return self._compiled.steps

    @property
    def programs(self) -> tuple[KernelProgram, ...]:
        """The kernel programs of all nodes."""
        projections = self._compiled.projections.values()
        return tuple(program for projection in projections for program in projection.programs)

    @property
    def placements(self) -> tuple[Placement, ...]:
        """Where each kernel program of a node keeps an image's intermediate tensors."""
        return tuple(program.placement for program in self.programs)

    def run(
        self,
        batches: Mapping[str, Iterable[pa.RecordBatch]] | None = None,
        profile: bool = False,
        trace: bool = False,
    ) -> Task:
        """A task that has not begun; `batches` replaces what scans read, by plan node id.

        With `profile` kernels and the operators' CPU time are timed, with `trace` every call of an
        operator is recorded too.
        """
        from columnar_nn.exec.task import Task  # which calls do without

        self._threads.refuse_if_over()
        return Task(self._compiled, self._threads, batches or {}, profile or trace, trace)

    def call(
        self, batch: pa.RecordBatch, step_nanoseconds: np.ndarray | None = None
    ) -> pa.RecordBatch:
        """The output for one batch of what the plan scans, at once; the plan only projects that.

        As a task over this batch gives it, but nothing is made for it and nothing counted: for one
        image, for which a small network takes hardly more time than a task. The threads share the
        work; with `step_nanoseconds` (int64), to which the time of each of the `steps` is added,
        the caller's does it alone.

        While it works it counts as a task: UsageError is raised where one would not begin, and for
        a plan that does more. InvalidDataError is raised for a batch that is not as the scan says.
        """
        by_batch, threads, call = self._compiled.by_batch, self._threads, Call()
        if by_batch is None:
            raise UsageError("call() takes a plan of one scan and projections: use run()")
        try:
            threads.begin(call)
            team = threads.team if step_nanoseconds is None else None
            rows = checked_rows(batch)
            if not rows:
                return pa.RecordBatch.from_pylist([], schema=self.output_type)
            given, most = by_batch.columns.apply(batch), by_batch.most_rows
            if rows <= most:
                return by_batch.evaluate(given, step_nanoseconds, team)
            parts = [given.slice(start, most) for start in range(0, rows, most)]
            return pa.concat_batches(
                [by_batch.evaluate(part, step_nanoseconds, team) for part in parts]
            )
        finally:
            threads.end(call, left_behind=False)

    def takes_calls(self, rows: int) -> bool:
        """Whether calls compute a stream of about so many rows no slower than a task does."""
        is_short = self.threads == 1 or rows <= task_threads.SHORT_STREAM_ROWS * self.threads
        return is_short and self._compiled.by_batch is not None

    def close(self) -> None:
        """Ends the threads, once a task that runs has ended; that is closed."""
        self._threads.close()

    def __enter__(self) -> Executable:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

"""A timeline of drivers, operators and kernels as Chrome trace events, for Perfetto.

All timestamps are of one clock, time.perf_counter_ns. The format: "Trace Event Format",
complete events (ph "X") in microseconds, and names of the process and of its threads (ph "M").
Threads have the numbers that the system gives them, which Perfetto, unlike those of
threading.get_ident, can hold.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from columnar_nn.exec.operators.base import Operator
from columnar_nn.exec.step_stats import StepStats

PROCESS_NAME = "columnar_nn"


class Trace:
    """Events of one task, added by its drivers from their threads."""

    def __init__(self, steps: Iterable[StepStats]) -> None:
        """`steps` are the kernel steps of every node."""
        self._steps: dict[str, list[StepStats]] = {}
        for step in steps:
            self._steps.setdefault(step.plan_node_id, []).append(step)
        self._lock = threading.Lock()
        self._events: list[dict[str, Any]] = []
        self._threads: dict[int, str] = {}
        self._seen: dict[int, tuple[int, np.ndarray]] = {}  # rows and kernel times of operators

    def operator_call(
        self, operator: Operator, method: str, start: int, end: int, result: Any
    ) -> None:
        """One call of an operator's method on this thread, from `start` to `end` in nanoseconds."""
        thread = threading.get_native_id()
        rows = result.num_rows if isinstance(result, pa.RecordBatch) else None
        with self._lock:
            self._threads.setdefault(thread, threading.current_thread().name)
            self._add(
                thread,
                f"{operator.operator_type}[{operator.plan_node_id}].{method}",
                "operator",
                start,
                end,
                {} if rows is None else {"rows": rows},
            )
            self._kernels(thread, operator, start)

    def _kernels(self, thread: int, operator: Operator, start: int) -> None:
        """A batch's kernel times, laid end to end: image by image they alternate too fast."""
        total = operator.step_nanoseconds
        if total is None:
            return
        rows_before, before = self._seen.get(id(operator), (0, np.zeros_like(total)))
        rows = operator.evaluated_rows - rows_before
        if not rows:
            return
        self._seen[id(operator)] = (operator.evaluated_rows, total.copy())
        steps = self._steps.get(operator.plan_node_id, ())
        for step, nanoseconds in zip(steps, (total - before).tolist(), strict=True):
            arguments = {"kernel": step.kernel, "rows": rows, "summed": "over the batch's rows"}
            self._add(thread, step.label, "kernel", start, start + nanoseconds, arguments)
            start += nanoseconds

    def _add(
        self, thread: int, name: str, category: str, start: int, end: int, arguments: dict[str, Any]
    ) -> None:
        self._events.append(
            {
                "name": name,
                "cat": category,
                "ph": "X",
                "ts": start / 1000,
                "dur": (end - start) / 1000,
                "pid": os.getpid(),
                "tid": thread,
                "args": arguments,
            }
        )

    def events(self) -> list[dict[str, Any]]:
        """All events so far, names of the process and of the threads first."""
        process = os.getpid()
        named = {"name": "process_name", "ph": "M", "pid": process, "args": {"name": PROCESS_NAME}}
        names = [
            {"name": "thread_name", "ph": "M", "pid": process, "tid": t, "args": {"name": n}}
            for t, n in self._threads.items()
        ]
        return [named, *names, *self._events]

    def write(self, path: str | Path) -> None:
        """Writes a file that Perfetto and chrome://tracing open."""
        document = {"traceEvents": self.events(), "displayTimeUnit": "ms"}
        Path(path).write_text(json.dumps(document))

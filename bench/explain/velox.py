"""How Velox runs a network: the tasks of a formulation, their plans, and what they cost.

Velox runs in a worker process, as in a comparison, since it may take its process down.
"""

from __future__ import annotations

import pickle
import re
import time
from dataclasses import dataclass
from typing import Any

from adapters import registry
from adapters.base import Stopwatch
from adapters.velox.statistics import NODE, NodeStats, operators, parse
from bench.explain import columnar as explain
from bench.explain import text as explain_text
from bench.files.temporary import temporary_folder
from bench.workers.held import HeldWorker
from bench.workers.options import Options
from bench.workers.selection import Selection, select_one
from bench.workers.session import Session
from columnar_nn.errors import UsageError
from columnar_nn.exec.stats import OperatorStats, TaskStats
from columnar_nn.model.graph import Graph

SHOWN_CHARACTERS, SHOWN_COLUMNS = 240, 4
"""Of a node's expressions, which may have a thousand terms, and of its output."""

_OUTPUT = "] -> "
_BREAK = re.compile(r"[(,] ?")


class VeloxSession(Session):
    """A worker's session that can also tell Velox's plans."""

    def plans(self, images: int) -> dict[str, Any]:
        """Runs the network on random images, twice.

        Replies with the `seconds` of the second run and, as `plans`, for each of its tasks what
        it computed and Velox's text.
        """
        from adapters.velox_backend import VeloxBackend

        backend = self._backend
        assert isinstance(backend, VeloxBackend)
        batch = explain.random_images(backend.graph, images)
        for _ in range(2):
            start = time.perf_counter()
            for _ in backend.infer([batch], Stopwatch()):
                pass
            seconds = time.perf_counter() - start
        return self._reply(seconds=seconds, plans=backend.plans())


@dataclass(frozen=True)
class TaskPlan:
    """What one of Velox's tasks computed, and its plan with statistics, as Velox prints it."""

    name: str
    plan: str

    @property
    def operators(self) -> tuple[OperatorStats, ...]:
        """The plan's operators, sources first."""
        return tuple(operators(parse(self.plan)))

    @property
    def seconds(self) -> float:
        """Wall time of all operators."""
        return sum(operator.wall_nanos for operator in self.operators) / 1e9


@dataclass(frozen=True)
class VeloxRun:
    """One run of `images`: its tasks, in order, and its `seconds`, those outside of tasks too."""

    formulation: str
    threads: int
    images: int
    tasks: tuple[TaskPlan, ...]
    seconds: float

    @property
    def operator_seconds(self) -> float:
        """Wall time of all operators of all tasks."""
        return sum(task.seconds for task in self.tasks)


def formulation(name: str | None) -> Selection:
    """Velox told the network so, or by default; raises UsageError if there is none of that name."""
    known = registry.load("velox").configurations
    if name is not None and name not in known:
        raise UsageError(f"no formulation {name!r}: choose from {', '.join(known)}")
    return select_one("velox" if name is None else f"velox:{name}")


def run(graph: Graph, selection: Selection, options: Options) -> VeloxRun:
    """Runs the network on random images, as many as are in a batch. Raises WorkerError."""
    images = options.batch_size
    with temporary_folder() as folder:
        path = folder / "graph.pickle"
        path.write_bytes(pickle.dumps(graph))
        session = f"{__name__}:{VeloxSession.__name__}"
        with HeldWorker(options, folder, session) as worker:
            worker.build(selection, path, images)
            reply = worker.ask("plans", images=images)
    tasks = tuple(TaskPlan(name, plan) for name, plan in reply["plans"])
    return VeloxRun(selection.configuration, options.threads, images, tasks, reply["seconds"])


def text(run: VeloxRun, analyze: bool, width: int | None) -> str:
    """Every task's plan; with `analyze` Velox's statistics, and a table of the tasks' times.

    Long expressions are shortened; a plan's lines are broken to `width` if there is one.
    """
    lines: list[str] = []
    for task in run.tasks:
        plan = [
            shortened(line) if NODE.match(line) else line
            for line in task.plan.splitlines()
            if analyze or NODE.match(line)
        ]
        lines += [f"{task.name}:", explain_text.fit("\n".join(plan), width), ""]
    if not analyze:
        return "\n".join(lines[:-1])
    lines += [
        _time_table(run),
        "us/image: wall time of its operators, summed over threads. outside the tasks: copies",
        "between them, their making and Python; less than nothing where threads ran side by side.",
        f"whole run of {explain_text.images_text(run.images)}: {run.seconds * 1e3:,.1f} ms",
    ]
    return "\n".join(lines)


def shortened(node: str) -> str:
    """A node's line with the first of its calls and columns, and how many more there are.

    `document` has all of them.
    """
    what, arrow, output = node.rpartition(_OUTPUT)
    if not arrow:
        what, output = node, ""
    if len(what) > SHOWN_CHARACTERS:
        breaks = [match.end() for match in _BREAK.finditer(what, 0, SHOWN_CHARACTERS)]
        shown = what[: breaks[-1] if breaks else SHOWN_CHARACTERS]
        left = what[len(shown) :]
        what = f"{shown.rstrip()} ... {left.count('('):,} more calls, {len(left):,} characters"
    columns = output.split(", ")
    if len(columns) > SHOWN_COLUMNS + 1:
        columns = [*columns[:SHOWN_COLUMNS], f"... {len(columns) - SHOWN_COLUMNS:,} more"]
    return what + arrow + ", ".join(columns)


def _time_table(run: VeloxRun) -> str:
    images = run.images
    rows = [_time_row(task, run) for task in run.tasks]
    outside = run.seconds - run.operator_seconds
    figures = (f"{outside / images * 1e6:.1f}", f"{outside / run.seconds:.1%}")
    rows.append(("outside the tasks", *figures, "", "", "", ""))
    rows.append(("whole run", f"{run.seconds / images * 1e6:.1f}", "100.0%", "", "", "", ""))
    heading = ("task", "us/image", "share", "CPU us", "MB in", "MB out", "peak MB")
    return explain_text.table(heading, rows, num_texts=1)


def _time_row(task: TaskPlan, run: VeloxRun) -> tuple[str, ...]:
    """Bytes in are those of the source, which the plan's leaf gives; bytes out the root's."""
    source, root, images = task.operators[0], task.operators[-1], run.images
    return (
        task.name,
        f"{task.seconds / images * 1e6:.1f}",
        f"{task.seconds / run.seconds:.1%}",
        f"{sum(operator.cpu_nanos for operator in task.operators) / images / 1e3:.1f}",
        f"{source.output_bytes / 1e6:.1f}",
        f"{root.output_bytes / 1e6:.1f}",
        f"{sum(operator.peak_memory_bytes for operator in task.operators) / 1e6:.1f}",
    )


def document(graph: Graph, run: VeloxRun, analyze: bool) -> dict[str, Any]:
    """The plans in the form of `bench.explain.columnar.document`, a child a task; figures if
    `analyze`."""
    figures = {
        "images": run.images,
        "latency": run.seconds,
        "operator_time": run.operator_seconds,
    }
    return {
        "model": graph.name,
        "backend": "velox",
        "formulation": run.formulation,
        "threads": run.threads,
        **(figures if analyze else {}),
        "children": [_task(task, run, analyze) for task in run.tasks],
    }


def _task(task: TaskPlan, run: VeloxRun, analyze: bool) -> dict[str, Any]:
    plan = _node(parse(task.plan), analyze)
    return {
        "operator_type": "Task",
        "operator_name": task.name,
        "operator_timing": task.seconds if analyze else None,
        "operator_cardinality": plan["operator_cardinality"],
        "extra_info": {"share": task.seconds / run.operator_seconds} if analyze else {},
        "children": [plan],
    }


def _node(node: NodeStats, analyze: bool) -> dict[str, Any]:
    found = TaskStats(tuple(node.operators), (), 0).plan_node_stats()
    stats = found.get(node.node_id) if analyze else None
    return {
        "operator_type": node.name,
        "operator_name": f"{node.name}[{node.node_id}]",
        "operator_timing": None if stats is None else stats.wall_nanos / 1e9,
        "operator_cardinality": None if stats is None else stats.output_rows,
        "extra_info": {
            "details": node.details,
            "output_type": node.output_type,
            **({} if stats is None else explain.measured(stats)),
        },
        "children": [_node(source, analyze) for source in node.sources],
    }

"""How Velox runs a network: the tasks of a formulation, their plans, and what they cost.

Velox runs in a worker process, as in a comparison, since it may take its process down.
"""

from __future__ import annotations

import pickle
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapters import registry
from adapters.base import Stopwatch
from bench import explain
from bench.worker_process import WorkerProcess
from bench.worker_session import Session
from columnar_nn import tensor_column
from columnar_nn.errors import UsageError
from columnar_nn.graph import Graph
from columnar_nn.stats import TaskStats
from columnar_nn.stats_text import stats_line

TIMEOUT_S = 600.0

Task = dict[str, Any]
"""`name`, what the task computes, and `plan`, its root node under DuckDB's key names."""


class VeloxSession(Session):
    """A worker's session that can also tell Velox's plans."""

    def tasks(self, rows: int) -> dict[str, Any]:
        """Runs the network on `rows` random images of a seed; its `tasks`, in order."""
        from adapters.velox_backend import VeloxBackend

        backend = self._backend
        assert isinstance(backend, VeloxBackend)
        pixels = explain.random_images(backend.graph, rows)
        batch = pa.record_batch({"image": tensor_column.from_numpy(pixels)})
        for _ in backend.infer([batch], Stopwatch()):
            pass
        return self._reply(
            tasks=[{"name": name, "plan": _node(root)} for name, root in backend.statistics()]
        )


def _node(node: Any) -> dict[str, Any]:
    """An adapters.velox.statistics.NodeStats, with its sources, as nested dicts."""
    stats = TaskStats(tuple(node.operators), (), 0).plan_node_stats().get(node.node_id)
    return {
        "operator_type": node.name,
        "operator_name": f"{node.name}[{node.node_id}]",
        "operator_timing": None if stats is None else stats.wall_nanos / 1e9,
        "operator_cardinality": None if stats is None else stats.output_rows,
        "extra_info": {} if stats is None else {"statistics": stats_line(stats)},
        "children": [_node(source) for source in node.sources],
    }


def run(graph: Graph, formulation: str, threads: int, rows: int) -> list[Task]:
    """The tasks of one run on random images, in a formulation or, if it is empty, the default.

    Raises UsageError for an unknown formulation and bench.worker_process.WorkerError.
    """
    known = registry.load("velox").configurations
    configuration = formulation or next(n for n, c in known.items() if c.role == "default")
    if configuration not in known:
        raise UsageError(f"no formulation {configuration!r}: use {', '.join(known)}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "graph.pickle"
        path.write_bytes(pickle.dumps(graph))
        session = f"{__name__}:{VeloxSession.__name__}"
        with WorkerProcess(folder, range(threads), session) as worker:
            worker.request("import_framework", TIMEOUT_S, backend="velox")
            worker.request(
                "build",
                TIMEOUT_S,
                graph=str(path),
                configuration=configuration,
                threads=threads,
                batch_size=rows,
                algorithm="auto",
            )
            tasks: list[Task] = worker.request("tasks", TIMEOUT_S, rows=rows)["tasks"]
            return tasks


def text(tasks: Sequence[Task], analyze: bool) -> str:
    """Every task's plan, with `analyze` Velox's statistics below each node."""
    lines: list[str] = []
    for task in tasks:
        lines += ["", f"{task['name']}:", *_lines(task["plan"], "", analyze)]
    return "\n".join(lines[1:])


def _lines(node: dict[str, Any], indent: str, analyze: bool) -> Iterator[str]:
    yield f"{indent}-- {node['operator_name']}"
    if analyze and "statistics" in node["extra_info"]:
        yield f"{indent}   {node['extra_info']['statistics']}"
    for child in node["children"]:
        yield from _lines(child, indent + "  ", analyze)


def without_times(tasks: Sequence[Task]) -> list[Task]:
    """The tasks as plans only."""
    return [{"name": task["name"], "plan": _without_times(task["plan"])} for task in tasks]


def _without_times(node: dict[str, Any]) -> dict[str, Any]:
    return {
        **node,
        "operator_timing": None,
        "operator_cardinality": None,
        "extra_info": {},
        "children": [_without_times(child) for child in node["children"]],
    }

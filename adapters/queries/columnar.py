"""The columnar engine: the whole query as one plan, networks in its projections."""

from __future__ import annotations

from importlib.metadata import version
from typing import ClassVar

import pyarrow as pa

from adapters.base import Configuration, Description, Stopwatch, counted
from adapters.queries.engine import CONVERSION, NETWORK, RELATIONAL, SCAN, QueryEngine
from columnar_nn.exec.executable import prepare
from columnar_nn.exec.stats import TaskStats
from columnar_nn.kernels.host import can_flush_denormals, vector_width
from columnar_nn.queries.query import plan_query


class ColumnarQueries(QueryEngine):
    """SQL bound to a plan that is prepared once; each run reads the files anew."""

    name = "columnar"
    packages: ClassVar = {"columnar_nn": ""}
    configurations: ClassVar = {
        "sql": Configuration("the whole query in SQL, as one plan with the networks in it", "best")
    }

    def _build(self) -> None:
        plan = plan_query(self.query.whole(), self.tables, {})
        self._executable = prepare(plan, self.settings.threads, algorithm=self.settings.algorithm)

    def run(self, stopwatch: Stopwatch) -> pa.Table:
        """As the statistics of the operators tell it, with the kernels' clocks on."""
        task = self._executable.run(profile=True)
        rows = task.to_table()
        self._tell(task.stats(), stopwatch.seconds)
        return rows

    def _tell(self, stats: TaskStats, seconds: dict[str, float]) -> None:
        kernels = {
            node_id: sum(step.nanoseconds for step in node.steps) / self.settings.threads
            for node_id, node in stats.plan_node_stats().items()
        }
        for operator in stats.operators:
            wall = operator.wall_nanos / operator.num_drivers
            inside = min(wall, kernels[operator.plan_node_id])
            if inside:
                seconds[NETWORK] += inside / 1e9
                seconds[CONVERSION] += (wall - inside) / 1e9
            else:
                part = SCAN if operator.operator_type == "TableScan" else RELATIONAL
                seconds[part] += wall / 1e9

    def describe(self) -> Description:
        """Kernels of all convolutions, vector width and layout, and what rewrote the plan."""
        convolutions = (
            step.kernel.removeprefix("conv2d_")
            for step in self._executable.steps
            if step.kernel.startswith("conv2d")
        )
        return Description(
            versions={name: version(name) for name in ("llvmlite", "pyarrow", "sqlglot")},
            precision="float32",
            layout=f"nChw16c, vectors of {vector_width()} float32",
            algorithm=f"{self.settings.algorithm} ({counted(convolutions)})",
            threads=self.settings.threads,
            denormals="flushed" if can_flush_denormals() else "kept",
            notes=(f"its plan is rewritten by {', '.join(self._executable.rules)}",),
        )

    def close(self) -> None:
        """Ends its threads."""
        self._executable.close()

"""Stock Velox: what is around the networks; their classes are columns of a file that it reads."""

from __future__ import annotations

from importlib.metadata import version
from typing import Any, ClassVar

import pyarrow as pa

from adapters.base import Configuration, Description, Stopwatch
from adapters.queries.engine import CONVERSION, RELATIONAL, SCAN, QueryEngine
from adapters.velox.query import built, steps
from adapters.velox.statistics import operators, parse
from adapters.velox.table import prepare_scans
from adapters.velox.task import VeloxTask
from columnar_nn.data.arrow_source import open_source
from columnar_nn.exec.executable import prepare
from columnar_nn.plan.nodes import TableScanNode
from columnar_nn.queries.query import plan_query


class VeloxRelational(QueryEngine):
    """The query without its networks, as the columnar engine plans it, its scans Velox's own."""

    name = "velox"
    packages: ClassVar = {"pyvelox": "velox"}
    configurations: ClassVar = {
        "relational": Configuration(
            "stock Velox, which has no networks: it runs the relational part alone, and reads "
            "from a file what networks would give",
            "best",
        )
    }
    runs_networks = False

    def _build(self) -> None:
        from pyvelox import plan_builder

        prepare_scans()
        named = {name: open_source(p).replaced(name=name) for name, p in self.tables.items()}
        given = plan_query(self.query.relational, named, {})
        self._files = {
            scan.id: self.tables[scan.table.name]
            for scan in given.scans
            if isinstance(scan, TableScanNode)
        }
        with prepare(given) as executable:
            plan = executable.plan
        self._schema = plan.output_type
        self._columns = {scan.id: scan.output_type for scan in plan.scans}
        self._root = plan_builder.PlanBuilder()
        self._plan = built(steps(plan), self._scan, self._root).get_plan_node()

    def _scan(self, builder: Any, scan: str) -> Any:
        """The builder that begins with Velox's own scan of the same columns of the same file."""
        from pyvelox import file, type

        types = {pa.int64(): type.BIGINT(), pa.string(): type.VARCHAR()}
        columns = self._columns[scan]
        schema = type.ROW(columns.names, [types[one] for one in columns.types])
        return builder.table_scan(schema, input_files=[file.PARQUET(self._files[scan])])

    def run(self, stopwatch: Stopwatch) -> pa.Table:
        """As Velox's own statistics tell it."""
        from pyvelox import arrow

        task = VeloxTask(self._plan)
        batches = []
        for vector in task.batches():
            with stopwatch.phase(CONVERSION):
                # a copy: Velox's memory must not outlive the task
                rows = arrow.to_arrow(vector).to_pylist()
                batches.append(pa.RecordBatch.from_pylist(rows, schema=self._schema))
            del vector
        for operator in operators(parse(task.statistics_text())):
            part = SCAN if operator.operator_type == "TableScan" else RELATIONAL
            stopwatch.seconds[part] += operator.wall_nanos / 1e9
        return pa.Table.from_batches(batches, self._schema)

    def describe(self) -> Description:
        """pyvelox's version."""
        return Description(
            versions={"pyvelox": version("pyvelox")},
            precision="",
            layout="",
            algorithm="",
            threads=1,
            denormals="",
            notes=("one driver: pyvelox's builder has no partial aggregation to share it among",),
        )

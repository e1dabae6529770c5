"""A query without networks, run by Velox in a worker process, which it may take down."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapters import registry
from adapters.velox.query import VeloxQuery, refuse_tensors, steps
from bench.files.temporary import temporary_folder
from bench.workers.held import HeldWorker
from bench.workers.options import Options
from bench.workers.session import Session
from columnar_nn.data.arrow_source import decoded_type
from columnar_nn.plan.plan_node import PlanNode, ScanNode

_SIGNED = {
    pa.uint8(): pa.int16(),
    pa.uint16(): pa.int32(),
    pa.uint32(): pa.int64(),
    pa.uint64(): pa.int64(),
}
"""Velox has no unsigned integers: the smallest type that holds them."""


@dataclass(frozen=True)
class VeloxResult:
    """Velox's text of the plan, with statistics if it ran, and the rows."""

    plan: str
    schema: pa.Schema
    batches: Sequence[pa.RecordBatch]


class QuerySession(Session):
    """A worker's session that runs a query."""

    def query(self, steps: str, folder: str, result: str, run: bool) -> dict[str, Any]:
        """Builds the plan that the JSON file `steps` tells, over the Arrow files in `folder`.

        If it is `run`, the rows are written to `result`. Replies with Velox's text, `plan`.
        """
        registry.load("velox").import_framework()
        told = json.loads(Path(steps).read_text(encoding="utf-8"))
        query = self._query = VeloxQuery(told, Path(folder))
        return self._reply(plan=query.run(Path(result)) if run else query.plan_text())


def run(plan: PlanNode, options: Options, explain: bool) -> VeloxResult:
    """Runs a plan, unless it is only to `explain`; raises UsageError and WorkerError."""
    refuse_tensors(plan.output_type)
    told = steps(plan)
    with temporary_folder() as folder:
        for scan in {scan.id: scan for scan in plan.scans}.values():
            _write(scan, folder / f"{scan.id}.arrow")
        file, result = folder / "steps.json", folder / "result.arrow"
        file.write_text(json.dumps(told), encoding="utf-8")
        session = f"{__name__}:{QuerySession.__name__}"
        with HeldWorker(options, folder, session) as worker:
            reply = worker.ask(
                "query", steps=str(file), folder=str(folder), result=str(result), run=not explain
            )
        if not result.exists():
            return VeloxResult(reply["plan"], plan.output_type, ())
        with pa.OSFile(str(result)) as written:
            table = pa.ipc.open_file(written).read_all()
    return VeloxResult(reply["plan"], table.schema, table.to_batches())


def _write(scan: ScanNode, path: Path) -> None:
    """The columns that the scan gives, as Velox imports them; those of tensors are left out."""
    fields = [f for f in scan.output_type if not isinstance(f.type, pa.FixedShapeTensorType)]
    names = [field.name for field in fields]
    types = [decoded_type(field.type) for field in fields]
    types = [_SIGNED.get(kind, kind) for kind in types]
    schema = pa.schema(list(zip(names, types, strict=True)))
    with pa.ipc.new_file(str(path), schema) as writer:
        empty = True
        for batch in scan.read():
            columns = [
                batch.column(name).cast(kind) for name, kind in zip(names, types, strict=True)
            ]
            writer.write_batch(pa.RecordBatch.from_arrays(columns, schema=schema))
            empty = False
        if empty:
            writer.write_batch(pa.RecordBatch.from_pylist([], schema=schema))

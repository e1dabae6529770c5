"""What the tests have Velox do, each in a process of its own; see velox_process.call."""

from __future__ import annotations

import gc
import json
import mmap
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from adapters.base import Settings, Stopwatch
from adapters.velox_backend import VeloxBackend
from columnar_nn.data import tensor_column
from columnar_nn.errors import UnsupportedOperatorError
from columnar_nn.model.graph import Graph

FIRST_ID = 100
"""Of a node that a builder's, whose ids begin at 0, stands on."""


def backend(graph: Graph, configuration: str, batch_size: int, threads: int = 1) -> VeloxBackend:
    VeloxBackend.import_framework()
    return VeloxBackend(graph, Settings(configuration, threads, batch_size))


def record_batch(images: np.ndarray) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([tensor_column.from_numpy(images)], names=["image"])


def infer(
    graph: Graph, batches: list[np.ndarray], configuration: str, threads: int = 1
) -> list[np.ndarray]:
    """The graph's first output for each batch of images."""
    engine = backend(graph, configuration, max(map(len, batches)), threads)
    outputs = engine.infer(map(record_batch, batches), Stopwatch())
    results = [tensor_column.to_numpy(output.column(0)).copy() for output in outputs]
    engine.close()
    return results


def refused_nodes(
    graph: Graph, batches: list[np.ndarray], configuration: str
) -> list[tuple[str, str, str]]:
    """(name, operator, reason) of what the configuration says it cannot run."""
    try:
        infer(graph, batches, configuration)
    except UnsupportedOperatorError as error:
        return list(error.nodes)
    return []


def operator_records(graph: Graph, images: np.ndarray, configuration: str) -> list:
    """(stage, operator type, output rows, CPU nanoseconds) of each operator of one batch."""
    from adapters.velox.statistics import operators, parse

    engine = backend(graph, configuration, len(images))
    list(engine.infer([record_batch(images)], Stopwatch()))
    return [
        (stage, operator.operator_type, operator.output_rows, operator.cpu_nanos)
        for stage, plan in engine.plans()
        for operator in operators(parse(plan))
    ]


def resident_bytes(
    graph: Graph, batches: list[np.ndarray], configuration: str, runs: int
) -> list[int]:
    """Resident memory after each of `runs` rounds over the batches."""
    engine = backend(graph, configuration, max(map(len, batches)))
    sizes = []
    for _ in range(runs):
        list(engine.infer(map(record_batch, batches), Stopwatch()))
        gc.collect()
        sizes.append(_resident_bytes())
    return sizes


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE


def references_of_a_column() -> tuple[int, int, float]:
    """References to an array before it is a column and after, and the sum that Velox finds."""
    from pyvelox import arrow, plan_builder

    from adapters.velox.task import VeloxTask
    from adapters.velox.vectors import borrowed, row_vector

    array = np.array([1, 2, 3], np.float32)
    before = sys.getrefcount(array)
    vector = row_vector({"x": borrowed(array)})
    plan = plan_builder.PlanBuilder().values([vector]).aggregate([], ["sum(x) as s"])
    task = VeloxTask(plan.get_plan_node())
    (total,) = [arrow.to_arrow(rows).field("s")[0].as_py() for rows in task.batches()]
    del vector
    return before, sys.getrefcount(array), total


def failing_task() -> None:
    """A plan that Velox accepts and then fails to run."""
    from pyvelox import plan_builder

    from adapters.velox.task import VeloxTask
    from adapters.velox.vectors import row_vector

    vector = row_vector({"x": pa.array([0, 0, 0])})
    builder = plan_builder.PlanBuilder().values([vector]).project(["1 / x as y"])
    list(VeloxTask(builder.get_plan_node()).batches())


def run_queries(seeds: list[int]) -> dict[tuple[str, int], tuple[str, list[dict]]]:
    """Velox's plan text and rows of every query over the table of each seed."""
    from pyvelox import arrow, plan_builder
    from velox.queries import ORDERED, QUERIES, table

    from adapters.velox.task import VeloxTask

    answers = {}
    for seed in seeds:
        vectors = [arrow.to_velox(batch) for batch in table(seed).to_batches()]
        for name, query in QUERIES.items():
            builder = plan_builder.PlanBuilder().values(vectors)
            for method, arguments in query:
                getattr(builder, method)(*arguments)
            plan = builder.get_plan_node()
            task = VeloxTask(plan)
            rows = [row for vector in task.batches() for row in arrow.to_arrow(vector).to_pylist()]
            answers[name, seed] = (
                plan.to_string(),
                rows if name in ORDERED else sorted(rows, key=repr),
            )
    return answers


def _serialized(schemas: Sequence[pa.Schema], nodes: Sequence[dict], first_id: int = 0) -> Any:
    """Velox's plan of nodes in its JSON, the first over scans, each other over the one before.

    Names of columns stand for these under keys that end with "Variables", "Keys" or "Type".
    """
    from pyvelox import plan_builder

    from adapters.velox import plan_json

    writer = plan_json.PlanWriter(first_id)
    types = {name: of for schema in schemas for name, of in velox_types(schema).items()}

    def value(key: str, given: Any) -> Any:
        if key.endswith("Type") and isinstance(given, list):
            return plan_json.row({name: types[name] for name in given})
        is_columns = key.endswith(("Variables", "Keys"))
        return [plan_json.field(name, types[name]) for name in given] if is_columns else given

    below = [writer.scan(velox_types(schema)) for schema in schemas]
    for node_id, node in enumerate(nodes, first_id + len(schemas)):
        fields = {key: value(key, given) for key, given in node.items()}
        below = [{"id": str(node_id), "sources": below, **fields}]
    return plan_builder.deserialize_plan(json.dumps(below[0]))


def plan_texts(plans: Sequence[tuple[Sequence[pa.Schema], Sequence[dict]]]) -> list[str]:
    """Velox's texts of such plans."""
    return [str(_serialized(schemas, nodes).to_string()) for schemas, nodes in plans]


def rows_over_files(
    folder: str, key: str, plans: Sequence[tuple[Sequence[pa.Table], Sequence[dict]]]
) -> list[list[dict]]:
    """Rows of such plans over tables in files, each in the order of a column it gives, `key`."""
    from pyvelox import arrow, plan_builder

    from adapters.velox.table import prepare_scans, write
    from adapters.velox.task import VeloxTask

    prepare_scans()
    answers = []
    for number, (tables, nodes) in enumerate(plans):
        node = _serialized([table.schema for table in tables], nodes, FIRST_ID)
        # A deserialized node cannot be run by itself in pyvelox 0.2.0: the builder adds the root.
        task = VeloxTask(plan_builder.PlanBuilder().sorted_merge([key], [node]).get_plan_node())
        for index, table in enumerate(tables):
            task.scan(
                write(Path(folder, f"{number}.{index}.parquet"), table), str(FIRST_ID + index)
            )
        vectors = task.batches()
        answers.append([row for v in vectors for row in arrow.to_arrow(v).to_pylist()])
    return answers


def velox_types(schema: pa.Schema) -> dict[str, dict]:
    """Velox's types of columns in its JSON."""
    from adapters.velox import plan_json

    def of(data_type: pa.DataType) -> dict:
        if pa.types.is_list(data_type):
            return plan_json.array(of(data_type.value_type))
        names = {pa.int64(): "BIGINT", pa.string(): "VARCHAR", pa.float64(): "DOUBLE"}
        return plan_json.scalar(names[data_type])

    return {field.name: of(field.type) for field in schema}


def run_joins(
    cases: Sequence[tuple[list[pa.RecordBatch], list[pa.RecordBatch], Sequence[str], str, str]],
) -> list[tuple[str, list[dict]]]:
    """Plan text and rows of joins of l_... with r_... columns: sides, keys, type, filter."""
    from pyvelox import arrow, plan_builder

    from adapters.velox.task import VeloxTask

    answers = []
    for probe, build, keys, join_type, condition in cases:
        builder = plan_builder.PlanBuilder().values([arrow.to_velox(batch) for batch in probe])
        right = builder.new_builder().values([arrow.to_velox(batch) for batch in build])
        builder.hash_join(
            [f"l_{key}" for key in keys],
            [f"r_{key}" for key in keys],
            right.get_plan_node(),
            ["l_id", "r_id"],
            condition,
            plan_builder.JoinType.__members__[join_type],
        )
        plan = builder.get_plan_node()
        rows = [row for v in VeloxTask(plan).batches() for row in arrow.to_arrow(v).to_pylist()]
        answers.append((plan.to_string(), rows))
    return answers


def scan_plan_text(query: list[tuple[str, list]]) -> str:
    """Velox's text of the query over a scan of a table like queries.table."""
    from pyvelox import plan_builder
    from pyvelox.type import BIGINT, BOOLEAN, DOUBLE, REAL, ROW, TINYINT

    names = ["id", "label", "even", "x", "y"]
    schema = ROW(names, [BIGINT(), TINYINT(), BOOLEAN(), REAL(), DOUBLE()])
    builder = plan_builder.PlanBuilder().table_scan(schema)
    for method, arguments in query:
        getattr(builder, method)(*arguments)
    return builder.get_plan_node().to_string()


def run_random_queries(seeds: list[int]) -> list[tuple[str, list[dict] | None]]:
    """For each query its rows, or the reason why Velox refused it."""
    from pyvelox import arrow, plan_builder
    from velox.random_queries import query, table

    from adapters.velox.task import VeloxTask

    vectors: dict[int, list] = {}
    answers: list[tuple[str, list[dict] | None]] = []
    for seed in seeds:
        asked = query(seed)
        if asked.table not in vectors:
            vectors[asked.table] = [arrow.to_velox(b) for b in table(asked.table).to_batches()]
        try:
            builder = asked.on(plan_builder.PlanBuilder().values(vectors[asked.table]))
            task = VeloxTask(builder.get_plan_node())
            rows = [row for v in task.batches() for row in arrow.to_arrow(v).to_pylist()]
            answers.append(("", rows))
        except Exception as error:
            answers.append((str(error), None))
    return answers

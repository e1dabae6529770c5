"""One run over Parquet files: read, filter, network, join, write; then what was written, counted.

The predictions are written first and counted from there: a DataFrame that is used twice would run
the network twice.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyarrow import parquet

from bench.cluster import failure, status
from bench.cluster.costs import PARTS, TASKS, with_costs
from bench.cluster.session import Opened
from bench.text.progress import Progress
from columnar_nn.errors import UsageError
from columnar_nn.integrations import spark as integration
from columnar_nn.integrations.batches import ERROR, SHOWN
from columnar_nn.integrations.prepared import PREDICTED
from columnar_nn.model import onnx_io, zoo
from columnar_nn.model.graph import Graph
from columnar_nn.model.input_shapes import Sizes

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PREDICTIONS, SUMMARY = "predictions", "summary.parquet"
"""What a folder of results has: a folder of Parquet files, and one with a row a group."""

_INTEGERS = {"tinyint", "smallint", "int", "bigint"}

COUNT, BAD_ROWS, CORRECT = "images", "bad", "correct"
"""The summary's columns beside those it is grouped by."""


@dataclass(frozen=True)
class Job:
    """What is asked for. `images` and `labels` are Parquet files or folders of them.

    `key` names the column that tells images apart, and is in the labels too; `label` is theirs.
    """

    network: str | bytes
    images: str
    image: str = "image"
    dtype: str = "uint8"
    where: str | None = None
    labels: str | None = None
    key: str = "id"
    label: str = "label"
    outputs: tuple[str, ...] = (PREDICTED,)
    group_by: tuple[str, ...] = (PREDICTED,)

    def settings(self) -> dict[str, Any]:
        """All of it but the network."""
        return {name: value for name, value in vars(self).items() if name != "network"}

    def check_files(self) -> None:
        """Raises UsageError for files of this machine that are not there; it takes no session."""
        for option, path in (("--images", self.images), ("--labels", self.labels)):
            if path is not None and _is_local(path) and not os.path.exists(path):
                raise UsageError(f"{option} {path}: there is no such file or folder")


@dataclass(frozen=True)
class Costs:
    """Where the time of a run went.

    CPU seconds of the Python workers by part (costs.PARTS), the `splits` that had images, and
    Spark's own count of its tasks. Sail tells none of this.
    """

    parts: Mapping[str, float]
    splits: int
    tasks: status.Tasks

    @property
    def worker_s(self) -> float:
        """CPU time of the Python workers, kernels included."""
        return sum(self.parts.values())


@dataclass(frozen=True)
class Outcome:
    """What a run came to: rows, those of them without an image, some of these, the groups.

    `correct` is the number of rows whose prediction is their label, None without labels.
    """

    rows: int
    bad: int
    bad_rows: tuple[tuple[Any, str], ...]
    groups: pa.Table
    correct: int | None
    seconds: float
    costs: Costs | None

    @property
    def accuracy(self) -> float | None:
        """Share of rows with their label's class; None without labels or rows."""
        return self.correct / self.rows if self.correct is not None and self.rows else None


def network_of(model: str, sizes: Mapping[str, Sizes]) -> tuple[str | bytes, Graph]:
    """The network as it travels to executors, a name or what an ONNX file holds, and its graph.

    `sizes` are those that the file leaves free.
    """
    graph = zoo.resolve(model, (), sizes)  # raises what is wrong with it, before Spark is started
    if len(graph.inputs) != 1:
        raise UsageError(
            f"{graph.name} takes {', '.join(graph.columns)}: here a network gets one column"
        )
    if not zoo.is_file(model):
        return model, graph
    fixed = onnx_io.to_proto(graph).SerializeToString() if sizes else Path(model).read_bytes()
    return fixed, graph


def run(opened: Opened, job: Job, folder: Path, progress: Progress) -> Outcome:
    """Writes PREDICTIONS and SUMMARY into `folder`, which is there.

    Raises UsageError for files, columns or conditions that Spark cannot read or resolve.
    """
    spark = opened.spark
    start = time.perf_counter()
    predictions = folder / PREDICTIONS
    frame, observation = _predicted(opened, job)
    before = status.tasks(spark) if observation is not None else None
    if job.labels is not None:
        frame = _with_labels(spark, frame, job)
    _refuse_groups(job.group_by, frame.columns)
    if observation is None:
        frame.write.parquet(str(predictions))
        costs = None
    else:
        with status.shown(spark, progress):
            frame.write.parquet(str(predictions))
        assert before is not None
        told = observation.get
        parts = {name: float(told[name] or 0) for name in PARTS}
        costs = Costs(parts, int(told[TASKS] or 0), status.tasks(spark).since(before))
    written = spark.read.schema(frame.schema).parquet(str(predictions))
    rows, bad, correct, bad_rows, groups = _counted(written, job)
    parquet.write_table(groups, folder / SUMMARY)
    return Outcome(rows, bad, bad_rows, groups, correct, time.perf_counter() - start, costs)


def _predicted(opened: Opened, job: Job) -> tuple[DataFrame, Any]:
    """The rows with the network's outputs, and what observes their costs, if the engine can."""
    spark = opened.spark
    frame = _read(spark, job.images)
    if job.where is not None:
        try:
            frame = frame.where(job.where)
            _ = frame.schema
        except Exception as error:  # Spark's own, of whatever kind
            raise UsageError(f"--where {job.where!r}: {failure.cause(error)}") from error
    if job.key == job.image:
        raise UsageError(
            f"--key and --image are both {job.key}: name a column that tells images apart"
        )
    if job.key not in frame.columns:
        raise UsageError(f"--key {job.key}: {job.images} has columns {', '.join(frame.columns)}")
    made = integration.call(frame, job.network, job.image, None, job.outputs, job.dtype, bad="null")
    if opened.engine != "spark":
        return made.source.mapInArrow(made.task, made.schema), None
    return with_costs(made)


def _is_local(path: str) -> bool:
    return "://" not in path


def _read(spark: SparkSession, path: str) -> DataFrame:
    try:
        return spark.read.parquet(os.path.abspath(path) if _is_local(path) else path)
    except Exception as error:  # Spark's own, of whatever kind
        cause = failure.cause(error)
        if "UNABLE_TO_INFER_SCHEMA" in cause:
            cause = "there is no Parquet file in it"
        raise UsageError(f"{path}: {cause}") from error


def _with_labels(spark: SparkSession, frame: DataFrame, job: Job) -> DataFrame:
    """A label beside each row, null where there is none; raises UsageError for two of one key."""
    assert job.labels is not None
    labels = _read(spark, job.labels)
    if job.label in (job.key, *job.outputs, ERROR):
        raise UsageError(f"--label {job.label}: predictions have a column of that name: rename it")
    for name in (job.key, job.label):
        if name not in labels.columns:
            raise UsageError(f"{job.labels} has no column {name}: {', '.join(labels.columns)}")
    kinds = [each.schema[job.key].dataType.simpleString() for each in (frame, labels)]
    if kinds[0] != kinds[1] and not _INTEGERS.issuperset(kinds):
        raise UsageError(
            f"--key {job.key} is {kinds[0]} in {job.images} and {kinds[1]} in {job.labels}: they "
            "must be of one type"
        )
    labels = labels.select(job.key, job.label)
    twice = labels.groupBy(job.key).count().where("count > 1").limit(1).collect()
    if twice:
        raise UsageError(
            f"{job.labels} has {twice[0]['count']} labels of {job.key} {twice[0][job.key]}: one "
            "each, or the images would be counted twice"
        )
    if job.label in frame.columns:
        frame = frame.drop(job.label)
    return frame.join(labels, job.key, "left")


def _refuse_groups(names: Sequence[str], columns: Sequence[str]) -> None:
    """Raises UsageError for columns that are not there or that the summary has itself."""
    for name in names:
        if name not in columns:
            raise UsageError(f"--group-by: no column {name!r}; there are {', '.join(columns)}")
        if name in (COUNT, BAD_ROWS, CORRECT):
            raise UsageError(f"--group-by {name}: the summary has a column of that name: rename it")


def _counted(
    written: DataFrame, job: Job
) -> tuple[int, int, int | None, tuple[tuple[Any, str], ...], pa.Table]:
    """Rows, bad and correct ones, some of the bad, and a table of the groups, largest first."""
    from pyspark.sql import functions
    from pyspark.sql.pandas.types import to_arrow_schema

    aggregates = [
        functions.count("*").alias(COUNT),
        functions.count(ERROR).alias(BAD_ROWS),
    ]
    has_labels = job.labels is not None and PREDICTED in written.columns
    if has_labels:
        right = functions.col(PREDICTED) == functions.col(job.label)
        aggregates.append(functions.sum(right.cast("bigint")).alias(CORRECT))
    grouped = written.groupBy(*job.group_by).agg(*aggregates)
    found = [row.asDict() for row in grouped.collect()]
    found.sort(key=lambda row: (-row[COUNT], *(str(row[name]) for name in job.group_by)))
    bad = sum(row[BAD_ROWS] for row in found)
    bad_rows: tuple[tuple[Any, str], ...] = ()
    if bad:
        some = written.where(f"{ERROR} is not null").orderBy(job.key).limit(SHOWN)
        bad_rows = tuple((row[job.key], row[ERROR]) for row in some.collect())
    correct = sum(row[CORRECT] or 0 for row in found) if has_labels else None
    groups = pa.Table.from_pylist(found, to_arrow_schema(grouped.schema))
    return sum(row[COUNT] for row in found), bad, correct, bad_rows, groups

"""The engine alone beside the engine inside Spark, on the same Parquet files, in turn.

Spark runs with few splits and with many: from the two the model (bench/cluster/model.py) tells what
a task costs from what an image costs.
"""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pyarrow as pa
from pyarrow import parquet

from bench.cluster import status
from bench.cluster.costs import PARTS, Clock, with_costs
from bench.cluster.data import write_images
from bench.cluster.equality import collected, differing
from bench.cluster.session import Opened
from bench.data.dataset import Dataset
from bench.text.progress import Progress
from columnar_nn.integrations import spark as integration
from columnar_nn.integrations.batches import MAX_ROWS, infer
from columnar_nn.integrations.prepared import PREDICTED

OUTPUTS = (PREDICTED, "logits")
LOCAL = "local"
"""The way that is the engine alone, on one thread; the others are Spark's numbers of splits."""

JVM, OTHER = "jvm tasks", "besides"
"""Parts of CPU time beside those of the workers (costs.PARTS): threads of tasks in JVMs, and what
else JVMs use, for compilers, garbage collectors and the driver; of the engine alone the rest."""


@dataclass(frozen=True)
class Turn:
    """One run: wall seconds, and CPU seconds of all processes by part."""

    seconds: float
    cpu: Mapping[str, float]


@dataclass
class Way:
    """One way to run them: `splits` of Spark's, None of the engine alone, and its turns.

    `differing` rows are missing or have another bit than the engine alone. `prepare_s` is the CPU
    time that packages and network took in the workers the first time.
    """

    name: str
    splits: int | None
    turns: list[Turn] = field(default_factory=list)
    differing: int = 0
    prepare_s: float = 0.0


class Asked(NamedTuple):
    """The network that every way runs, and the dtype of the images that they are given."""

    network: str | bytes
    dtype: str


@dataclass(frozen=True)
class Comparison:
    """`final_s` is the wall time of a query without a row, its fastest; `cores` are Spark's."""

    images: int
    ways: tuple[Way, ...]
    session_s: float
    final_s: float
    cores: int


def measure(
    opened: Opened,
    network: str | bytes,
    dataset: Dataset,
    images: int,
    splits: Sequence[int],
    rounds: int,
    seed: int,
    folder: Path,
    progress: Progress,
) -> Comparison:
    """Runs every way once to compare rows, then all of them in random order, `rounds` times."""
    pixels = dataset.schema.field("image").type.value_type
    asked = Asked(network, "uint8" if pixels == pa.uint8() else "float32")
    ways = [Way(LOCAL, None), *(Way(f"spark, {count} splits", count) for count in splits)]
    for count in splits:
        (folder / str(count)).mkdir()
        write_images(dataset, images, count, folder / str(count))
    files = {way.name: folder / str(way.splits or splits[0]) / "images" for way in ways}
    expected = _sorted(_alone(asked, files[LOCAL], Clock()))
    for way in ways[1:]:
        frame, observation = _inside(opened, asked, files[way.name])
        way.differing = differing(collected(frame), expected, OUTPUTS)
        way.prepare_s = max(way.prepare_s, observation.get["prepare"] or 0.0)
    turns = [way for _ in range(rounds) for way in ways]
    random.Random(seed).shuffle(turns)
    for index, way in enumerate(turns):
        progress(index, len(turns), way.name)
        if way.splits is None:
            way.turns.append(_turn_alone(asked, files[way.name]))
        else:
            way.turns.append(_turn_inside(opened, asked, files[way.name]))
    nothing = min(_seconds_of_nothing(opened, network, files[ways[1].name]) for _ in range(rounds))
    return Comparison(images, tuple(ways), opened.seconds, nothing, opened.cores)


def _alone(asked: Asked, files: Path, clock: Clock) -> list[pa.RecordBatch]:
    batches = clock.timed(_batches(files), "read")
    return list(
        infer(batches, asked.network, outputs=OUTPUTS, dtype=asked.dtype, phase=clock.phase)
    )


def _batches(files: Path) -> Iterator[pa.RecordBatch]:
    for file in sorted(files.iterdir()):
        with parquet.ParquetFile(file) as opened:
            yield from opened.iter_batches(MAX_ROWS, use_threads=False)


def _inside(opened: Opened, asked: Asked, files: Path) -> tuple[Any, Any]:
    frame = opened.spark.read.parquet(str(files))
    made = integration.call(*(frame, asked.network, "image", None, OUTPUTS, asked.dtype, "null"))
    return with_costs(made)


def _turn_alone(asked: Asked, files: Path) -> Turn:
    clock = Clock()
    start, cpu = time.perf_counter(), time.process_time()
    _alone(asked, files, clock)
    parts = clock.take()
    cpu = time.process_time() - cpu
    parts.pop("write")
    return Turn(time.perf_counter() - start, {**parts, OTHER: max(0.0, cpu - sum(parts.values()))})


def _turn_inside(opened: Opened, asked: Asked, files: Path) -> Turn:
    frame, observation = _inside(opened, asked, files)
    start, before, java = time.perf_counter(), status.tasks(opened.spark), _java_s()
    frame.write.format("noop").mode("overwrite").save()
    seconds = time.perf_counter() - start
    java = _java_s() - java
    tasks = status.tasks(opened.spark).since(before)
    parts = {name: float(observation.get[name] or 0.0) for name in PARTS}
    return Turn(seconds, {JVM: tasks.cpu_s, OTHER: max(0.0, java - tasks.cpu_s), **parts})


def _seconds_of_nothing(opened: Opened, network: str | bytes, files: Path) -> float:
    frame = opened.spark.read.parquet(str(files)).where("id < 0")
    made = integration.map_batches(frame, network, bad="null")
    start = time.perf_counter()
    made.write.format("noop").mode("overwrite").save()
    return time.perf_counter() - start


def _java_s() -> float:
    """CPU seconds of all JVMs below this process so far."""
    total = 0.0
    for process in psutil.Process(os.getpid()).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if process.name() == "java":
                times = process.cpu_times()
                total += times.user + times.system
    return total


def _sorted(batches: Sequence[pa.RecordBatch]) -> pa.Table:
    return pa.Table.from_batches(batches).sort_by("id")

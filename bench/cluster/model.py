"""What a run on N executors would take: a model, fitted to what one machine measured.

    T = session + prepare + waves (task + images / splits (row + network)) + final
    waves = ceil(splits / (executors * cores of each))

`task` is what a task costs whatever is in it, `row` an image's way through Spark and Arrow,
`network` its kernels, all of them CPU seconds; the others are waited for once. Images are never
shuffled. What it leaves out: storage that is shared, executors of different speed, the driver's
dispatch of very many tasks, Spark's own failures.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bench.cluster.compare import JVM, OTHER
from bench.cluster.costs import PARTS
from bench.results.results import Results
from bench.results.schema import Row
from columnar_nn.errors import UsageError

COMMAND = "cluster compare"
"""Of the sessions that it is fitted to."""

_NETWORK = ("input", "compute", "output")


@dataclass(frozen=True)
class Scale:
    """A run: its images, the splits they are in, and the cores of each executor."""

    images: int
    splits: int
    cores: int


@dataclass(frozen=True)
class Model:
    """The terms, in seconds."""

    session: float
    prepare: float
    task: float
    row: float
    network: float
    final: float

    def seconds(self, scale: Scale, executors: int) -> float:
        """What a run would take."""
        waves = math.ceil(scale.splits / (executors * scale.cores))
        split = self.task + scale.images / scale.splits * (self.row + self.network)
        return self.session + self.prepare + waves * split + self.final


def fit(results: Results) -> Model:
    """The terms by the fastest runs of `cnn-bench cluster compare`.

    CPU time of a run is task * splits + images * (row + network): a line through the numbers of
    splits that were measured. Raises UsageError where there are not two.
    """
    workloads = {row["workload"]: row for row in results["workload"]}
    compared = {row["session_id"] for row in results["session"] if row["command"] == COMMAND}
    cells = [
        cell
        for cell in results["cell"]
        if cell["session_id"] in compared and (cell["detail"] or {}).get("splits") is not None
    ]
    if len({cell["detail"]["splits"] for cell in cells}) < 2:
        raise UsageError(
            "a model needs a run with few splits and one with many: measure them with "
            "cnn-bench cluster compare --json FILE"
        )
    images = {workloads[cell["workload"]]["samples"] for cell in cells}
    if len(images) != 1:
        raise UsageError("the runs are of different numbers of images: fit a model to one of them")
    (count,) = images
    parts = {cell["cell"]: _fastest(results, cell) for cell in cells}
    totals = [
        sum(parts[cell["cell"]][name] for name in (JVM, OTHER, *PARTS) if name != "prepare")
        for cell in cells
    ]
    splits = [cell["detail"]["splits"] for cell in cells]
    # what cannot be less than nothing may come out so where others took the machine
    slope, _ = np.polyfit(splits, totals, 1)
    task = max(0.0, float(slope))
    an_image = min(total - task * n for total, n in zip(totals, splits, strict=True)) / count
    network = min(sum(parts[c["cell"]][name] for name in _NETWORK) for c in cells) / count
    return Model(
        session=max(cell["detail"]["session_s"] for cell in cells),
        prepare=max(cell["detail"]["prepare_s"] for cell in cells),
        task=task,
        row=max(0.0, an_image - network),
        network=network,
        final=max(cell["detail"]["final_s"] for cell in cells),
    )


def _fastest(results: Results, cell: Row) -> Mapping[str, float]:
    """CPU seconds by part of the run that took least of it in all."""
    blocks = [
        block
        for block in results["observation"]
        if block["cell"] == cell["cell"]
        and block["session_id"] == cell["session_id"]
        and block["metric"] == "cpu"
    ]
    series: dict[str, list[float]] = {}
    for block in blocks:
        series.setdefault(" ".join(block["part"]), []).extend(block["value"])
    runs: Sequence[tuple[float, ...]] = list(zip(*series.values(), strict=True))
    best = min(runs, key=sum)
    return dict(zip(series, best, strict=True))

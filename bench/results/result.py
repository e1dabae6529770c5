"""A comparison as its report shows it: immutable records, made from rows by summary.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.machine.disturbance import DISTURBED_SHARE
from bench.results.traffic import Traffic
from bench.text.figures import counted
from bench.verdict.status import NOT_RUN, PASSED, UNSUCCESSFUL

MIN_RUNS = 3
"""Timed runs that a cell gets even if they exceed its budget."""


@dataclass(frozen=True)
class BackendRecord:
    """One backend in one configuration: what it was, what starting it cost, how it ended.

    Seconds of a cold start: `process_s` until Python and the harness are up, `import_s`,
    `build_s` (weights, compilation), `first_inference_s` (one image, or the batch of a
    network tied to its size), and `cold_start_s` from process start to the first result.
    `peak_rss_bytes` is the largest resident memory of the worker, `start_rss_bytes` that before
    its framework was imported. `log` is the end of what the worker had printed when it failed.
    `checked` has a Benchmark's parity figures, `status` and `reason` on the first images, which
    every configuration runs whatever its cells.
    """

    backend: str
    configuration: str
    threads: int
    status: str
    reason: str = ""
    process_s: float | None = None
    import_s: float | None = None
    build_s: float | None = None
    first_inference_s: float | None = None
    cold_start_s: float | None = None
    start_rss_bytes: int | None = None
    peak_rss_bytes: int | None = None
    description: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)
    precision: str = ""
    layout: str = ""
    algorithm: str = ""
    denormals: str = ""
    notes: tuple[str, ...] = ()
    log: str = ""
    checked: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.backend}:{self.configuration}"


@dataclass(frozen=True)
class Benchmark:
    """One cell: a backend in one configuration on a number of samples.

    `times` are the raw seconds of every timed run, in order; `phases` the median seconds of
    input conversion, compute and output conversion. `ci_low_s` and `ci_high_s` enclose the
    true median with probability `ci_confidence`. Parity figures (bench/verdict/parity.py) are over
    `parity_rows` rows of this very cell's output, of which `telling_rows` differ from those of the
    dimmed images; `noise_ratio` is the largest error over noise of a column or row
    (bench/verdict/rule.py); `accuracy` and `top5_accuracy` are over all its rows. `taken_share` is
    what others took of its wall time, None if unknown; `undisturbed_s` its fastest run that was not
    disturbed.
    Of a query in SQL `query` is its name, and `phases` are its parts; its relational part alone has
    no `model`. Of several processes, which shared the images as `partitions` says, `balance` is
    what their parts of a run took in the mean over the longest, `pss_bytes` the memory of all.
    """

    backend: str
    configuration: str
    samples: int
    batch_size: int
    threads: int
    status: str
    reason: str = ""
    times: tuple[float, ...] = ()
    phases: Mapping[str, float] = field(default_factory=dict)
    median_s: float | None = None
    ci_low_s: float | None = None
    ci_high_s: float | None = None
    ci_confidence: float | None = None
    images_per_second: float | None = None
    warning: str = ""
    predicted_s: float | None = None
    max_abs: float | None = None
    max_rel: float | None = None
    max_ulp: float | None = None
    sqnr_db: float | None = None
    cosine: float | None = None
    top1_agreement: float | None = None
    outside: int | None = None
    min_tolerance: float | None = None
    noise_ratio: float | None = None
    parity_rows: int = 0
    telling_rows: int | None = None
    accuracy: float | None = None
    top5_accuracy: float | None = None
    taken_share: float | None = None
    undisturbed_s: float | None = None
    model: str = ""
    query: str = ""
    processes: int = 1
    partitions: str = ""
    balance: float | None = None
    pss_bytes: int | None = None

    @property
    def disturbed(self) -> bool:
        """Whether others took so much of its time that its median says little."""
        return self.taken_share is not None and self.taken_share > DISTURBED_SHARE

    @property
    def fastest_s(self) -> float | None:
        """Its fastest run; of a disturbed cell the fastest that was not disturbed, if any."""
        return self.undisturbed_s if self.disturbed else min(self.times, default=None)

    @property
    def relational(self) -> bool:
        """Whether it is the relational part of a query alone, which does less than the others."""
        return bool(self.query) and not self.model

    @property
    def label(self) -> str:
        return f"{self.backend}:{self.configuration}"


@dataclass(frozen=True)
class Served:
    """A cell of queries, in a scenario and, of a server, at a rate in queries a second.

    The `cell` has their latencies as its `times`. `wait_s` is how long they waited for their turn
    in the mean, None where they do not wait.
    """

    cell: Benchmark
    scenario: str
    rate: float | None
    wait_s: float | None


@dataclass(frozen=True)
class Result:
    """A whole comparison, of runs or of queries; `complete` is false if it was interrupted."""

    context: Mapping[str, Any]
    backends: tuple[BackendRecord, ...]
    benchmarks: tuple[Benchmark, ...]
    complete: bool = True
    served: tuple[Served, ...] = ()
    traffic: Traffic = field(default_factory=Traffic)

    @property
    def in_sql(self) -> bool:
        """Whether it is of a query in SQL; then `context` has its name and text as "query"."""
        return bool(self.context.get("query", {}).get("name"))

    @property
    def cells(self) -> tuple[Benchmark, ...]:
        """Those of runs and those of queries."""
        return (*self.benchmarks, *(one.cell for one in self.served))

    @property
    def too_disturbed(self) -> str:
        """Why a strict comparison fails whose cells others disturbed; "" of none and of others."""
        strict = self.context.get("settings", {}).get("strict")
        if not strict:
            return ""
        return strict_failure(sum(cell.disturbed for cell in self.cells), len(self.cells))

    def exit_code(self) -> int:
        """0 if nothing that ran failed, else 1, also if there was no reference to compare with.

        Also 1 if nothing was run of a backend that the user named, or, of a strict comparison,
        if a cell was disturbed. Skipped, unimplemented, or a model that says nothing is not a
        failure.
        """
        settings = self.context.get("settings", {})
        for name in settings.get("named", ()):
            meant = [r.status for r in self.backends if name in (r.backend, r.label)]
            if meant and set(meant) == {NOT_RUN}:
                return 1
        if self.too_disturbed:
            return 1
        statuses = {r.status for r in self.backends} | {cell.status for cell in self.cells}
        unknown = bool(self.context.get("parity", {}).get("failure"))
        return int(unknown or not statuses.isdisjoint(UNSUCCESSFUL))


def strict_failure(disturbed: int, cells: int) -> str:
    """How many of so many cells others disturbed, in words for --strict; "" of none."""
    if not disturbed:
        return ""
    return f"--strict: other processes disturbed {disturbed} of {counted(cells, 'cell')}"


def best(
    cells: Iterable[Benchmark],
    samples: int,
    condition: Callable[[Benchmark], bool] = lambda cell: True,
) -> Benchmark | None:
    """The fastest cell of so many samples whose output passed; none that is relational.

    By medians, but a disturbed one's says less than its fastest run.
    """

    def seconds(cell: Benchmark) -> float:
        assert cell.median_s is not None
        return cell.fastest_s or min(cell.times) if cell.disturbed else cell.median_s

    fitting = (
        cell
        for cell in cells
        if cell.samples == samples and cell.median_s and cell.status == PASSED and condition(cell)
        if not cell.relational
    )
    return min(fitting, key=seconds, default=None)

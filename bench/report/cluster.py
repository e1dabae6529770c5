"""What the engine costs inside a cluster, and what a model says of larger ones, as tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bench.cluster.compare import JVM, OTHER
from bench.cluster.costs import PARTS
from bench.report.tables import Table
from bench.results.results import Results
from bench.results.schema import CLUSTER, Row
from bench.verdict.status import NOT_RUN

_KERNELS = "compute"
_CPU = tuple(
    f"{part}, us/image" for part in ("kernels", "Python", "JVM tasks", "besides", "CPU in all")
)


def cluster(results: Results) -> Iterator[Table]:
    """The tables of what `cnn-bench cluster` has measured and predicted, of every session."""
    workloads = {row["workload"]: row for row in results["workload"]}
    measured, predicted, terms = [], [], dict[str, float]()
    for session in results["session"]:
        own = results.session(session["session_id"])
        subjects = {row["subject"]: row for row in own["subject"]}
        for cell in own["cell"]:
            workload, subject = workloads[cell["workload"]], subjects[cell["subject"]]
            if workload["scenario"] != CLUSTER:
                continue
            if cell["status"] == NOT_RUN:
                predicted.append(_predicted(cell, subject, workload))
                terms |= _terms(session)
            else:
                measured.append(_measured(own, cell, subject, workload))
    if measured:
        yield Table(
            "cluster",
            "Inside a cluster",
            (*("way", "images", "runs", "fastest, s", "images/s"), *_CPU, "status"),
            tuple(measured),
            "CPU time is of the run that took least. Python: the worker but for the kernels. "
            "besides: JVMs' own threads, the driver.",
            of_engines=False,
        )
    if predicted:
        said = ", ".join(f"{name} {value:.3g}" for name, value in terms.items())
        yield Table(
            "cluster-model",
            "A model, not a measurement: larger clusters",
            ("cluster", "images", "T, s", "images/s"),
            tuple(predicted),
            "T = session + prepare + ceil(splits / cores in all) (task + images / splits (row + "
            f"network)) + final, in s: {said}.",
            of_engines=False,
        )


def _measured(results: Results, cell: Row, subject: Row, workload: Row) -> tuple[str, ...]:
    images, seconds, cpu = workload["samples"], list[float](), dict[str, list[float]]()
    for block in results["observation"]:
        if block["cell"] == cell["cell"]:
            known = [value for value in block["value"] if value is not None]
            if block["metric"] == "time":
                seconds += known
            else:
                cpu.setdefault(" ".join(map(str, block["part"])), []).extend(known)
    runs = [dict(zip(cpu, run, strict=True)) for run in zip(*cpu.values(), strict=True)]
    best = min(runs, key=lambda run: sum(run.values()), default={})
    shares = [
        [best[_KERNELS]] if _KERNELS in best else [],
        [best[part] for part in PARTS if part in best and part != _KERNELS],
        *([best[part]] if part in best else [] for part in (JVM, OTHER)),
        list(best.values()),
    ]
    return (
        str(subject["description"] or subject["configuration"]),
        f"{images:,}",
        str(len(seconds)),
        f"{min(seconds):.2f}" if seconds else "-",
        f"{images / min(seconds):,.0f}" if seconds else "-",
        *(f"{sum(share) / images * 1e6:,.1f}" if share and images else "-" for share in shares),
        f"{cell['status']}{': ' * bool(cell['reason'])}{cell['reason'] or ''}",
    )


def _predicted(cell: Row, subject: Row, workload: Row) -> tuple[str, ...]:
    seconds, images = cell["predicted_s"], workload["samples"]
    return (
        str(subject["description"]),
        f"{images:,}",
        f"{seconds:,.1f}",
        f"{images / seconds:,.0f}",
    )


def _terms(session: Row) -> Mapping[str, float]:
    settings: Any = session["settings"]
    return dict(settings["terms_s"]) if isinstance(settings, Mapping) else {}

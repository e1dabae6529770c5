"""What the observations of a session add up to: medians, intervals, rates, ratios.

All of it is made from the rows, whenever it is wanted: it is never merged, and never read back.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any

import numpy as np

from bench.machine.disturbance import DISTURBED_SHARE, Disturbance, taken_share
from bench.results import statistics
from bench.results.percentiles import percentile
from bench.results.result import BackendRecord, Benchmark, Result, Served, best
from bench.results.results import Results
from bench.results.schema import (
    CHECK,
    LATENCIES,
    OFFLINE,
    PARITY,
    QUERY,
    RELATIONAL,
    START,
    Row,
)
from bench.results.tolerances import of_float32
from bench.results.traffic import PERCENTILES, Traffic
from bench.text import caveats
from bench.workers.turn import Turn
from columnar_nn.errors import InvalidDataError

COLD_START = ("process", "import", "build", "first_inference")
"""Parts of the metric cold_start, beside their `total`."""

_Blocks = Mapping[str, Mapping[tuple[str, ...], list[Row]]]
"""Rows of observations of one cell, by metric and part, in the order of their index."""


DRIFT = 0.1
"""By how much of the fixed loop's time the processor's speed may change within a session."""


def doubts(session: Row) -> list[str]:
    """What makes a session's times doubtful: its warnings, and a change of the clock."""
    before, after = session["calibration_before_s"], session["calibration_after_s"]
    found = [*(session["warnings"] or ())]
    if before and after and not 1 / (1 + DRIFT) < after / before < 1 + DRIFT:
        found.append(
            f"the processor's speed changed: a fixed loop took {before * 1e3:.2f} ms when the "
            f"session began, {after * 1e3:.2f} ms at its end"
        )
    return found


def summaries(results: Results) -> Iterator[dict[str, Any]]:
    """Of every cell that was timed, what readers of the document want to know."""
    for session in results["session"]:
        cells = [*benchmarks(own := results.session(session["session_id"])), *queried(own)]
        for cell in cells:
            if cell.median_s is None:
                continue
            yield {
                "session_id": session["session_id"],
                "subject": cell.label,
                **({"query": cell.query} if cell.query else {}),
                **{name: value for name, value in asdict(cell).items() if name in _SUMMARIZED},
                "runs": len(cell.times),
                "fastest_s": cell.fastest_s,
                "disturbed": cell.disturbed,
                "times_the_fastest": _ratio(cell, best(cells, cell.samples, partial(_alike, cell))),
            }
        yield from _latencies(results.session(session["session_id"]))


def _latencies(results: Results) -> Iterator[dict[str, Any]]:
    """Of every cell of queries: how many, and the percentiles that these carry."""
    for one in served(results):
        found = [percentile(one.cell.times, percent) for percent in PERCENTILES]
        if one.cell.times:
            yield {
                "session_id": results["session"][0]["session_id"],
                "subject": one.cell.label,
                "scenario": one.scenario,
                "rate": one.rate,
                **{name: getattr(one.cell, name) for name in ("samples", "threads", "status")},
                "queries": len(one.cell.times),
                "percentiles": [asdict(known) for known in found if known is not None],
                "wait_s": one.wait_s,
                "disturbed": one.cell.disturbed,
            }


def _alike(cell: Benchmark, other: Benchmark) -> bool:
    """Whether two cells differ in nothing but their engines."""
    kinds = [(c.model, c.query, c.threads, c.processes, c.partitions) for c in (cell, other)]
    return kinds[0] == kinds[1] and cell.batch_size == other.batch_size


def _ratio(cell: Benchmark, fastest: Benchmark | None) -> float | None:
    """Its median over the fastest's; None where others had so much of one that it says little."""
    if fastest is None or not (cell.median_s and fastest.median_s):
        return None
    return None if cell.disturbed or fastest.disturbed else cell.median_s / fastest.median_s


_SUMMARIZED = (
    *("samples", "batch_size", "threads", "status", "median_s", "ci_low_s", "ci_high_s"),
    *("ci_confidence", "images_per_second", "phases", "taken_share", "warning"),
)
"""Fields of Benchmark in the document's summary."""


def summarize(results: Results) -> Result:
    """One session of a comparison as its report shows it.

    Raises InvalidDataError for one that lacks what a comparison has.
    """
    (session,) = results["session"]
    subjects = {row["subject"]: row for row in results["subject"]}
    observed = _by_cell(results["observation"])
    checked = {
        cell["subject"]: {"status": cell["status"], **_parity(cell)}
        for cell, _ in _cells(results, CHECK)
    }
    records = tuple(
        backend_record(
            cell,
            subjects[cell["subject"]],
            observed[cell["cell"]],
            checked.get(cell["subject"], {}),
        )
        for cell, _ in _cells(results, START)
    )
    context = _context(results)
    try:
        traffic = Traffic.of(context["settings"])
    except ValueError as error:
        raise InvalidDataError(f"this session cannot be shown as a comparison: {error}") from None
    return Result(
        context,
        records,
        (*benchmarks(results), *queried(results)),
        session["complete"],
        tuple(served(results)),
        traffic,
    )


def benchmarks(results: Results) -> list[Benchmark]:
    """The cells of one session in which all images are there at once."""
    return [cell for cell in _timed(results, OFFLINE) if cell.batch_size]


def queried(results: Results) -> list[Benchmark]:
    """The cells of one session that are of a query in SQL; without a model: its relational part."""
    return [*_timed(results, QUERY), *_timed(results, RELATIONAL)]


def _timed(results: Results, scenario: str) -> list[Benchmark]:
    (session,) = results["session"]
    subjects = {row["subject"]: row for row in results["subject"]}
    observed = _by_cell(results["observation"])
    settings = session["settings"]
    runs = settings.get("runs") if isinstance(settings, Mapping) else None
    return [
        benchmark(
            cell,
            subjects[cell["subject"]],
            workload,
            observed[cell["cell"]],
            runs if isinstance(runs, int) else 0,
        )
        for cell, workload in _cells(results, scenario)
        if workload["samples"]
    ]


def served(results: Results) -> list[Served]:
    """The cells of one session in which queries were answered."""
    subjects = {row["subject"]: row for row in results["subject"]}
    observed = _by_cell(results["observation"])
    found = []
    for scenario in LATENCIES:
        for cell, workload in _cells(results, scenario):
            if workload["samples"] and workload["batch_size"]:
                blocks, subject = observed[cell["cell"]], subjects[cell["subject"]]
                made = benchmark(cell, subject, workload, blocks, 0, "latency")
                waits = [
                    v for b in blocks.get("phase", {}).get(("waiting",), ()) for v in _known(b)
                ]
                wait = float(np.mean(waits)) if waits else None
                found.append(Served(made, scenario, workload["rate"], wait))
    return found


def _cells(results: Results, scenario: str) -> Iterator[tuple[Row, Row]]:
    """The cells of a scenario, each with its workload."""
    workloads = {row["workload"]: row for row in results["workload"]}
    for cell in results["cell"]:
        workload = workloads[cell["workload"]]
        if workload["scenario"] == scenario:
            yield cell, workload


def benchmark(
    cell: Row,
    subject: Row,
    workload: Row,
    observed: _Blocks,
    runs: int,
    metric: str = "time",
) -> Benchmark:
    """A cell of a comparison in which at least `runs` timed runs were asked for."""
    return Benchmark(
        backend=subject["backend"],
        configuration=subject["configuration"],
        samples=workload["samples"],
        batch_size=workload["batch_size"] or 0,
        threads=subject["threads"],
        status=cell["status"],
        reason=cell["reason"] or "",
        predicted_s=cell["predicted_s"],
        accuracy=cell["accuracy"],
        top5_accuracy=cell["top5_accuracy"],
        model=workload["model_name"] or "",
        query=workload["query"] or "",
        processes=subject["processes"],
        partitions=partitions(subject),
        **_shares(observed),
        **_parity(cell),
        **_timing(observed.get(metric, {}).get((), ()), observed, workload["samples"], runs),
    )


def partitions(subject: Row) -> str:
    """How the images were cut for the processes of a subject; empty where that was not asked."""
    options = subject["options"]
    return str(options.get("partitions", "")) if isinstance(options, Mapping) else ""


def _shares(observed: _Blocks) -> dict[str, Any]:
    """How evenly processes shared their runs, and the memory that they took together."""
    seconds = [
        [value for block in blocks for value in block["value"]]
        for blocks in observed.get("share", {}).values()
    ]
    runs = [run for run in zip(*seconds, strict=False) if None not in run and max(run) > 0]
    memory = [
        float(np.median([v for block in blocks for v in _known(block)]))
        for blocks in observed.get("share_pss", {}).values()
    ]
    total = sum(memory)
    return {
        "balance": float(np.median([np.mean(r) / max(r) for r in runs])) if runs else None,
        "pss_bytes": int(total) if memory and math.isfinite(total) else None,
    }


def backend_record(
    cell: Row, subject: Row, observed: _Blocks, checked: Mapping[str, Any]
) -> BackendRecord:
    """A backend from the start of its process to its end; `checked` as BackendRecord has it."""

    def first(metric: str, part: str) -> Any:
        blocks = observed.get(metric, {}).get((part,), ())
        return blocks[0]["value"][0] if blocks else None

    start_rss, peak_rss = first("rss", "start"), first("rss", "peak")
    return BackendRecord(
        backend=subject["backend"],
        configuration=subject["configuration"],
        threads=subject["threads"],
        status=cell["status"],
        reason=cell["reason"] or "",
        **{f"{part}_s": first("cold_start", part) for part in COLD_START},
        cold_start_s=first("cold_start", "total"),
        start_rss_bytes=start_rss and int(start_rss),
        peak_rss_bytes=peak_rss and int(peak_rss),
        description=subject["description"] or "",
        versions=_shaped("versions", subject["versions"] or {}, {str: str}),
        precision=subject["precision"] or "",
        layout=subject["layout"] or "",
        algorithm=subject["algorithm"] or "",
        denormals=subject["denormals"] or "",
        notes=tuple(subject["notes"] or ()),
        log=cell["log"] or "",
        checked=checked,
    )


def _timing(timed: Sequence[Row], observed: _Blocks, samples: int, runs: int) -> dict[str, Any]:
    """Benchmark's fields that are made from times, or from latencies, `timed`."""
    turns = [turn_of(block) for block in timed]
    times = [seconds for turn in turns for seconds in turn.times]
    if not times:
        return {}
    estimate = statistics.estimate_median(times)
    share = taken_share(turn.disturbance for turn in turns)
    warnings = []
    if share is not None and share > DISTURBED_SHARE:
        warnings.append(
            f"disturbed: others took over {DISTURBED_SHARE:.0%} of the time, so that its "
            "median is compared with no other"
        )
    if statistics.spread(times) > statistics.STABLE_SPREAD:
        warnings.append(
            f"unstable: half of the times differ by over {statistics.STABLE_SPREAD:.0%}"
        )
    if len(times) < runs:
        warnings.append(f"{len(times)} runs instead of {runs}")
    return {
        "times": tuple(times),
        "phases": {
            part[0]: float(np.median([v for block in blocks for v in _known(block)]))
            for part, blocks in observed.get("phase", {}).items()
            if len(part) == 1
        },
        "median_s": estimate.median,
        "ci_low_s": estimate.low,
        "ci_high_s": estimate.high,
        "ci_confidence": estimate.confidence,
        "images_per_second": samples / estimate.median,
        "warning": "; ".join(warnings),
        "taken_share": share,
        "undisturbed_s": min((s for turn in turns for s in turn.undisturbed()), default=None),
    }


def turn_of(block: Row) -> Turn:
    """The turn that a row of times is; runs of which no switches are known may have had some."""
    times, switches = block["value"], block["switches"] or [None] * len(block["value"])
    known = [
        (seconds, 1 if count is None else count)
        for seconds, count in zip(times, switches, strict=True)
        if seconds is not None and seconds > 0
    ]
    return Turn(
        [seconds for seconds, _ in known],
        [],
        [count for _, count in known],
        disturbance_of(block["disturbance"]),
    )


def disturbance_of(tree: Any) -> Disturbance | None:
    """Of a row of observations; None if it is not known."""
    shape = {"wall_s": _REAL, "steal_s": _REAL, "others_s": _REAL, "run_queue_s": [_REAL]}
    if not _has_shape(tree, {**shape, "involuntary_switches": int}):
        return None
    known = {name: tree[name] for name in (*shape, "involuntary_switches")}
    return Disturbance(**{**known, "run_queue_s": tuple(known["run_queue_s"])})


def _known(block: Row) -> list[float]:
    return [value for value in block["value"] if value is not None] or [math.nan]


def _by_cell(observations: Sequence[Row]) -> Mapping[str, _Blocks]:
    found: dict[str, Any] = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))
    for block in observations:
        found[block["cell"]][block["metric"]][tuple(block["part"])].append(block)
    return found


def _parity(cell: Row) -> dict[str, Any]:
    """Benchmark's figures of parity."""
    figures = {field.name: cell[field.name] for field in PARITY}
    return {**figures, "parity_rows": figures["parity_rows"] or 0}


def _context(results: Results) -> dict[str, Any]:
    """What stands above and below the tables: the session, its machine, network and data."""
    (session,), (machine,) = results["session"], results["machine"]
    settings = _shaped("settings", session["settings"], _SETTINGS)
    for name in caveats.NOTES:
        _shaped("settings", settings.get(name, ""), str)
    workloads = [row for row in results["workload"] if row["scenario"] != RELATIONAL]
    _check(bool(workloads), "it has not begun")
    workload = max(workloads, key=lambda row: row["samples"] or 0)
    truth = session["truth"] or {"rows": 0, "failure": ""}
    telling = _shaped("truth", truth, {"rows": int, "failure": str}).get("telling") or {}
    names, rows = (truth.get(name) or [] for name in ("names", "result"))
    alike = _has_shape(rows, [[(int, str)]]) and all(len(row) == len(names) for row in rows)
    _check(alike, "its result is no table")
    return {
        "time": session["started"],
        "machine": {**machine, "caches": _shaped("caches", machine["caches"] or {}, {str: int})},
        "versions": _shaped("versions", session["versions"], {str: str}),
        "git_commit": session["commit"],
        "settings": settings,
        "model": {"name": workload["model_name"] or "", "parameters": workload["parameters"] or 0},
        "data": {"name": workload["data_name"] or "", "rows": workload["data_rows"] or 0},
        "query": {"name": workload["query"] or "", "sql": workload["sql"] or ""},
        "warnings": doubts(session),
        "import_check": session["import_check"],
        "parity": {
            **truth,
            "telling": _shaped("truth", telling, {str: dict.fromkeys(_TELLING, int)}),
            "names": _shaped("truth", names, [str]),
            "result": rows,
            "tolerances": _shaped("tolerance", of_float32(results), _TOLERANCES),
        },
    }


_TELLING = ("rows", "columns", "of_columns")
_REAL = (int, float)
_TOLERANCES = {str: {"atol": _REAL, "rtol": _REAL}}
_SETTINGS = {
    "samples": [int],
    "batch_size": int,
    "threads": int,
    "cpus": [int],
    "runs": int,
    "min_time_s": _REAL,
    "budget_s": _REAL,
    "algorithm": str,
}
"""Of those of a comparison, what its report shows."""


def _shaped(name: str, value: Any, shape: Any) -> Any:
    _check(_has_shape(value, shape), f"its {name} is not what a comparison has there")
    return value


def _has_shape(value: Any, shape: Any) -> bool:
    """Whether a tree is like another, whose leaves are types; {str: ...} has any names."""
    if isinstance(shape, list):
        return isinstance(value, list) and all(_has_shape(one, shape[0]) for one in value)
    if not isinstance(shape, dict):
        return isinstance(value, shape) and not isinstance(value, bool)
    if not isinstance(value, Mapping):
        return False
    if str in shape:
        return all(_has_shape(one, shape[str]) for one in value.values())
    return all(name in value and _has_shape(value[name], one) for name, one in shape.items())


def _check(condition: bool, problem: str) -> None:
    if not condition:
        raise InvalidDataError(f"this session cannot be shown as a comparison: {problem}")

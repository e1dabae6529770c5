"""What a report shows, as Arrow tables: times and their fits, starts, errors, layers.

A panel is what may be compared with each other: one network on one data set, on one machine, with
as many threads and processes, and the images cut alike. A figure that several sessions measured is
the median of the sessions' figures, and its interval that of this median.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import pyarrow as pa

from bench.report import errors, fits, latencies, layers, queries, roofline, scaling
from bench.report.setting import Setting
from bench.results.result import Benchmark, best
from bench.results.results import Results
from bench.results.schema import Row
from bench.results.statistics import Estimate, estimate_median
from bench.results.summary import COLD_START, benchmarks, partitions
from bench.verdict.status import PASSED, worst

REST = "rest"
"""Of a cold start, what is none of its parts: the harness between them."""

FITS_WITHIN = 0.2
"""Largest residual of a line by which a change of lead is told."""


@dataclass(frozen=True)
class Panel:
    """The tables of one setting, by name (SCHEMAS); `engines` from the fastest to the slowest."""

    setting: Setting
    engines: tuple[str, ...]
    tables: Mapping[str, pa.Table]


@dataclass(frozen=True)
class Figures:
    """Everything of a report that is worked out; `scaling` and `partitions` go across panels."""

    results: Results
    panels: tuple[Panel, ...]
    scaling: pa.Table
    partitions: pa.Table


def _schema(**units: str) -> pa.Schema:
    """Columns by name: of text, if the unit is "text", else numbers with their unit."""
    types = {"text": pa.string(), "flag": pa.bool_(), "count": pa.int64()}
    return pa.schema(
        pa.field(name, types.get(unit, pa.float64()), metadata={"unit": unit})
        for name, unit in units.items()
    )


_INTERVAL = {"median_s": "s", "low_s": "s", "high_s": "s"}
SCHEMAS = {
    "times": _schema(
        engine="text",
        samples="count",
        **_INTERVAL,
        runs="count",
        sessions="count",
        images_per_second="1/s",
        ratio="1",
        ratio_low="1",
        ratio_high="1",
        fit_s="s",
        residual="1",
        balance="1",
        sound="flag",
        doubt="text",
    ),
    "lines": _schema(engine="text", call_s="s", image_s="s", worst_residual="1", sizes="count"),
    "crossings": _schema(samples="1", seconds="s", before="text", after="text"),
    "errors": _schema(
        engine="text",
        samples="count",
        image_s="s",
        max_rel="1",
        top1_agreement="1",
        status="text",
        precision="text",
    ),
    "starts": _schema(engine="text", part="text", seconds="s"),
    "memory": _schema(engine="text", part="text", bytes="byte"),
    "latencies": _schema(
        engine="text",
        scenario="text",
        samples="count",
        rate="1/s",
        queries="count",
        sessions="count",
        percent="1",
        latency_s="s",
        at_most_s="s",
        sound="flag",
        doubt="text",
    ),
    "knees": _schema(engine="text", rate="1/s", percent="1", limit_s="s", sessions="count"),
    "queries": _schema(
        engine="text",
        query="text",
        samples="count",
        part="text",
        seconds="s",
        run_s="s",
        low_s="s",
        high_s="s",
        fastest_s="s",
        alone="flag",
        doubt="text",
    ),
    "layers": _schema(engine="text", layer="text", position="count", seconds="s", samples="count"),
    "intensities": _schema(engine="text", layer="text", intensity="1/byte", rate="1/s"),
    "roofs": _schema(roof="text", rate="1/s or byte/s"),
    "scaling": _schema(
        engine="text",
        setting="text",
        samples="count",
        threads="count",
        processes="count",
        images_per_second="1/s",
        low="1/s",
        high="1/s",
    ),
    "partitions": _schema(
        engine="text",
        setting="text",
        partitions="text",
        samples="count",
        **_INTERVAL,
        balance="1",
        sound="flag",
        doubt="text",
    ),
}
"""The tables of a panel, then those of ACROSS: each column with its unit."""

ACROSS = ("scaling", "partitions")
"""Tables that go across panels."""


def figures(results: Results) -> Figures:
    """Works everything out; a table of which there is nothing is empty."""
    slices = defaultdict(list)
    for setting, part in _slices(results):
        slices[setting].append(part)
    roofs = roofline.roofs(results)
    panels = [_panel(setting, parts, roofs) for setting, parts in slices.items()]
    shown = tuple(panel for panel in panels if any(map(len, panel.tables.values())))
    timed = [(panel.setting, panel.tables["times"].to_pylist()) for panel in shown]
    across = {"scaling": scaling.scaling(timed), "partitions": scaling.partitions(timed)}
    return Figures(results, shown, **{name: _table(name, rows) for name, rows in across.items()})


def _slices(results: Results) -> Iterator[tuple[Setting, Results]]:
    """What each session measured in each setting, in the order in which they came."""
    for session in results["session"]:
        own = results.session(session["session_id"])
        (machine,) = own["machine"]
        name = machine["label"] or machine["brand"] or machine["machine_id"]
        subjects = {row["subject"]: row for row in own["subject"]}
        workloads = {row["workload"]: row for row in own["workload"]}
        networks = {row["query"]: row["model_name"] for row in own["workload"] if row["query"]}
        cells: dict[Setting, list[Row]] = defaultdict(list)
        for cell in own["cell"]:
            workload, subject = workloads[cell["workload"]], subjects[cell["subject"]]
            # a query's relational part stands beside the whole of it
            model = workload["model_name"] or networks.get(workload["query"])
            if model:
                network = model, workload["data_name"] or "unnamed data"
                machine_is = machine["machine_id"], name
                how = subject["threads"], subject["processes"]
                setting = Setting(*machine_is, *network, *how, partitions(subject))
                cells[setting].append(cell)
        for setting, rows in cells.items():
            yield setting, _only(own, rows)


def _only(results: Results, cells: Sequence[Row]) -> Results:
    """Some cells of one session, with what was observed in them."""
    ids = {cell["cell"] for cell in cells}
    observed = tuple(row for row in results["observation"] if row["cell"] in ids)
    return Results({**results.rows, "cell": tuple(cells), "observation": observed})


def _panel(setting: Setting, parts: Sequence[Results], roofs: roofline.Roofs) -> Panel:
    sessions = [benchmarks(part) for part in parts]
    measured = [cell for cells in sessions for cell in cells if cell.median_s]
    sizes: dict[tuple[str, int], set[int]] = defaultdict(set)
    for cell in measured:
        sizes[cell.label, cell.samples].add(cell.batch_size)
    swept = {label for (label, _), found in sizes.items() if len(found) > 1}

    def name(cell: Benchmark) -> str:
        """The engine; in a sweep of batch sizes with the size, but for all images as one batch."""
        several = cell.label in swept and cell.batch_size < cell.samples
        return _in_batches(cell.label, cell.batch_size) if several else cell.label

    groups: dict[tuple[str, int], list[_Timed]] = defaultdict(list)
    for cells in sessions:
        timed = [cell for cell in cells if cell.median_s]
        for cell in timed:
            groups[name(cell), cell.samples].append(_Timed(cell, best(timed, cell.samples)))
    times = [_time_row(engine, samples, same) for (engine, samples), same in groups.items()]
    lines = _with_fits(times)
    speeds = {row["engine"]: row["images_per_second"] for row in sorted(times, key=_samples)}
    engines = sorted(speeds, key=lambda engine: -speeds[engine])
    starts, memory = _starts(parts, speeds)
    tables = {
        "times": sorted(times, key=lambda row: (engines.index(row["engine"]), row["samples"])),
        "lines": [_line_row(engine, lines[engine], times) for engine in engines if engine in lines],
        "crossings": _crossings(lines, times),
        "errors": errors.errors(parts, measured, name),
        "starts": starts,
        "memory": memory,
        "latencies": latencies.latencies(parts),
        "knees": latencies.knees(parts),
        "queries": queries.queries(parts),
        "layers": layers.layer_times(parts),
        "intensities": roofline.points(parts),
    }
    if tables["intensities"]:
        tables["roofs"] = roofs.get((setting.machine_id, setting.threads), [])
    others = [row["engine"] for name in _OF_ENGINES for row in tables[name]]
    return Panel(
        setting,
        tuple(dict.fromkeys((*engines, *others))),
        {name: _table(name, tables.get(name, ())) for name in SCHEMAS if name not in ACROSS},
    )


_OF_ENGINES = ("latencies", "queries", "starts", "memory", "layers", "intensities")
"""Tables whose engines need not have times."""


def _in_batches(label: str, size: int | None) -> str:
    return f"{label}, batches of {size}"


class _Timed(NamedTuple):
    """A cell of one session, and the fastest of its session on as many images."""

    cell: Benchmark
    fastest: Benchmark | None


def _time_row(engine: str, samples: int, same: Sequence[_Timed]) -> dict[str, Any]:
    cells = [timed.cell for timed in same]
    median = _between([Estimate(c.median_s, c.ci_low_s, c.ci_high_s, 0) for c in cells])  # type: ignore[arg-type]
    ratios = [ratio for timed in same if (ratio := _ratio(*timed))]
    ratio = _between(ratios) if ratios else None
    status = worst(cell.status for cell in cells)
    warnings = [status] if status != PASSED else []
    warnings += ["disturbed"] if any(cell.disturbed for cell in cells) else []
    warnings += ["unstable"] if any("unstable" in cell.warning for cell in cells) else []
    return {
        "engine": engine,
        "samples": samples,
        "median_s": median.median,
        "low_s": median.low,
        "high_s": median.high,
        "runs": sum(len(cell.times) for cell in cells),
        "sessions": len(cells),
        "images_per_second": samples / median.median,
        "ratio": ratio and ratio.median,
        "ratio_low": ratio and ratio.low,
        "ratio_high": ratio and ratio.high,
        "balance": min((cell.balance for cell in cells if cell.balance), default=None),
        "sound": not {*warnings} - {"unstable"},
        "doubt": ", ".join(warnings),
    }


def _between(estimates: Sequence[Estimate]) -> Estimate:
    """Of one session its own; of several the median of theirs: sessions differ more than runs."""
    if len(estimates) == 1:
        return estimates[0]
    return estimate_median([estimate.median for estimate in estimates])


def _ratio(cell: Benchmark, fastest: Benchmark | None) -> Estimate | None:
    """Its time over the fastest's; of medians, or of undisturbed runs where one was disturbed."""
    if fastest is None:
        return None
    if cell.disturbed or fastest.disturbed:
        if not (cell.fastest_s and fastest.fastest_s):
            return None
        ratio = cell.fastest_s / fastest.fastest_s
        return Estimate(ratio, ratio, ratio, 0)
    assert cell.median_s and cell.ci_low_s and cell.ci_high_s  # noqa: PT018
    assert fastest.median_s and fastest.ci_low_s and fastest.ci_high_s  # noqa: PT018
    if cell is fastest:
        return Estimate(1, 1, 1, 1)
    low, high = cell.ci_low_s / fastest.ci_high_s, cell.ci_high_s / fastest.ci_low_s
    return Estimate(cell.median_s / fastest.median_s, low, high, 0)


def _with_fits(times: Sequence[dict[str, Any]]) -> dict[str, fits.Line]:
    """Fits every engine that was run on enough sizes, and adds its row's `fit_s` and `residual`."""
    by_engine: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in times:
        by_engine[row["engine"]].append(row)
    lines = {}
    for engine, rows in by_engine.items():
        if len(rows) < fits.MIN_SIZES:
            continue
        line = fits.fit([row["samples"] for row in rows], [row["median_s"] for row in rows])
        lines[engine] = line
        for row in rows:
            row["fit_s"] = line.at(row["samples"])
            row["residual"] = row["median_s"] / row["fit_s"] - 1
    return lines


def _line_row(engine: str, line: fits.Line, times: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    residuals = [row["residual"] for row in times if row["engine"] == engine]
    return {
        "engine": engine,
        "call_s": line.call_s,
        "image_s": line.image_s,
        "worst_residual": max(residuals, key=abs),
        "sizes": len(residuals),
    }


def _crossings(
    lines: Mapping[str, fits.Line], times: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Changes of lead among engines, within what these were measured on, if their lines fit."""
    ranges: dict[str, list[int]] = defaultdict(list)
    for row in times:
        ranges[row["engine"]].append(row["samples"])
    fitting = {row["engine"] for row in times if row.get("residual") is not None} - {
        row["engine"] for row in times if abs(row.get("residual") or 0.0) > FITS_WITHIN
    }
    if not lines:
        return []
    first = max(min(ranges[engine]) for engine in lines)
    last = max(max(ranges[engine]) for engine in lines)
    whole = {engine: line for engine, line in lines.items() if max(ranges[engine]) == last}
    return [
        {
            "samples": crossing.samples,
            "seconds": whole[crossing.after].at(crossing.samples),
            "before": crossing.before,
            "after": crossing.after,
        }
        for crossing in fits.changes_of_lead(whole, first, last)
        if {crossing.before, crossing.after} <= fitting
    ]


def _starts(
    parts: Sequence[Results], timed: Collection[str]
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Cold starts by stage and memory by who took it: medians over all processes.

    Those of one size of batches are told from others' if the names of what was `timed` do so.
    """
    found: dict[tuple[str, str, str], list[float]] = defaultdict(list)
    for results in parts:
        subjects = {row["subject"]: row for row in results["subject"]}
        workloads = {row["workload"]: row for row in results["workload"]}
        cells = {row["cell"]: row for row in results["cell"]}
        for block in results["observation"]:
            if block["metric"] in ("cold_start", "rss") and block["part"]:
                cell = cells[block["cell"]]
                subject, workload = subjects[cell["subject"]], workloads[cell["workload"]]
                label = f"{subject['backend']}:{subject['configuration']}"
                in_batches = _in_batches(label, workload["batch_size"])
                engine = in_batches if in_batches in timed else label
                known = [value for value in block["value"] if value is not None]
                found[engine, block["metric"], block["part"][0]] += known
    medians = {key: estimate_median(values).median for key, values in found.items() if values}
    starts: list[dict[str, Any]] = []
    for engine in dict.fromkeys(engine for engine, *_ in medians):
        parts_s = {
            part: medians[engine, "cold_start", part]
            for part in (*COLD_START, "total")
            if (engine, "cold_start", part) in medians
        }
        if "total" in parts_s:
            total = parts_s.pop("total")
            parts_s[REST] = max(0.0, total - sum(parts_s.values()))
        starts += [
            {"engine": engine, "part": part, "seconds": taken} for part, taken in parts_s.items()
        ]
    memory = []
    for engine, metric, part in medians:
        if (metric, part) == ("rss", "peak"):
            before = medians.get((engine, "rss", "start"), 0.0)
            after = medians[engine, "rss", "peak"] - before
            memory += [
                {"engine": engine, "part": "before", "bytes": before},
                {"engine": engine, "part": "engine", "bytes": after},
            ]
    return starts, memory


def _samples(row: Mapping[str, Any]) -> int:
    return int(row["samples"])


def _table(name: str, rows: Iterable[Mapping[str, Any]]) -> pa.Table:
    return pa.Table.from_pylist([dict(row) for row in rows], schema=SCHEMAS[name])

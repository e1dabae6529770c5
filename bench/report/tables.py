"""What a report says in tables, as text: for the page, Markdown and LaTeX alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.report.figures import FITS_WITHIN, Figures, Panel
from bench.results.results import Results
from bench.results.summary import doubts
from bench.results.traffic import PERCENTILES
from bench.text.figures import counted, milliseconds


@dataclass(frozen=True)
class Table:
    """A table of text: figures have their unit in the heading of their column.

    `name` says which it is. The first column names the row; if that is an engine, `of_engines` is
    true.
    """

    name: str
    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    of_engines: bool = True


def title(panel: Panel) -> str:
    """What a panel is of, in words."""
    setting = panel.setting
    processes = f", {setting.processes} processes" if setting.processes > 1 else ""
    cut = f", partitions {setting.partitions}" if setting.partitions else ""
    threads = counted(setting.threads, "thread")
    return f"{setting.model} on {setting.data}: {threads}{processes}{cut}, {setting.machine}"


def summary(panel: Panel) -> str:
    """Which engine is the fastest on the most images, and how far the next is; empty if unknown."""
    rows = [row for row in panel.tables["times"].to_pylist() if row["ratio"] is not None]
    most = max((row["samples"] for row in rows), default=0)
    if not rows and (knees := panel.tables["knees"].to_pylist()):
        best = knees[0]
        limit = f"p{best['percent']:g} of latency at most {milliseconds(best['limit_s'])} ms"
        return f"With {limit} {best['engine']} serves the most: {best['rate']:,.4g} queries/s."
    first, *others = sorted((r for r in rows if r["samples"] == most), key=_ratio) or [None]
    if first is None or not others:
        return _in_sql_summary(panel)
    text = f"On {counted(most, 'image')} {first['engine']} is the fastest"
    return f"{text}; {others[0]['engine']} takes {others[0]['ratio']:.2f} times as long."


def tables(panel: Panel) -> Iterator[Table]:
    """The tables of one setting, those that have rows."""
    yield from _in_sql(panel)
    for make in (_times, _lines, _crossings, _latencies, _knees, _layers, _starts, _errors):
        table = make(panel)
        if table.rows:
            yield table


def background(figures: Figures) -> Iterator[Table]:
    """What stands below everything: sessions, machines, configurations, as they were found."""
    for make in (_sessions, _machines, _configurations, _versions):
        table = make(figures.results)
        if table.rows:
            yield table


def warnings(results: Results) -> list[str]:
    """What makes the results doubtful, each once."""
    found = [text for session in results["session"] for text in doubts(session)]
    found += [
        f"the session of {session['started']} is incomplete"
        for session in results["session"]
        if not session["complete"]
    ]
    return list(dict.fromkeys(found))


def _times(panel: Panel) -> Table:
    rows = panel.tables["times"].to_pylist()
    sizes = sorted({row["samples"] for row in rows})
    cells = {(row["engine"], row["samples"]): row for row in rows}
    doubts = {row["doubt"] for row in rows} - {""}
    sessions = max((row["sessions"] for row in rows), default=1)
    note = "Median and, in brackets, the interval that holds the true one."
    if sessions > 1:
        note += f" Medians of up to {sessions} sessions' medians, and the interval of these."
    if doubts:
        words = {word for doubt in doubts for word in doubt.split(", ")}
        note += f" * {' or '.join(sorted(words))}."
    return Table(
        "times",
        "Time of a run in ms",
        ("engine", *(counted(size, "image") for size in sizes)),
        tuple(
            (engine, *(_time(cells.get((engine, size))) for size in sizes))
            for engine in dict.fromkeys(row["engine"] for row in rows)
        ),
        note,
    )


def _time(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    low, high = milliseconds(row["low_s"]), milliseconds(row["high_s"])
    star = "*" if row["doubt"] else ""
    return f"{milliseconds(row['median_s'])}{star} [{low}, {high}]"


def _in_sql(panel: Panel) -> Iterator[Table]:
    """A table for each query and number of images."""
    rows = panel.tables["queries"].to_pylist()
    for query, samples in dict.fromkeys((row["query"], row["samples"]) for row in rows):
        engines: dict[str, list[Mapping[str, Any]]] = {}
        for row in rows:
            if (row["query"], row["samples"]) == (query, samples):
                engines.setdefault(row["engine"], []).append(row)
        parts = [row["part"] for row in next(iter(engines.values()))]
        doubts = {own[0]["doubt"] for own in engines.values()} - {""}
        note = "A run's median and, in brackets, the interval that holds the true one; then parts."
        if any(own[0]["alone"] for own in engines.values()):
            note += " Without a network: the relational part alone."
        if doubts:
            note += f" * {' or '.join(sorted(doubts))}."
        yield Table(
            "queries",
            f"Query {query} on {counted(samples, 'image')}, in ms",
            ("engine", "run", "fastest", *parts),
            tuple(
                (
                    engine,
                    _time({**own[0], "median_s": own[0]["run_s"]}),
                    "-" if own[0]["fastest_s"] is None else milliseconds(own[0]["fastest_s"]),
                    *(milliseconds(row["seconds"]) for row in own),
                )
                for engine, own in engines.items()
            ),
            note,
        )


def _in_sql_summary(panel: Panel) -> str:
    """Which engine is the fastest on each query, of those that run all of it."""
    found: dict[str, dict[str, float]] = {}
    for row in panel.tables["queries"].to_pylist():
        if not (row["alone"] or row["doubt"]):
            found.setdefault(row["query"], {})[row["engine"]] = row["run_s"]
    sentences = []
    for query, runs in found.items():
        first, *others = sorted(runs, key=lambda engine: runs[engine])
        if others:
            ratio = runs[others[0]] / runs[first]
            sentences.append(
                f"Of query {query} {first} is the fastest; {others[0]} takes {ratio:.2f} times as "
                "long."
            )
    return " ".join(sentences)


def _lines(panel: Panel) -> Table:
    return Table(
        "lines",
        "What a call and an image cost",
        ("engine", "a call, ms", "an image, ms", "largest residual", "sizes"),
        tuple(
            (
                row["engine"],
                milliseconds(row["call_s"]),
                milliseconds(row["image_s"]),
                f"{row['worst_residual']:+.0%}",
                str(row["sizes"]),
            )
            for row in panel.tables["lines"].to_pylist()
        ),
        "Fit of a + b N to the medians, by their relative errors; neither cost below 0. With a "
        "large residual the two costs do not tell all.",
    )


def _crossings(panel: Panel) -> Table:
    return Table(
        "crossings",
        "Where the fastest engine changes",
        ("from about", "faster is", "below it"),
        tuple(
            (counted(round(row["samples"]), "image"), row["after"], row["before"])
            for row in panel.tables["crossings"].to_pylist()
        ),
        f"By the fitted lines, of those that are off by {FITS_WITHIN:.0%} at most.",
        of_engines=False,
    )


def _latencies(panel: Panel) -> Table:
    rows = panel.tables["latencies"].to_pylist()
    cells: dict[tuple[Any, ...], dict[float, Mapping[str, Any]]] = {}
    for row in rows:
        key = (row["engine"], row["scenario"], row["samples"], row["rate"])
        cells.setdefault(key, {})[row["percent"]] = row
    doubts = {row["doubt"] for row in rows} - {""}
    note = (
        "From when a query was due to its outputs; in brackets what the true percentile is at "
        "most, with 99% confidence. A percentile that the queries do not carry is left out."
    )
    if doubts:
        note += f" * {' or '.join(sorted(doubts))}."
    return Table(
        "latencies",
        "Latency of a query in ms",
        (
            *("engine", "scenario", "images", "queries/s", "queries"),
            *(f"p{percent:g}" for percent in PERCENTILES),
        ),
        tuple(
            (
                *(engine, scenario, f"{samples:,}", "-" if rate is None else f"{rate:,.4g}"),
                _queries(next(iter(found.values()))),
                *(_latency(found.get(percent)) for percent in PERCENTILES),
            )
            for (engine, scenario, samples, rate), found in cells.items()
        ),
        note,
    )


def _queries(row: Mapping[str, Any]) -> str:
    return f"{row['queries']:,}{'*' if row['doubt'] else ''}"


def _latency(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "-"
    return f"{milliseconds(row['latency_s'])} [{milliseconds(row['at_most_s'])}]"


def _knees(panel: Panel) -> Table:
    return Table(
        "knees",
        "The largest rate within the limit of latency",
        ("engine", "queries/s", "limit", "sessions"),
        tuple(
            (
                row["engine"],
                f"{row['rate']:,.4g}",
                f"p{row['percent']:g} at most {milliseconds(row['limit_s'])} ms",
                str(row["sessions"]),
            )
            for row in panel.tables["knees"].to_pylist()
        ),
        "Of the rates that were tried, below every one that was beyond the limit.",
    )


def _layers(panel: Panel) -> Table:
    rows = panel.tables["layers"].to_pylist()
    engines = [name for name in panel.engines if any(row["engine"] == name for row in rows)]
    cells = {(row["layer"], row["engine"]): row for row in rows}
    samples = rows[0]["samples"] if rows else 0
    layers = dict.fromkeys(row["layer"] for row in sorted(rows, key=lambda row: row["position"]))
    return Table(
        "layers",
        f"Time of each layer in a run of {counted(samples, 'image')}, in ms",
        ("layer", *engines),
        tuple(
            (
                layer,
                *(
                    milliseconds(cells[layer, engine]["seconds"])
                    if (layer, engine) in cells
                    else "-"
                    for engine in engines
                ),
            )
            for layer in layers
        ),
        of_engines=False,
    )


def _starts(panel: Panel) -> Table:
    stages: dict[str, dict[str, float]] = {}
    for row in panel.tables["starts"].to_pylist():
        stages.setdefault(row["engine"], {})[row["part"]] = row["seconds"]
    memory: dict[str, dict[str, float]] = {}
    for row in panel.tables["memory"].to_pylist():
        memory.setdefault(row["engine"], {})[row["part"]] = row["bytes"]
    parts = ("process", "import", "build", "first_inference")
    rows = []
    for engine, own in stages.items():
        taken = [own.get(part) for part in parts]
        total = sum(own.values())
        sizes = memory.get(engine, {})
        of_engine = sizes.get("engine")
        peak = None if of_engine is None else of_engine + sizes["before"]
        seconds = ["-" if value is None else f"{value:.2f}" for value in (*taken, total)]
        mib = ["-" if size is None else f"{size / 2**20:,.0f}" for size in (peak, of_engine)]
        rows.append((engine, *seconds, *mib))
    return Table(
        "starts",
        "Cold start in s, memory in MiB",
        (
            *("engine", "process", "import", "build", "first result", "total"),
            *("peak memory", "of the engine"),
        ),
        tuple(rows),
        "From the start of the process to its first result.",
    )


def _errors(panel: Panel) -> Table:
    return Table(
        "errors",
        "Outputs against the float64 reference",
        ("engine", "images", "largest error / largest output", "same class", "status"),
        tuple(
            (
                row["engine"],
                f"{row['samples']:,}",
                f"{row['max_rel']:.1e}",
                "-" if row["top1_agreement"] is None else f"{row['top1_agreement']:.2%}",
                f"{row['status']} in bfloat16" if row["precision"] == "bfloat16" else row["status"],
            )
            for row in panel.tables["errors"].to_pylist()
        ),
    )


def _sessions(results: Results) -> Table:
    return Table(
        "sessions",
        "Sessions",
        ("session", "command", "started", "commit", "complete", "load before", "load after"),
        tuple(
            (
                row["session_id"],
                " ".join(("cnn-bench", *(row["argv"] or (row["command"],)))),
                row["started"],
                row["commit"] or "-",
                "yes" if row["complete"] else "no",
                _number(row["load_before"]),
                _number(row["load_after"]),
            )
            for row in results["session"]
        ),
        of_engines=False,
    )


def _machines(results: Results) -> Table:
    """Machines as columns of facts: one that is unlike in two sessions stands there twice."""
    found = {
        tuple((name, _text(row[name])) for name in _FACTS if row[name] is not None): row
        for row in results["machine"]
    }
    columns = [dict(facts) for facts in found]
    return Table(
        "machine",
        "Machine" if len(columns) == 1 else "Machines",
        ("fact", *(str(row["label"] or row["machine_id"]) for row in found.values())),
        tuple(
            (name.replace("_", " "), *(column.get(name, "-") for column in columns))
            for name in _FACTS
            if any(name in column for column in columns)
        ),
        of_engines=False,
    )


_FACTS = (
    *("brand", "architecture", "hypervisor", "cores", "threads_per_core", "usable_cores"),
    *("usable_cpus", "cpu_quota", "features", "caches", "memory_bytes", "memory_limit_bytes"),
    *("kernel", "governor", "turbo"),
)


def _configurations(results: Results) -> Table:
    rows: dict[tuple[str, str, str], None] = {}
    for row in results["subject"]:
        facts = [row["description"], row["precision"], row["layout"], row["algorithm"]]
        facts += [f"denormals {row['denormals']}"] if row["denormals"] else []
        facts += [f"{name} {version}" for name, version in _pairs(row["versions"])]
        facts += row["notes"] or ()
        label = f"{row['backend']}:{row['configuration']}"
        rows[label, str(row["threads"]), "; ".join(fact for fact in facts if fact)] = None
    return Table(
        "configurations",
        "What each engine is",
        ("engine", "threads", "what it did"),
        tuple((label, threads, facts) for label, threads, facts in rows if facts),
    )


def _versions(results: Results) -> Table:
    found = {pair: None for row in results["session"] for pair in _pairs(row["versions"])}
    return Table("versions", "Versions", ("package", "version"), tuple(found), of_engines=False)


def _pairs(tree: Any) -> list[tuple[str, str]]:
    found = tree if isinstance(tree, Mapping) else {}
    return [(str(name), str(value)) for name, value in found.items()]


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_text(entry)}" for name, entry in value.items())
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(map(_text, value))
    return f"{value:,}" if isinstance(value, int) else str(value)


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}"


def _ratio(row: Mapping[str, Any]) -> float:
    return float(row["ratio"])

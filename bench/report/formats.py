"""A report as text for other programs: Markdown, LaTeX, CSV, JSON."""

from __future__ import annotations

import csv
import io
import json
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import pyarrow as pa

from bench.report import cluster, ease, tables
from bench.report.figures import Figures
from bench.report.tables import Table
from bench.results.results import Results, series
from bench.results.schema import finite
from bench.results.statistics import estimate_median

FORMAT, FORMAT_VERSION = "cnn-bench/report", 1


def markdown(figures: Figures) -> str:
    """Tables for a page of Markdown as GitHub reads it."""
    parts = [f"> {_plain(warning)}" for warning in tables.warnings(figures.results)]
    for panel in figures.panels:
        parts += [f"## {_plain(tables.title(panel))}", _plain(tables.summary(panel))]
        parts += map(_markdown, tables.tables(panel))
    parts += map(_markdown, ease.ease(figures.results))
    parts += map(_markdown, cluster.cluster(figures.results))
    parts += map(_markdown, tables.background(figures))
    return "\n\n".join(filter(None, parts)) + "\n"


def latex(figures: Figures) -> str:
    """Tables for a paper; each caption says where its figures come from."""
    provenance = _provenance(figures.results)
    parts = ["% \\usepackage{booktabs} is needed."]
    for panel in figures.panels:
        caption = f"{tables.title(panel)}. {provenance}"
        parts += [_latex(table, f"{table.title}. {caption}") for table in tables.tables(panel)]
    for table in islice(ease.ease(figures.results), 1):  # of words, no line is long enough
        parts.append(_latex(table, f"{table.title}. {provenance}"))
    for table in cluster.cluster(figures.results):
        parts.append(_latex(table, f"{table.title}. {provenance}"))
    return "\n\n".join(parts) + "\n"


def comma_separated(figures: Figures) -> str:
    """A row for every series of observations, of whatever metric; numbers are never rounded."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows(_series(figures.results))
    return text.getvalue()


def as_json(figures: Figures) -> str:
    """The figures behind the charts, with the unit of each column, and their sessions."""
    document = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "sessions": [row["session_id"] for row in figures.results["session"]],
        "panels": [
            {
                **panel.setting._asdict(),
                "tables": {name: _json(table) for name, table in panel.tables.items()},
            }
            for panel in figures.panels
        ],
        "scaling": _json(figures.scaling),
        "partitions": _json(figures.partitions),
    }
    return json.dumps(finite(document), indent=1, allow_nan=False) + "\n"


def _markdown(table: Table) -> str:
    figures = "---:" if table.of_engines else "---"
    rules = "|".join(["---", *[figures] * (len(table.headings) - 1)])
    heading, *rows = (
        f"| {' | '.join(map(_plain, row))} |" for row in (table.headings, *table.rows)
    )
    lines = "\n".join([heading, f"|{rules}|", *rows])
    note = f"\n\n{_plain(table.note)}" if table.note else ""
    return f"### {_plain(table.title)}\n\n{lines}{note}"


def _plain(text: str) -> str:
    """Text that Markdown does not read as anything else."""
    return re.sub(r"([\\`*_|<>\[\]#~])", r"\\\1", " ".join(text.split()))


def _latex(table: Table, caption: str) -> str:
    rows = [" & ".join(map(_escaped, row)) + r" \\" for row in table.rows]
    return "\n".join(
        [
            r"\begin{table}",
            rf"\caption{{{_escaped(caption)} {_escaped(table.note)}}}",
            rf"\begin{{tabular}}{{l{'r' * (len(table.headings) - 1)}}}",
            r"\toprule",
            " & ".join(map(_escaped, table.headings)) + r" \\",
            r"\midrule",
            *rows,
            r"\bottomrule",
            r"\end{tabular}",
            r"\end{table}",
        ]
    )


_LATEX = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}


def _escaped(text: str) -> str:
    return "".join(_LATEX.get(character, character) for character in " ".join(text.split()))


def _provenance(results: Results) -> str:
    """Which sessions of which version of cnn-bench the figures are of."""
    sessions = results["session"]
    versions = dict.fromkeys(
        str(row["versions"].get("cnn-bench", "")) for row in sessions if row["versions"]
    )
    commits = dict.fromkeys(row["commit"] for row in sessions if row["commit"])
    names = ", ".join(f"{row['session_id']} of {row['started']}" for row in sessions)
    found = [f"cnn-bench {', '.join(filter(None, versions))}".strip()]
    found += [f"commit {', '.join(commits)}"] if commits else []
    return f"{', '.join(found)}; sessions {names}."


_COLUMNS = (
    *("session_id", "started", "command", "machine_id", "model", "data", "scenario", "query"),
    *("backend", "configuration", "processes", "threads", "batch_size", "samples", "status"),
    *("metric", "part", "unit", "number", "median", "low", "high", "confidence"),
)


def _series(results: Results) -> Iterator[Sequence[Any]]:
    sessions = {row["session_id"]: row for row in results["session"]}
    subjects = {(row["session_id"], row["subject"]): row for row in results["subject"]}
    workloads = {row["workload"]: row for row in results["workload"]}
    cells = {(row["session_id"], row["cell"]): row for row in results["cell"]}
    found: dict[tuple[object, ...], list[float]] = defaultdict(list)
    units = {}
    for block in results["observation"]:
        found[series(block)] += [value for value in block["value"] if value is not None]
        units[series(block)] = block["unit"]
    for key, values in found.items():
        session_id, cell_id, metric, part = key
        session, cell = sessions[str(session_id)], cells[str(session_id), str(cell_id)]
        subject = subjects[str(session_id), cell["subject"]]
        workload = workloads[cell["workload"]]
        estimate = estimate_median(values) if values else None
        yield (
            *(session[name] for name in ("session_id", "started", "command", "machine_id")),
            *(workload[name] for name in ("model_name", "data_name", "scenario", "query")),
            *(subject[name] for name in ("backend", "configuration", "processes", "threads")),
            *(workload[name] for name in ("batch_size", "samples")),
            cell["status"],
            metric,
            " ".join(map(str, part)),  # type: ignore[call-overload]
            units[key],
            len(values),
            *(
                (estimate.median, estimate.low, estimate.high, estimate.confidence)
                if estimate
                else [None] * 4
            ),
        )


def _json(table: pa.Table) -> dict[str, Any]:
    units = {
        field.name: unit
        for field in table.schema
        if (unit := field.metadata[b"unit"].decode()) not in ("text", "flag", "count")
    }
    return {"units": units, "rows": table.to_pylist()}

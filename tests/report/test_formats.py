"""Markdown, LaTeX, CSV and JSON: read by other readers, they say what the results say."""

from __future__ import annotations

import csv
import io
import json
import re
import statistics

import pytest
from markdown_it import MarkdownIt
from report.recorded import COMPARE, ENGINE, PROFILE, figures_of, recorded

from bench.report import formats, tables
from bench.report.figures import figures
from bench.results.results import Results

HOSTILE = r"""a|b & c_d $x$ <script>alert(1)</script> \input{/etc/passwd} `e` *f* ~^ {"#%"}"""


def hostile() -> Results:
    """Recorded results whose versions, notes and warnings are somebody's attempt at mischief."""
    changes = {
        "session": {"warnings": [HOSTILE], "commit": HOSTILE},
        "machine": {"label": HOSTILE},
        "subject": {"notes": [HOSTILE]},
    }
    return Results.of((name, {**row, **changes.get(name, {})}) for name, row in recorded(COMPARE))


@pytest.mark.parametrize("file", [COMPARE, PROFILE, ENGINE], ids=lambda file: file.stem)
def test_markdown_has_every_table(file: object) -> None:
    found = figures_of(file)  # type: ignore[arg-type]
    html = MarkdownIt("commonmark").enable("table").render(formats.markdown(found))
    wanted = [t for panel in found.panels for t in tables.tables(panel)]
    wanted += tables.background(found)
    assert html.count("<table>") == len(wanted)
    cells = [cell for table in wanted for row in table.rows for cell in row]
    assert html.count("<td") == len(cells)


def test_hostile_text_stays_text_in_markdown() -> None:
    html = MarkdownIt("commonmark").enable("table").render(formats.markdown(figures(hostile())))
    assert "<script" not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<em>f</em>" not in html


def test_hostile_text_stays_text_in_latex() -> None:
    text = formats.latex(figures(hostile()))
    body = "\n".join(text.splitlines()[1:])
    commands = set(re.findall(r"\\[a-z]+", body))
    assert commands <= {
        *(r"\begin", r"\end", r"\caption", r"\toprule", r"\midrule", r"\bottomrule"),
        *(
            r"\textbackslash",
            r"\textasciitilde",
            r"\textasciicircum",
            r"\textless",
            r"\textgreater",
        ),
    }
    assert r"\textbackslash{}input\{/etc/passwd\}" in body
    for line in body.splitlines():
        if line.endswith(r"\\"):
            assert not re.search(r"(?<!\\)[_$#%]", line)


def test_latex_tables_are_whole_and_say_where_they_are_from() -> None:
    found = figures_of(COMPARE)
    text = formats.latex(found)
    (session,) = found.results["session"]
    assert text.count(r"\begin{table}") == text.count(r"\end{table}") > 2
    assert text.count(session["session_id"]) == text.count(r"\begin{table}")
    for columns, block in re.findall(r"\\begin\{tabular\}\{(\w+)\}(.*?)\\end\{tab", text, re.S):
        for line in block.splitlines():
            if line.endswith(r"\\"):
                assert len(re.findall(r"(?<!\\)&", line)) == len(columns) - 1


def test_csv_has_every_series_unrounded() -> None:
    found = figures_of(COMPARE, PROFILE, ENGINE)
    read = [*csv.DictReader(io.StringIO(formats.comma_separated(found)))]
    expected: dict[tuple[str, ...], list[float]] = {}
    for block in found.results["observation"]:
        key = block["session_id"], block["cell"], block["metric"], " ".join(block["part"])
        expected.setdefault(key, []).extend(v for v in block["value"] if v is not None)
    assert len(read) == len(expected)
    for row, ((session_id, _, metric, part), values) in zip(read, expected.items(), strict=True):
        assert (row["session_id"], row["metric"], row["part"]) == (session_id, metric, part)
        assert int(row["number"]) == len(values)
        assert float(row["median"]) == pytest.approx(statistics.median(values), rel=1e-15)


def test_json_has_the_figures_with_their_units() -> None:
    found = figures_of(COMPARE)
    document = json.loads(formats.as_json(found))
    (panel,) = document["panels"]
    times = panel["tables"]["times"]
    assert times["units"]["median_s"] == "s"
    assert times["rows"] == found.panels[0].tables["times"].to_pylist()
    assert document["sessions"] == [row["session_id"] for row in found.results["session"]]

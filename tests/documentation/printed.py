"""What pages show as measured: put there from the results of one run, never by hand.

`make pages` measures, then runs this as a program: README.json STUDY.parquet.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from documentation.commands import ROOT

from bench.report import formats
from bench.report.figures import Figures, figures
from bench.results import document

README, STUDY = ROOT / "README.md", ROOT / "docs" / "study.md"

_STUDY_TABLES = ("Time of a run in ms", "What a call and an image cost")

PRINTED = re.compile(r"(?<=\n## What it prints\n)(.*?\n```\n)(.*?)(```\n)", re.S)
MEASURED = re.compile(r"(<!-- measured -->\n)(.*?)(<!-- to here -->\n)", re.S)


def shown(file: Path) -> str:
    """A comparison's tables in a terminal of 100 columns, up to its configurations."""
    done = subprocess.run(
        [sys.executable, "-m", "cnn_bench", "show", str(file)],
        env={**os.environ, "COLUMNS": "100"},
        capture_output=True,
        text=True,
        check=True,
    )
    tables, heading, _ = done.stdout.partition("\nWhat each of them is")
    assert heading, "this is no comparison"
    return "".join(f"{line.rstrip()}\n" for line in tables.splitlines())


def study(file: Path) -> str:
    """The tables of docs/study.md."""
    found = figures(document.read(file))
    sections = re.split(r"^(?=### )", formats.markdown(found), flags=re.M)
    chosen = [
        text for text in sections if text.partition("\n")[0].removeprefix("### ") in _STUDY_TABLES
    ]
    return "\n".join(["### Order at every size\n", *_order(found), "", *chosen])


def _heading(section: str) -> str:
    return section.partition("\n")[0].removeprefix("### ")


def _order(found: Figures) -> Iterator[str]:
    """Of every size the backends from the fastest on, each in its faster configuration."""
    (panel,) = found.panels
    rows = [row for row in panel.tables["times"].to_pylist() if row["ratio"] is not None]
    yield "| images | times as long as the fastest |"
    yield "|---:|---|"
    for size in sorted({row["samples"] for row in rows}):
        best: dict[str, str] = {}
        for row in sorted((r for r in rows if r["samples"] == size), key=lambda r: r["ratio"]):
            star = "\\*" if row["doubt"] else ""
            best.setdefault(row["engine"].partition(":")[0], f"{row['ratio']:.2f}{star}")
        yield f"| {size:,} | {', '.join(f'{name} {ratio}' for name, ratio in best.items())} |"


def put(page: Path, place: re.Pattern[str], text: str) -> None:
    """Replaces what stands between two marks of a page."""
    before = page.read_text(encoding="utf-8")
    after, times = place.subn(lambda found: f"{found[1]}{text}{found[3]}", before, count=1)
    assert times == 1, f"{page} has no such place"
    page.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    readme_results, study_results = map(Path, sys.argv[1:])
    put(README, PRINTED, shown(readme_results))
    put(STUDY, MEASURED, study(study_results))

"""LaTeX itself takes the tables of every kind of results, and of somebody's mischief."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from report.recorded import COMPARE, EASE, ENGINE, PROFILE, recorded
from report.test_formats import hostile

from bench.report import formats
from bench.report.figures import figures
from bench.results.results import Results

_DOCUMENT = r"""\documentclass{article}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="there is no pdflatex here")
@pytest.mark.parametrize(
    "results",
    [recorded(COMPARE, PROFILE, ENGINE, EASE), hostile()],
    ids=["every command", "hostile"],
)
def test_tables_are_typeset(results: Results, tmp_path: Path) -> None:
    text = formats.latex(figures(results))
    (tmp_path / "tables.tex").write_text(_DOCUMENT % text, encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape"]
    done = subprocess.run(
        [*command, "tables.tex"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout[-2000:]
    assert "Missing character" not in done.stdout
    assert (tmp_path / "tables.pdf").stat().st_size > 10_000

"""Ease of use in a report: recorded figures on the page, in Markdown and in LaTeX."""

from __future__ import annotations

import re

import pytest
from markdown_it import MarkdownIt
from report.recorded import COMPARE, EASE, figures_of, recorded

from bench.report import ease, formats, page

SAID_BY_OPENVINO = "RuntimeError: Exception from src/inference/src/cpp/core.cpp:105:"


def test_sums_and_medians_are_those_of_the_rows() -> None:
    results = recorded(EASE)
    figures, words = ease.ease(results)
    rows = {row[0]: dict(zip(figures.headings, row, strict=True)) for row in figures.rows}
    assert list(rows) == [row[0] for row in words.rows]
    (cell,) = {
        block["cell"] for block in results["observation"] if block["part"] == ["onnxruntime"]
    }
    sizes = [
        block["value"][0]
        for block in results["observation"]
        if (block["metric"], block["cell"]) == ("installed", cell)
    ]
    found = rows["onnxruntime:default"]
    assert (found["packages"], found["MiB"]) == (str(len(sizes)), f"{sum(sizes) / 2**20:,.0f}")
    for row in rows.values():
        assert 0 < float(row["import, s"]) < float(row["first result, s"])


@pytest.mark.parametrize("write", [page.page, formats.markdown])
def test_page_and_markdown_have_both_tables(write: object) -> None:
    pytest.importorskip("altair")
    text = write(figures_of(EASE))  # type: ignore[operator]
    if write is formats.markdown:
        text = MarkdownIt("commonmark").enable("table").render(text)
    assert "What it takes to use each engine" in text
    assert SAID_BY_OPENVINO in text
    assert len(re.findall(r">velox:winograd<", text)) >= 2


def test_latex_has_the_figures_alone() -> None:
    text = formats.latex(figures_of(EASE))
    assert "What it takes to use each engine" in text
    assert "core.cpp" not in text


def test_results_of_other_commands_have_none() -> None:
    assert "Ease of use" not in page.page(figures_of(COMPARE))
    assert "What it takes to use" not in formats.markdown(figures_of(COMPARE))

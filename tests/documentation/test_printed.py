"""What pages show as measured is what the recorded results say, and one command puts it there."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from pathlib import Path

import pytest
from documentation.commands import ROOT
from documentation.printed import MEASURED, PRINTED, README, STUDY, put, shown, study
from report.recorded import COMPARE

from bench.report import page
from bench.report.figures import figures
from bench.results import document
from bench.results.results import Results

FOLDER = ROOT / "docs" / "study"


@pytest.fixture(scope="module")
def results() -> Results:
    return document.read(FOLDER / "results.parquet")


def test_the_study_has_three_sessions_of_every_engine(results: Results) -> None:
    assert len(results["session"]) == 3
    assert all(session["complete"] for session in results["session"])
    engines = {row["backend"] for row in results["subject"]}
    assert engines == {
        *("columnar", "reference", "pytorch", "tensorflow", "onnxruntime", "openvino", "velox"),
    }


def test_tables_of_the_study_are_those_of_its_results() -> None:
    (found,) = MEASURED.findall(STUDY.read_text(encoding="utf-8"))
    assert found[1] == study(FOLDER / "results.parquet")


@pytest.mark.parametrize("name", ["time", "ratio"])
def test_charts_of_the_study_are_those_of_its_results(name: str, results: Results) -> None:
    """By their texts: where letters stand is the font's affair."""
    pytest.importorskip("vl_convert")
    drawn = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    made = page.one_chart(figures(results), name)
    texts = [re.findall(r"<text[^>]*>([^<]*)</text>", chart) for chart in (drawn, made)]
    assert texts[0] == texts[1]
    assert len(texts[0]) > 20


def test_the_order_has_every_engine_that_ran(results: Results) -> None:
    """Of each size those with undisturbed runs, the fastest first: worked out from the rows."""
    subjects = {row["subject"]: row["backend"] for row in results["subject"]}
    samples = {row["workload"]: row["samples"] for row in results["workload"]}
    cells = {row["cell"]: row for row in results["cell"]}
    fastest: dict[int, dict[str, float]] = defaultdict(dict)
    for block in results["observation"]:
        if block["metric"] == "time":
            cell = cells[block["cell"]]
            found, name = fastest[samples[cell["workload"]]], subjects[cell["subject"]]
            found[name] = min(*block["value"], found.get(name, math.inf))
    lines = re.findall(r"^\| ([\d,]+) \| (\w+ 1\.00.*) \|$", STUDY.read_text("utf-8"), re.M)
    assert [int(size.replace(",", "")) for size, _ in lines] == sorted(fastest)
    for size, entries in lines:
        ran = fastest[int(size.replace(",", ""))]
        order = dict(re.findall(r"(\w+) ([\d.]+)", entries))
        ratios = [float(ratio) for ratio in order.values()]
        assert ratios == sorted(ratios)
        assert order.keys() <= ran.keys()
        assert next(iter(order)) == min(ran, key=lambda name: ran[name])


def test_the_readme_takes_the_tables_of_a_comparison(tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    copy.write_text(README.read_text(encoding="utf-8"), encoding="utf-8")
    tables = shown(COMPARE)
    assert max(map(len, tables.splitlines())) <= 100
    put(copy, PRINTED, tables)
    after = copy.read_text(encoding="utf-8")
    assert f"```\n{tables}```\n" in after
    others = [PRINTED.sub("", text) for text in (after, README.read_text(encoding="utf-8"))]
    assert others[0] == others[1]

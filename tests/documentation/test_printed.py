"""What pages show as measured is what the recorded results say, and one command puts it there."""

from __future__ import annotations

import re
from collections import defaultdict
from pathlib import Path
from statistics import median

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
    return document.read(FOLDER / "results.json")


def test_the_study_has_three_sessions_of_every_engine(results: Results) -> None:
    assert len(results["session"]) == 3
    assert all(session["complete"] for session in results["session"])
    engines = {row["backend"] for row in results["subject"]}
    assert engines == {
        *("columnar", "reference", "pytorch", "tensorflow", "onnxruntime", "openvino", "velox"),
    }


def test_tables_of_the_study_are_those_of_its_results() -> None:
    (found,) = MEASURED.findall(STUDY.read_text(encoding="utf-8"))
    assert found[1] == study(FOLDER / "results.json")


@pytest.mark.parametrize("name", ["time", "ratio"])
def test_charts_of_the_study_are_those_of_its_results(name: str, results: Results) -> None:
    """By their texts: where letters stand is the font's affair."""
    pytest.importorskip("vl_convert")
    drawn = (FOLDER / f"{name}.svg").read_text(encoding="utf-8")
    made = page.one_chart(figures(results), name)
    texts = [re.findall(r"<text[^>]*>([^<]*)</text>", chart) for chart in (drawn, made)]
    assert texts[0] == texts[1]
    assert len(texts[0]) > 20


def test_the_order_is_that_of_the_observations(results: Results) -> None:
    """Medians of sessions' medians, worked out from the rows: the page's, within its rounding."""
    subjects = {row["subject"]: row["backend"] for row in results["subject"]}
    workloads = {row["workload"]: row for row in results["workload"]}
    cells = {row["cell"]: row for row in results["cell"]}
    times: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for block in results["observation"]:
        if block["metric"] == "time":
            times[block["cell"]][block["session_id"]] += block["value"]
    fastest: dict[tuple[int, str], float] = {}
    for name, of_session in times.items():
        cell = cells[name]
        key = workloads[cell["workload"]]["samples"], subjects[cell["subject"]]
        seconds = median(map(median, of_session.values()))
        fastest[key] = min(seconds, fastest.get(key, seconds))
    lines = re.findall(r"^\| (\d+) \| (\w+ .*; .*) \|$", STUDY.read_text("utf-8"), re.M)
    found: dict[tuple[int, str], float] = {}
    for size, entries in lines:
        order = [entry.rpartition(" ") for entry in entries.split("; ")]
        seconds = [float(text.replace(",", "")) / 1e3 for _, _, text in order]
        assert seconds == sorted(seconds)
        names = [name for name, _, _ in order]
        found |= {(int(size), name): s for name, s in zip(names, seconds, strict=True)}
    assert found == pytest.approx(fastest, rel=0.01)


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

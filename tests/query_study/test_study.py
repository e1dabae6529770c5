"""A whole study, its workers in the process of the test; how it ends, and how it is shown."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from query_study.conftest import IMAGES
from query_study.in_process import install
from query_study.plain import rows_of
from rich.console import Console

from adapters.queries import registry
from adapters.queries.columnar import ColumnarQueries
from bench.compare import report
from bench.compare.experiment import Experiment, Limits
from bench.data.dataset import open_dataset
from bench.difference import wording
from bench.difference.difference import difference
from bench.machine import cpus
from bench.query_study import study
from bench.query_study.queries import QUERIES
from bench.query_study.study import QueryStudy
from bench.report import tables as report_tables
from bench.report.figures import figures
from bench.results import checking, document
from bench.results.results import Results
from bench.results.session import Session
from bench.results.summary import queried, summarize
from bench.verdict.status import CRASHED, FAILED, NOT_RUN, PASSED, SKIPPED
from bench.workers.options import Options
from bench.workers.process import WorkerError
from bench.workers.selection import select
from columnar_nn.model import zoo

ENGINES = ("columnar", "duckdb+columnar")
LIMITS = Limits(2, 0.0, 60.0)


@pytest.fixture(autouse=True)
def in_process(classes: Mapping[str, np.ndarray], monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, classes)


def studied(
    *backends: str,
    query: str = "sites",
    samples: tuple[int, ...] = (IMAGES,),
    limits: Limits = LIMITS,
    record: Any = lambda table, row: None,
) -> Results:
    experiment = Experiment(
        select(backends or ENGINES, registry.ENGINES, registry.load),
        samples,
        Options(cpus.choose(1), 60.0, batch_size=32),
        limits,
        seed=7,
    )
    settings = {"query": query, "meaning": QUERIES[query].meaning, **experiment.settings()}
    networks = {name: zoo.resolve(name) for name in QUERIES[query].networks}
    session = Session("compare", settings, experiment.options.cpus)
    found = QueryStudy(
        *(session, experiment, QUERIES[query], networks, open_dataset("photo10")),
        progress=lambda done, total, doing: None,
        record=record,
    )
    found.run()
    return document.loads(document.to_json(found.results()))


def shown(results: Results, width: int = 80) -> str:
    text = io.StringIO()
    report.show(summarize(results), Console(file=text, width=width))
    return text.getvalue()


@pytest.fixture(scope="module")
def results(classes: Mapping[str, np.ndarray]) -> Results:
    """Of two engines on two numbers of images."""
    with pytest.MonkeyPatch.context() as patch:
        install(patch, classes)
        return studied(samples=(20, IMAGES))


def test_every_cell_has_times_parts_and_compared_rows(
    results: Results, tables: dict[str, str]
) -> None:
    cells = queried(results)
    assert [(cell.label, cell.samples) for cell in cells] == [
        (label, samples)
        for label in ("columnar:sql", "duckdb+columnar:function")
        for samples in (20, IMAGES)
    ]
    for cell in cells:
        assert cell.status == PASSED
        assert cell.query == "sites"
        assert len(cell.times) >= 2
        assert cell.phases.keys() == {"scan", "relational", "conversion", "network", "rest"}
        assert cell.images_per_second == pytest.approx(cell.samples / np.median(cell.times))
    assert [cell.parity_rows for cell in cells if cell.samples == IMAGES] == [10, 10]
    (session,) = results["session"]
    assert [tuple(row) for row in session["truth"]["result"]] == rows_of("sites", tables)
    workloads = [row for row in results["workload"] if row["scenario"] == "query"]
    assert {row["samples"] for row in workloads} == {20, IMAGES}
    for row in workloads:
        assert row["query"] == "sites"
        assert row["sql"] == QUERIES["sites"].whole()
        assert row["model_name"] == "plain9"
    assert summarize(results).exit_code() == 0
    assert not list(checking.problems(results))


def test_the_document_sums_up(results: Results) -> None:
    summary = json.loads(document.to_json(results))["summary"]
    assert [row["query"] for row in summary] == ["sites"] * 4
    assert min(row["times_the_fastest"] or 1.0 for row in summary) == 1.0


def test_the_report_fits_80_columns(results: Results, tables: dict[str, str]) -> None:
    text = shown(results)
    assert max(map(len, text.splitlines())) <= 80
    for line in QUERIES["sites"].whole().splitlines():
        assert f"    {line}" in text
    site, images, errors = rows_of("sites", tables)[0]
    assert re.search(rf"^{site} +{images} +{errors}$", text, re.M)
    assert "10 rows, the same from 2 engines in every run" in text
    assert re.search(r"^engine +scan +relational +conversion +network +rest +÷fastest$", text, re.M)


def test_pages_and_tables_show_the_parts(results: Results) -> None:
    found = figures(results)
    (panel,) = found.panels
    titles = [table.title for table in report_tables.tables(panel)]
    assert titles[:2] == [f"Query sites on {count} images, in ms" for count in (20, IMAGES)]
    rows = panel.tables["queries"].to_pylist()
    for engine in panel.engines:
        own = [row for row in rows if row["engine"] == engine and row["samples"] == IMAGES]
        assert [row["part"] for row in own] == [
            *("scan", "relational", "conversion", "network", "rest")
        ]
        assert sum(row["seconds"] for row in own) == pytest.approx(own[0]["run_s"], rel=0.5)
    assert "Of query sites" in report_tables.summary(panel) or any(row["doubt"] for row in rows)
    pytest.importorskip("altair", reason='the extra "report" is not installed')
    from bench.report import charts

    (chart,) = (chart for chart in charts.charts(panel) if chart.name == "query")
    bars = next(iter(chart.spec["datasets"].values()))
    assert {(bar["engine"], bar["what"]) for bar in bars} >= {
        (engine, "network") for engine in panel.engines
    }
    assert "sites" in chart.title


def test_sessions_of_queries_are_compared(results: Results) -> None:
    others = studied("columnar", samples=(20, IMAGES))
    names = wording.names(difference(results, others, [], 0.05, frozenset()))
    assert ("columnar:sql", f"{IMAGES} images") in names
    assert len(names) == 4


def test_what_was_measured_is_recorded_as_it_is_known(tmp_path: Path) -> None:
    written: list[tuple[str, Any]] = []
    found = studied("columnar", record=lambda table, row: written.append((table, row)))
    for table in ("subject", "workload", "cell", "observation"):
        keys = {json.dumps(row, sort_keys=True) for name, row in written if name == table}
        if table in ("workload", "observation"):
            assert {json.dumps(row, sort_keys=True) for row in found[table]} <= keys
        assert keys


class Wrong(ColumnarQueries):
    """Loses the last row."""

    def run(self, stopwatch: Any) -> Any:
        return super().run(stopwatch).slice(0, 9)


class Falling(ColumnarQueries):
    """Comes to its end in its third run."""

    runs = 0

    def run(self, stopwatch: Any) -> Any:
        Falling.runs += 1
        return super().run(stopwatch).slice(0, 1 // (Falling.runs < 3) * 99)


class Absent(ColumnarQueries):
    """Is not installed."""

    packages = {"no_such_package": "duckdb"}  # noqa: RUF012 - as the others have it


@pytest.mark.parametrize(
    ("engine", "status", "reason", "code"),
    [
        (Wrong, FAILED, "9 rows instead of 10", 1),
        (Falling, CRASHED, "division", 1),
        (Absent, SKIPPED, r"no_such_package is not installed.*cnn-bench\[duckdb\]", 0),
    ],
)
def test_how_an_engine_ends(
    engine: Any, status: str, reason: str, code: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    Falling.runs = 0
    monkeypatch.setitem(registry.ENGINES, "columnar", f"{__name__}:{engine.__name__}")
    results = studied("columnar", "duckdb+columnar")
    ours, other = queried(results)
    assert (ours.status, other.status) == (status, PASSED)
    assert re.search(reason, ours.reason)
    assert summarize(results).exit_code() == code
    text = " ".join(shown(results).split())
    assert f"columnar:sql: {status}" in text
    assert "the same from 1 engine in every run" in text


def test_a_run_beyond_the_budget_is_not_run() -> None:
    results = studied("columnar", limits=Limits(2, 0.0, 1e-9))
    (cell,) = queried(results)
    assert cell.status == NOT_RUN
    assert cell.predicted_s
    assert summarize(results).exit_code() == 0


def test_without_the_reference_nothing_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    def crash(*_: Any) -> None:
        raise WorkerError(CRASHED, "out of luck", fatal=True)

    monkeypatch.setattr(study, "classes", crash)
    results = studied("columnar")
    assert [cell.status for cell in queried(results)] == [NOT_RUN]
    assert summarize(results).exit_code() == 1
    text = " ".join(shown(results).split())
    assert "No rows could be compared: reference:float64: CRASHED out of luck" in text


def test_rows_in_another_order_or_of_other_columns_differ() -> None:
    right = study.Answer(["a", "n"], [("x", 1), ("y", 2)])
    assert not right.difference(["a", "n"], [["x", 1], ["y", 2]])
    assert right.difference(["a", "n"], [["y", 2], ["x", 1]]) == "row 1 is (y, 2) instead of (x, 1)"
    assert right.difference(["a", "m"], [["x", 1], ["y", 2]]) == "its columns are a, m, not a, n"
    assert right.difference(["a", "n"], []) == "0 rows instead of 2"

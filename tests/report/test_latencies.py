"""Latencies in the report: percentiles and knees of simulated servers against NumPy and theory."""

from __future__ import annotations

import numpy as np
import pytest
from report.simulated import SERVICE_S, latencies, session

from bench.report import formats, tables
from bench.report.figures import Panel, figures
from bench.results import merging
from bench.results.results import Results
from bench.results.traffic import PERCENTILES, Limit, Traffic

RATES = (50.0, 100.0, 150.0, 190.0, 250.0, 375.0, 437.0, 469.0)
ASKED = Traffic("server", PERCENTILES, (), Limit(99.0, 0.02))


def panel_of(results: Results) -> Panel:
    (panel,) = figures(results).panels
    return panel


@pytest.fixture(scope="module")
def panel() -> Panel:
    return panel_of(session(ASKED, RATES))


def test_percentiles_are_of_every_query(panel: Panel) -> None:
    rows = panel.tables["latencies"].to_pylist()
    assert {row["rate"] for row in rows if row["engine"] == "columnar:default"} == {None, *RATES}
    for row in rows:
        service = SERVICE_S[row["engine"].partition(":")[0]]
        expected = [service] * 3000
        if row["rate"] is not None:
            expected = latencies(service, row["rate"], 3000, 1)
        value = np.quantile(expected, row["percent"] / 100, method="inverted_cdf")
        assert row["latency_s"] == pytest.approx(value)
        assert row["latency_s"] <= row["at_most_s"] <= max(expected)
    assert max(row["percent"] for row in rows) == 99.5  # 99.8 takes 3,318 queries


def test_the_knee_is_the_last_rate_within_the_limit(panel: Panel) -> None:
    """M/D/1: waits longer than t are about as rare as exp(-2 (1 - u) t / (u D)), so that p99 is
    20 ms at a utilisation u of about 0.8 where a query takes D = 2 ms: 375 a second are 0.75."""
    knees = {row["engine"]: row["rate"] for row in panel.tables["knees"].to_pylist()}
    assert knees == {"columnar:default": 375.0, "onnxruntime:default": 50.0}
    assert tables.summary(panel) == (
        "With p99 of latency at most 20.0 ms columnar:default serves the most: 375 queries/s."
    )


def test_several_sessions_are_the_median_of_theirs() -> None:
    parts = [
        session(ASKED, RATES[:3], name=name * 16, seed=seed, factor=factor)
        for name, seed, factor in (("a", 1, 1.0), ("b", 2, 1.1), ("c", 3, 1.5))
    ]
    panel = panel_of(merging.merged(parts))
    row = next(
        row
        for row in panel.tables["latencies"].to_pylist()
        if (row["engine"], row["rate"], row["percent"]) == ("columnar:default", 100.0, 99.0)
    )
    each = [
        float(np.quantile(latencies(0.002 * f, 100.0, 3000, s), 0.99, method="inverted_cdf"))
        for s, f in ((1, 1.0), (2, 1.1), (3, 1.5))
    ]
    assert row["latency_s"] == pytest.approx(np.median(each))
    assert row["at_most_s"] == pytest.approx(max(each))
    assert (row["sessions"], row["queries"]) == (3, 9000)


def test_tables_have_what_the_queries_carry(panel: Panel) -> None:
    table = next(table for table in tables.tables(panel) if table.name == "latencies")
    assert table.headings[-4:] == ("p50", "p90", "p99", "p99.9")
    alone = next(row for row in table.rows if row[:2] == ("columnar:default", "single-stream"))
    assert alone[2:] == ("1", "-", "3,000", *["2.00 [2.00]"] * 3, "-")
    text = formats.markdown(figures(session(ASKED, RATES)))
    assert "The largest rate within the limit of latency" in text
    assert "| columnar:default | 375 | p99 at most 20.0 ms | 1 |" in text


def test_charts() -> None:
    pytest.importorskip("altair", reason='the extra "report" is not installed')
    from bench.report import charts, drawing

    drawn = {chart.title: chart for chart in charts.charts(panel_of(session(ASKED, RATES)))}
    assert set(drawn) == {
        "Latency against rate",
        "Percentiles of latency: 190 a second",
        "Percentiles of latency: one by one",
    }
    rate = drawn["Latency against rate"]
    ringed = [
        {(row["engine"], row["rate"]) for row in rows}
        for rows in rate.spec["datasets"].values()
        if len(rows) == 2 and "engine" in rows[0]
    ]
    assert ringed == [{("columnar:default", 375.0), ("onnxruntime:default", 50.0)}]
    for title, chart in drawn.items():
        assert drawing.svg(chart.spec, title).startswith("<svg ")
    percents = drawing.svg(drawn["Percentiles of latency: one by one"].spec, "x")
    assert [label for label in ("p50", "p90", "p99") if f">{label}<" in percents] == [
        *("p50", "p90", "p99")
    ]


def test_a_single_rate_is_no_curve_and_streams_need_no_rates() -> None:
    pytest.importorskip("altair", reason='the extra "report" is not installed')
    from bench.report import charts

    one = panel_of(session(Traffic("server", PERCENTILES, (100.0,)), [100.0]))
    assert [chart.title for chart in charts.charts(one)] == [
        "Percentiles of latency: 100 a second",
        "Percentiles of latency: one by one",
    ]
    few = panel_of(session(Traffic("single-stream", PERCENTILES), [], queries=70))
    assert [chart.title for chart in charts.charts(few)] == ["Percentiles of latency: one by one"]
    assert not len(few.tables["knees"])


def test_settings_that_cannot_be_read_have_no_knee() -> None:
    results = session(ASKED, RATES[:2])
    spoiled = Results.of(
        (name, {**row, "settings": {"traffic": 5}} if name == "session" else row)
        for name, row in results
    )
    panel = panel_of(spoiled)
    assert len(panel.tables["latencies"])
    assert not len(panel.tables["knees"])

"""Figures of recorded results against what plain arithmetic makes of the files themselves."""

from __future__ import annotations

import dataclasses
import json
import statistics
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest
from report.recorded import COMPARE, ENGINE, PROFILE, figures_of, recorded

from bench.report import charts, tables
from bench.report.figures import figures
from bench.results.results import Results
from bench.results.schema import CELL, SUBJECT

DOCUMENT = json.loads(COMPARE.read_text())


def rows(name: str, *files: Any) -> list[dict[str, Any]]:
    (panel,) = figures_of(*files).panels
    return panel.tables[name].to_pylist()  # type: ignore[no-any-return]


def times_of(document: dict[str, Any]) -> dict[tuple[str, int], list[float]]:
    """Seconds of every timed run, by engine and images."""
    subjects = {s["subject"]: f"{s['backend']}:{s['configuration']}" for s in document["subject"]}
    workloads = {w["workload"]: w for w in document["workload"]}
    cells = {c["cell"]: c for c in document["cell"]}
    found = defaultdict(list)
    for block in document["observation"]:
        if block["metric"] == "time":
            cell = cells[block["cell"]]
            samples = workloads[cell["workload"]]["samples"]
            found[subjects[cell["subject"]], samples] += block["value"]
    return found


def renamed(results: Results, session_id: str, factor: float) -> Results:
    """The same as if another session had measured it, and taken so many times as long."""

    def change(name: str, row: Any) -> Any:
        row = {**row, "session_id": session_id} if "session_id" in row else row
        if name == "observation" and row["metric"] == "time":
            row = {**row, "value": [value * factor for value in row["value"]]}
        return row

    return Results.of((name, change(name, row)) for name, row in results)


def test_times_are_medians_of_every_run() -> None:
    found = {(row["engine"], row["samples"]): row for row in rows("times", COMPARE)}
    expected = times_of(DOCUMENT)
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        assert found[key]["median_s"] == pytest.approx(statistics.median(values))
        assert found[key]["runs"] == len(values)
        assert min(values) <= found[key]["low_s"] <= found[key]["median_s"]
        assert found[key]["median_s"] <= found[key]["high_s"] <= max(values)


def test_residuals_are_what_the_line_leaves() -> None:
    lines = {row["engine"]: row for row in rows("lines", COMPARE)}
    assert lines
    for row in rows("times", COMPARE):
        if line := lines.get(row["engine"]):
            fitted = line["call_s"] + line["image_s"] * row["samples"]
            assert row["residual"] == pytest.approx(row["median_s"] / fitted - 1)
            assert abs(row["residual"]) <= abs(line["worst_residual"]) + 1e-12


def test_a_ratio_is_over_the_fastest_of_its_session() -> None:
    found = rows("times", COMPARE)
    for samples in {row["samples"] for row in found}:
        ratios = [row["ratio"] for row in found if row["samples"] == samples and row["ratio"]]
        assert not ratios or min(ratios) == 1


def test_several_sessions_are_the_median_of_their_medians() -> None:
    one = recorded(COMPARE)
    parts = [one, renamed(one, "b" * 16, 3.0), renamed(one, "c" * 16, 2.0)]
    whole = Results.of(row for part in parts for row in part)
    (panel,) = figures(whole).panels
    own = {(row["engine"], row["samples"]): row for row in rows("times", COMPARE)}
    for row in panel.tables["times"].to_pylist():
        single = own[row["engine"], row["samples"]]["median_s"]
        assert row["sessions"] == 3
        assert row["median_s"] == pytest.approx(2 * single)
        assert (row["low_s"], row["high_s"]) == pytest.approx((single, 3 * single))


def test_starts_add_up_to_the_total() -> None:
    totals = {
        block["cell"]: block["value"][0]
        for block in DOCUMENT["observation"]
        if block["metric"] == "cold_start" and block["part"] == ["total"]
    }
    sums: dict[str, float] = defaultdict(float)
    for row in rows("starts", COMPARE):
        sums[row["engine"]] += row["seconds"]
    assert sorted(sums.values()) == pytest.approx(sorted(totals.values()), rel=1e-3)
    memory = rows("memory", COMPARE)
    peaks = [b["value"][0] for b in DOCUMENT["observation"] if b["part"] == ["peak"]]
    assert sum(row["bytes"] for row in memory) == sum(peaks)


def test_layers_are_rows_that_every_engine_respects() -> None:
    found = rows("layers", PROFILE)
    engines = {row["engine"] for row in found}
    assert len(engines) == 2
    document = json.loads(PROFILE.read_text())
    cells = {c["cell"]: c["subject"] for c in document["cell"]}
    subjects = {s["subject"]: f"{s['backend']}:{s['configuration']}" for s in document["subject"]}
    runs: dict[tuple[str, str], list[float]] = defaultdict(list)
    for block in document["observation"]:
        if block["metric"] == "operator" and block["part"][1:2] == ["conv3"]:
            runs[subjects[cells[block["cell"]]], block["part"][0]] += block["value"]
    for engine in engines:
        (row,) = (r for r in found if r["engine"] == engine and r["layer"].startswith("conv3"))
        expected = sum(statistics.median(v) for (name, _), v in runs.items() if name == engine)
        assert row["seconds"] == pytest.approx(expected)


def test_the_roofline_is_of_the_same_machine_and_threads() -> None:
    roofs = {row["roof"]: row["rate"] for row in rows("roofs", ENGINE)}
    assert roofs.keys() == {"peak", "L1", "L2", "L3", "memory"}
    document = json.loads(ENGINE.read_text())
    threads = {s["subject"]: s["threads"] for s in document["subject"]}
    cells = {c["cell"]: threads[c["subject"]] for c in document["cell"]}
    memory = [
        block["value"][0]
        for block in document["observation"]
        if block["part"][1:] == ["memory"] and cells[block["cell"]] == 1
    ]
    assert roofs["memory"] == max(memory)
    points = rows("intensities", ENGINE)
    assert points
    assert all(row["intensity"] > 0 for row in points)
    assert not [p for p in figures_of(COMPARE).panels if len(p.tables["intensities"])]


def cut(results: Results, partitions: str, factor: float, share: float) -> Results:
    """The same as if two processes had been dealt so many partitions, one slower than the other."""
    parts = [*results]
    for block in results["observation"]:
        if block["metric"] == "time":
            for process, of in (("0", 1.0), ("1", share)):
                values = [value * of for value in block["value"]]
                shared = {"metric": "share", "part": [process], "value": values}
                parts.append(("observation", {**block, **shared, "disturbance": None}))
    slower = renamed(Results.of(parts), partitions[-1] * 16, factor)
    options = {"algorithm": "auto", "partitions": partitions}
    return Results.of(asked_otherwise(slower, lambda row: {"processes": 2, "options": options}))


def test_partitions_make_a_table_of_time_and_balance() -> None:
    one = recorded(COMPARE)
    assert not len(figures(one).partitions)
    parts = [cut(one, "4", 1.0, 1.0), cut(one, "4:zipf", 2.0, 0.5)]
    found = figures(Results.of(row for part in parts for row in part))
    rows = found.partitions.to_pylist()
    engines = {row["engine"] for row in rows}
    assert len(rows) == 2 * len(engines)
    for engine in engines:
        equal, skewed = (row for row in rows if row["engine"] == engine)
        assert (equal["partitions"], skewed["partitions"]) == ("4", "4:zipf")
        assert skewed["median_s"] == pytest.approx(2 * equal["median_s"])
        assert (equal["balance"], skewed["balance"]) == pytest.approx((1, 0.75))
    titles = [chart.title for chart in charts.across(found)]
    assert titles == ["Time against partitions", "Balance of the processes"]


def test_threads_make_panels_and_a_table_of_scaling() -> None:
    one = recorded(COMPARE)
    assert not len(figures(one).scaling)
    both = Results.of([*one, *on_twice_the_threads(renamed(one, "b" * 16, 1.5))])
    found = figures(both)
    assert [panel.setting.threads for panel in found.panels] == [2, 4]
    rates: dict[tuple[str, int], dict[int, float]] = defaultdict(dict)
    for row in found.scaling.to_pylist():
        rates[row["engine"], row["samples"]][row["threads"]] = row["images_per_second"]
    assert {engine for engine, _ in rates} == {engine for engine, _ in times_of(DOCUMENT)}
    for rate in rates.values():
        assert rate[2] == pytest.approx(1.5 * rate[4])


def on_twice_the_threads(results: Results) -> list[tuple[str, Any]]:
    return asked_otherwise(results, lambda row: {"threads": 2 * row["threads"]})


def asked_otherwise(
    results: Results, change: Callable[[Any], dict[str, Any]]
) -> list[tuple[str, Any]]:
    """The same as if subjects had been asked for with these fields."""
    subjects, cells = {}, {}
    for row in results["subject"]:
        other = {**row, **change(row)}
        subjects[row["subject"]] = {**other, "subject": SUBJECT.hash_of(other)}
    for row in results["cell"]:
        other = {**row, "subject": subjects[row["subject"]]["subject"]}
        cells[row["cell"]] = {**other, "cell": CELL.hash_of(other)}
    observed = [{**row, "cell": cells[row["cell"]]["cell"]} for row in results["observation"]]
    changed = {"subject": subjects.values(), "cell": cells.values(), "observation": observed}
    return [(name, row) for name, rows_ in {**results.rows, **changed}.items() for row in rows_]


def test_an_error_is_the_worst_of_all_runs_and_of_the_check() -> None:
    """However few images the timed runs were of: of one, an engine may be right by chance."""
    (first, *_) = rows("errors", COMPARE)
    subjects = {s["subject"]: f"{s['backend']}:{s['configuration']}" for s in DOCUMENT["subject"]}
    workloads = {w["workload"]: w["scenario"] for w in DOCUMENT["workload"]}

    def changed(name: str, row: Any) -> Any:
        is_check = name == "cell" and workloads[row["workload"]] == "check"
        if is_check and subjects[row["subject"]] == first["engine"]:
            return {**row, "max_rel": 0.25, "parity_rows": 77, "top1_agreement": 0.5}
        if name == "subject" and subjects[row["subject"]] == first["engine"]:
            return {**row, "precision": "bfloat16"}
        return row

    results = Results.of((name, changed(name, row)) for name, row in recorded(COMPARE))
    (panel,) = figures(results).panels
    found = panel.tables["errors"].to_pylist()[0]
    assert (found["max_rel"], found["samples"], found["top1_agreement"]) == (0.25, 77, 0.5)
    assert found["image_s"] == first["image_s"]
    (made,) = [made for made in tables.tables(panel) if made.name == "errors"]
    assert made.rows[0][1:] == ("77", "2.5e-01", "50.00%", f"{first['status']} in bfloat16")


def test_nothing_measured_is_nothing_shown() -> None:
    results = recorded(COMPARE)
    empty = dataclasses.replace(results, rows={**results.rows, "cell": (), "observation": ()})
    assert figures(empty).panels == ()


def test_a_legend_has_only_engines_that_are_drawn() -> None:
    """Of one engine no error is known: it is on other charts, in the colours of all."""
    results = recorded(COMPARE)
    hidden = next(row["subject"] for row in results["subject"] if row["backend"] == "onnxruntime")
    rows_ = [
        (name, {**row, "max_rel": None} if row.get("subject") == hidden and name == "cell" else row)
        for name, row in results
    ]
    (panel,) = figures(Results.of(rows_)).panels
    made = {chart.name: chart.spec for chart in charts.charts(panel)}

    def legend(spec: Any) -> dict[str, str]:
        scale = spec["layer"][0]["encoding"]["color"]["scale"]
        return dict(zip(scale["domain"], scale["range"], strict=True))

    errors, times = legend(made["error"]), legend(made["time"])
    assert times.keys() - errors.keys() >= {"onnxruntime:default"}
    assert errors.items() < times.items()

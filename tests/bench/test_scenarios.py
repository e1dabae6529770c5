"""Comparisons of queries: fake backends of known times in workers of their own; what is shown."""

from __future__ import annotations

import json
import re
from io import StringIO
from typing import Any

import fake_backends
import numpy as np
import pytest
from random_images import RandomImages, write_random_images
from rich.console import Console
from sessions import session_of

from bench.compare import report
from bench.compare.comparison import Comparison
from bench.compare.experiment import Experiment, Limits
from bench.machine import cpus
from bench.results import document
from bench.results.result import Result
from bench.results.results import Results
from bench.results.schema import MULTI_STREAM, SERVER, SINGLE_STREAM
from bench.results.summary import summarize
from bench.results.traffic import Limit, Traffic
from bench.verdict.status import CRASHED, FAILED, PASSED
from bench.workers.open_loop import arrivals
from bench.workers.options import Options
from bench.workers.selection import select

SLOW_S = 0.02
"""What FakeBackend:slow sleeps for an image, and never less."""


def measured(
    traffic: Traffic,
    *configurations: str,
    samples: tuple[int, ...] = (1,),
    runs: int = 12,
    budget: float = 60.0,
) -> Results:
    experiment = Experiment(
        selections=select([f"fake_backends.FakeBackend:{name}" for name in configurations]),
        samples=samples,
        options=Options(cpus.choose(1), 60.0, batch_size=3),
        limits=Limits(runs, 0.0, budget),
        seed=7,
        traffic=traffic,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.workers.inputs.write_ipc", write_random_images)
        comparison = Comparison(
            session_of(experiment),
            experiment,
            fake_backends.tiny_graph(),
            RandomImages(),  # type: ignore[arg-type]
            lambda *step: None,
        )
        comparison.run()
    return document.loads(document.to_json(comparison.results()))


def shown(result: Result) -> str:
    console = Console(file=StringIO(), width=120)
    report.show(result, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    return str(text)


def latencies(results: Results, **of: Any) -> list[float]:
    """Of the cells of such a workload."""
    workloads = {
        row["workload"]: row
        for row in results["workload"]
        if all(row[name] == value for name, value in of.items())
    }
    cells = {row["cell"] for row in results["cell"] if row["workload"] in workloads}
    return [
        value
        for row in results["observation"]
        if row["metric"] == "latency" and row["cell"] in cells
        for value in row["value"]
    ]


def test_one_after_another() -> None:
    results = measured(Traffic(SINGLE_STREAM, (50.0, 90.0)), "slow", "fine", runs=70)
    assert {row["scenario"] for row in results["workload"]} == {"start", "check", SINGLE_STREAM}
    blocks = [row for row in results["observation"] if row["metric"] == "latency"]
    assert {row["round"] for row in blocks} == set(range(5))
    assert len(latencies(results, scenario=SINGLE_STREAM, samples=1, rate=None)) == 140
    result = summarize(results)
    slow, fine = (
        next(one for one in result.served if one.cell.configuration == name)
        for name in ("slow", "fine")
    )
    assert [one.cell.status for one in (slow, fine)] == [PASSED, PASSED]
    assert min(slow.cell.times) >= SLOW_S
    assert min(fine.cell.times) < SLOW_S
    assert slow.rate is slow.wait_s is None
    assert set(slow.cell.phases) == {"input", "compute", "output"}
    text = shown(result)
    assert re.search(r"FakeBackend:slow +70\*? +2\d\.\d ≤2\d", text)
    assert "Time in ms, median" not in text
    summary = [row for row in summary_of(results) if row["subject"].endswith(":slow")]
    assert [known["percent"] for known in summary[0]["percentiles"]] == [50.0, 90.0]
    assert summary[0]["queries"] == 70


def summary_of(results: Results) -> list[dict[str, Any]]:
    return json.loads(document.to_json(results))["summary"]  # type: ignore[no-any-return]


def test_a_query_of_several_images_is_one_latency() -> None:
    results = measured(Traffic(MULTI_STREAM, (50.0,)), "slow", samples=(4, 7))
    assert min(latencies(results, samples=4)) >= 4 * SLOW_S
    assert min(latencies(results, samples=7)) >= 7 * SLOW_S
    text = shown(summarize(results))
    assert re.search(r":slow +4 +12", text)
    assert re.search(r":slow +7 +12", text)


def test_a_server_that_cannot_keep_up_is_charged_for_its_queue() -> None:
    """Sleeps never end early: of query k at least k services less when it was due, and no less."""
    rate, count = 200.0, 40  # four times what it can
    results = measured(Traffic(SERVER, (50.0,), (rate,)), "slow", runs=count)
    found = latencies(results, scenario=SERVER, rate=rate)
    due = np.array(arrivals(rate, count, seed=7))
    finished = np.empty(count)
    free = 0.0
    for number, moment in enumerate(due):
        free = finished[number] = max(free, moment) + SLOW_S
    assert len(found) == count
    assert (np.array(found) >= finished - due - 1e-6).all()
    (one,) = summarize(results).served
    assert one.rate == rate
    assert one.wait_s is not None
    assert one.wait_s >= float(np.mean(finished - due - SLOW_S)) - 1e-6
    (block,) = [row for row in results["observation"] if row["metric"] == "latency"]
    assert (block["round"], block["order"], block["start_s"]) == (0, 0, pytest.approx(0, abs=1))


def test_the_budget_says_how_many_queries_are_affordable() -> None:
    results = measured(Traffic(SERVER, (50.0,), (10.0,)), "fine", runs=1000, budget=1.0)
    assert len(latencies(results, scenario=SERVER)) == 10
    assert "- p50 takes 11 queries: --runs 11" in shown(summarize(results))


def test_rates_are_searched_and_the_knee_is_told() -> None:
    """What takes 20 ms alone can serve fewer than 50 a second, however lenient the limit."""
    traffic = Traffic(SERVER, (50.0,), (), Limit(50.0, 30.0))
    results = measured(traffic, "slow", runs=12)
    rates = sorted(row["rate"] for row in results["workload"] if row["rate"] is not None)
    assert len(rates) == 6
    assert rates[-1] < 1 / SLOW_S
    assert latencies(results, scenario=SINGLE_STREAM)
    text = shown(summarize(results))
    assert "The largest rate at which p50 is 30,000 ms at most" in text
    assert re.search(rf":slow +{rates[-1]:,.4g} +9\d%", text)


def test_a_limit_that_one_query_alone_breaks() -> None:
    traffic = Traffic(SERVER, (50.0,), (), Limit(50.0, SLOW_S / 2))
    results = measured(traffic, "slow", "raise", runs=12)
    assert not [row for row in results["workload"] if row["rate"] is not None]
    text = shown(summarize(results))
    assert "FakeBackend:slow: none: queries one by one take longer" in text
    assert "CRASHED" in text


def test_too_few_queries_for_the_limit_say_so() -> None:
    traffic = Traffic(SERVER, (50.0,), (), Limit(99.0, 1.0))
    results = measured(traffic, "slow", runs=1000, budget=1.0)
    assert "not known: of 662 queries that p99 takes, the budget allowed" in shown(
        summarize(results)
    )


def test_a_wrong_output_and_a_crash_are_told_of_queries_too() -> None:
    results = measured(Traffic(SERVER, (50.0,), (500.0,)), "wrong", "abort", "fine")
    result = summarize(results)
    statuses = {one.cell.configuration: one.cell.status for one in result.served}
    assert statuses == {"wrong": FAILED, "abort": CRASHED, "fine": PASSED}
    assert result.exit_code() == 1
    text = shown(result)
    assert re.search(r":wrong +500 +12\*?!", text)
    assert "! its output did not pass" in text
    assert re.search(r":abort +500 +crashed", text)

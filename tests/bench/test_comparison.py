"""A whole comparison of well-behaved and misbehaving backends, in the same process as the test."""

from __future__ import annotations

import dataclasses
from typing import Any

import fake_backends
import numpy as np
import psutil
import pytest
from random_images import NUM_IMAGES, RandomImages, write_random_images
from sessions import result_of, session_of

from bench.compare import evaluation as measure
from bench.compare.comparison import Comparison
from bench.compare.experiment import Experiment, Limits
from bench.machine import cpus
from bench.results.result import MIN_RUNS, Benchmark, Result
from bench.verdict.status import (
    CRASHED,
    FAILED,
    MISTRUSTED,
    NOT_RUN,
    PASSED,
    SKIPPED,
    TIMEOUT,
    UNIMPLEMENTED,
)
from bench.workers.options import Options
from bench.workers.selection import select
from columnar_nn.model.graph import Graph


@pytest.fixture(autouse=True)
def _random_images(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.workers.inputs.write_ipc", write_random_images)


def compare(
    *backends: str, progress: Any = None, graph: Graph | None = None, **changes: Any
) -> Result:
    limits = Limits(
        runs=changes.pop("runs", 2),
        min_time=0.0,
        budget=changes.pop("budget", 60.0),
    )
    experiment = Experiment(
        selections=select([f"fake_backends.{name}" for name in backends]),
        samples=(1, NUM_IMAGES),
        options=Options(cpus.choose(1), changes.pop("timeout", 60.0), batch_size=3),
        limits=limits,
        seed=7,
    )
    experiment = dataclasses.replace(experiment, **changes)
    steps: list[tuple[int, int, str]] = []
    comparison = Comparison(
        session_of(experiment),
        experiment,
        graph or fake_backends.tiny_graph(),
        RandomImages(),  # type: ignore[arg-type]
        progress or (lambda *step: steps.append(step)),
    )
    try:
        comparison.run()
    except KeyboardInterrupt:
        return result_of(comparison)
    assert progress or steps[-1][0] < steps[-1][1] == len(steps) - 1
    return result_of(comparison)


def by_label(result: Result) -> dict[str, list[Benchmark]]:
    found: dict[str, list[Benchmark]] = {}
    for benchmark in result.benchmarks:
        found.setdefault(benchmark.configuration, []).append(benchmark)
    return found


@pytest.fixture(scope="module")
def zoo() -> Result:
    """Every behaviour at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.workers.inputs.write_ipc", write_random_images)
        names = (
            *("fine", "wrong", "nan", "constant", "raise", "abort", "garbage", "unimplemented"),
            "abort_on_many",
        )
        return compare("MissingBackend", *(f"FakeBackend:{name}" for name in names))


@pytest.mark.parametrize(
    ("configuration", "statuses"),
    [
        ("fine", [PASSED, PASSED]),
        ("garbage", [PASSED, PASSED]),
        ("wrong", [FAILED, FAILED]),
        ("nan", [FAILED, FAILED]),
        ("constant", [FAILED, FAILED]),
        ("raise", [CRASHED, CRASHED]),
        ("abort", [CRASHED, CRASHED]),
        ("abort_on_many", [PASSED, CRASHED]),
        ("unimplemented", [UNIMPLEMENTED, UNIMPLEMENTED]),
        ("default", [SKIPPED, SKIPPED]),
    ],
)
def test_each_backend_ends_as_it_should_and_none_ends_the_others(
    zoo: Result, configuration: str, statuses: list[str]
) -> None:
    cells_of = by_label(zoo)[configuration]
    assert [cell.status for cell in cells_of] == statuses
    assert all(cell.reason for cell in cells_of if cell.status != PASSED)
    assert all(len(cell.times) == 2 for cell in cells_of if cell.status in (PASSED, FAILED))
    record = next(r for r in zoo.backends if r.configuration == configuration)
    assert record.status == statuses[-1]
    assert zoo.complete
    assert zoo.exit_code() == 1


def test_one_image_asked_for_is_not_all_that_is_judged() -> None:
    result = compare("FakeBackend:wrong_but_for_the_first", "FakeBackend:fine", samples=(1,))
    (wrong,), (fine,) = by_label(result).values()
    assert wrong.status == FAILED
    assert wrong.max_rel is not None
    assert wrong.max_rel < 1e-6
    assert wrong.reason.startswith("on the first 32 image(s), run for a check: ")
    assert fine.status == PASSED
    records = {record.configuration: record for record in result.backends}
    assert records["wrong_but_for_the_first"].checked["status"] == FAILED
    assert records["fine"].checked["parity_rows"] == measure.CHECKED_IMAGES
    assert result.context["parity"]["telling"] == {
        "logits": {"rows": 32, "columns": 10, "of_columns": 10}
    }


def test_a_model_that_says_nothing_is_no_failure_of_a_backend() -> None:
    dead = fake_backends.tiny_graph()
    dead = dataclasses.replace(dead, weights={"weight": np.zeros((10, 3072), np.float32)})
    result = compare("FakeBackend:fine", "FakeBackend:constant", graph=dead)
    statuses = {name: [cell.status for cell in found] for name, found in by_label(result).items()}
    assert statuses == {"fine": [MISTRUSTED] * 2, "constant": [FAILED] * 2}
    assert {cell.reason for cell in by_label(result)["fine"]} == {
        "the model says nothing here: no output varies with the images"
    }
    assert result.context["parity"]["telling"]["logits"]["columns"] == 0
    assert compare("FakeBackend:fine", graph=dead).exit_code() == 0


def test_a_passed_cell_has_its_figures(zoo: Result) -> None:
    cell = by_label(zoo)["fine"][1]
    assert cell.median_s is not None
    assert cell.images_per_second == pytest.approx(NUM_IMAGES / cell.median_s)
    assert cell.ci_low_s == min(cell.times)
    assert cell.ci_high_s == max(cell.times)
    assert cell.ci_confidence == 0.5
    assert cell.parity_rows == NUM_IMAGES
    assert cell.max_rel is not None
    assert 0 < cell.max_rel < 1e-6
    assert cell.top1_agreement == 1.0
    assert cell.accuracy == 0.5
    assert set(cell.phases) == {"input", "compute", "output"}


def test_a_cold_start_adds_up(zoo: Result) -> None:
    record = next(record for record in zoo.backends if record.configuration == "fine")
    parts = (record.process_s, record.import_s, record.build_s, record.first_inference_s)
    assert record.cold_start_s is not None
    assert 0 < sum(part for part in parts if part is not None) <= record.cold_start_s
    assert record.start_rss_bytes is not None
    assert record.peak_rss_bytes is not None
    assert 2**20 < record.start_rss_bytes <= record.peak_rss_bytes
    assert record.versions == {"fake": "1.0"}


def test_a_crashed_worker_keeps_its_last_words(zoo: Result) -> None:
    record = next(record for record in zoo.backends if record.configuration == "abort")
    assert record.reason == "killed by SIGABRT: about to abort"
    assert "about to abort" in record.log


def test_a_hang_costs_one_timeout_and_not_the_others() -> None:
    result = compare("FakeBackend:hang", "FakeBackend:fine", timeout=10.0)
    assert [cell.status for cell in by_label(result)["hang"]] == [TIMEOUT, TIMEOUT]
    assert [cell.status for cell in by_label(result)["fine"]] == [PASSED, PASSED]


def test_a_cell_over_budget_is_not_run_and_has_no_times() -> None:
    result = compare("FakeBackend:slow", budget=0.028, runs=9)
    one, many = by_label(result)["slow"]
    assert one.status == PASSED
    assert len(one.times) == MIN_RUNS  # of the nine asked for
    assert one.warning.endswith("3 runs instead of 9")
    assert (many.status, many.times, many.median_s) == (NOT_RUN, (), None)
    assert many.predicted_s == pytest.approx(0.16, rel=0.5)
    assert result.backends[0].status == PASSED
    assert result.exit_code() == 0


def test_a_cell_found_to_be_over_budget_only_by_running_it_has_no_times_either() -> None:
    result = compare("FakeBackend:slow", budget=0.1)
    _, many = by_label(result)["slow"]
    assert (many.status, many.times) == (NOT_RUN, ())
    assert many.predicted_s is not None
    assert many.predicted_s >= 0.16


def test_without_a_reference_nothing_is_trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    reference = select(["fake_backends.FakeBackend:raise"])
    monkeypatch.setattr(
        measure,
        "select",
        lambda names: reference if names == ["reference:float64"] else select(names),
    )
    result = compare("FakeBackend:fine")
    assert result.exit_code() == 1
    assert [cell.status for cell in result.benchmarks] == [MISTRUSTED, MISTRUSTED]
    parity = result.context["parity"]
    assert (parity["rows"], parity["failure"]) == (0, "ValueError: on purpose")


def test_an_interrupt_keeps_what_is_known_and_leaves_no_process() -> None:
    def interrupt(done: int, total: int, doing: str) -> None:
        if doing.startswith("timing") and done > total * 3 / 4:
            raise KeyboardInterrupt

    before = psutil.Process().children()  # of other tests
    result = compare("FakeBackend:fine", "FakeBackend:garbage", progress=interrupt, runs=5)
    assert not result.complete
    assert all(1 <= len(cell.times) < 5 for cell in result.benchmarks)
    assert {cell.status for cell in result.benchmarks} == {PASSED}
    assert not set(psutil.Process().children()) - set(before)


def test_the_order_of_cells_follows_the_seed() -> None:
    def order(seed: int) -> list[str]:
        steps: list[str] = []
        compare(
            "FakeBackend:fine",
            "FakeBackend:garbage",
            seed=seed,
            progress=lambda done, total, doing: steps.append(doing),
        )
        return [step for step in steps if step.startswith("timing")]

    assert order(1) == order(1) != order(2)

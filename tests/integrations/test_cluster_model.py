"""The model of a cluster: fitted to runs made of known terms, and what it then predicts."""

from __future__ import annotations

import io
from typing import Any, cast

import pyarrow as pa
import pytest
from random_images import RandomImages
from rich.console import Console

from bench.cluster import report
from bench.cluster.compare import JVM, LOCAL, OTHER, Comparison, Turn, Way
from bench.cluster.job import Costs, Outcome
from bench.cluster.model import COMMAND, Model, Scale, fit
from bench.cluster.recording import Read, record, record_run, simulated
from bench.cluster.status import Tasks
from bench.report import cluster, formats
from bench.report.figures import figures
from bench.results import document, listing
from bench.results.recording import Recorder
from bench.results.results import Results
from bench.results.session import Session, Workloads
from columnar_nn.errors import UsageError
from columnar_nn.model import zoo

TRUE = Model(session=17.0, prepare=0.3, task=0.125, row=40e-6, network=250e-6, final=0.2)
IMAGES = 10_000


def way(splits: int, noise: float = 0.0) -> Way:
    """Runs with the terms of TRUE, one of them disturbed."""
    parts = {
        JVM: TRUE.task * splits + 30e-6 * IMAGES,
        OTHER: 6e-6 * IMAGES,
        "read": 3e-6 * IMAGES,
        "prepare": 0.01,
        "input": 1e-6 * IMAGES,
        "compute": 248e-6 * IMAGES,
        "output": 1e-6 * IMAGES,
        "write": 1e-6 * IMAGES,
    }
    disturbed = {**parts, OTHER: parts[OTHER] + 1.0}
    return Way(f"spark, {splits} splits", splits, [Turn(9, disturbed), Turn(5, parts)], 0, 0.3)


def results(*ways: Way) -> Results:
    graph = zoo.build("plain9")
    images: Any = RandomImages()
    recorder = Recorder(Session(COMMAND, {"seed": 1}, ()), Workloads(graph, images))
    alone = Way(LOCAL, None, [Turn(3.0, {"compute": 2.5, OTHER: 0.0})])
    record(Comparison(IMAGES, (alone, *ways), 17.0, 0.2, 2), "local[2]", recorder)
    return recorder.results(complete=True)


def test_the_terms_are_found_again() -> None:
    assert vars(fit(results(way(2), way(16)))) == pytest.approx(vars(TRUE))
    assert vars(fit(results(way(1), way(4), way(32)))) == pytest.approx(vars(TRUE))


def test_it_needs_few_splits_and_many() -> None:
    with pytest.raises(UsageError, match="few splits and one with many"):
        fit(results(way(2)))


@pytest.mark.parametrize(
    ("executors", "waves"), [(1, 500), (10, 50), (300, 2), (499, 2), (500, 1), (9_999, 1)]
)
def test_the_last_wave_counts_whole(executors: int, waves: int) -> None:
    scale = Scale(images=10_000_000, splits=2_000, cores=4)
    split = 0.125 + 5_000 * 290e-6
    assert TRUE.seconds(scale, executors) == pytest.approx(17.5 + waves * split)


def test_what_it_predicts_is_never_said_to_be_measured() -> None:
    basis = results(way(2), way(16))
    scale = Scale(1_000_000, 200, 4)
    made = simulated(TRUE, basis, {1: 80.0, 10: 25.0}, scale)
    assert not made["observation"]
    assert [cell["status"] for cell in made["cell"]] == ["NOT RUN", "NOT RUN"]
    assert [cell["predicted_s"] for cell in made["cell"]] == [80.0, 25.0]
    assert made["session"][0]["settings"]["terms_s"] == vars(TRUE)
    (workload,) = made["workload"]
    assert workload["samples"] == 1_000_000
    assert workload["model_sha256"] == basis["workload"][0]["model_sha256"]
    assert b"a model's 25 s, not measured" in document.to_json(made)


def test_a_row_that_differs_fails_its_cell() -> None:
    broken = way(4)
    broken.differing = 3
    cells = results(way(2), broken)["cell"]
    assert [cell["status"] for cell in cells] == ["PASSED", "PASSED", "FAILED"]
    assert (cells[2]["outside"], cells[2]["reason"]) == (3, "3 rows differ from the engine alone")


def test_both_are_shown_and_reported() -> None:
    basis = results(way(2), way(16))
    scale = Scale(1_000_000, 200, 4)
    model = simulated(TRUE, basis, {1: 80.0, 10: 25.0}, scale)
    console = Console(file=io.StringIO(), width=200)
    for part in (basis, model):
        listing.show(part, console)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "columnar:spark (spark, 16 splits)" in shown
    assert "a model's 25 s, not measured" in shown
    measured, predicted = cluster.cluster(Results.of([*basis, *model]))
    assert [row[0] for row in measured.rows] == [LOCAL, "spark, 2 splits", "spark, 16 splits"]
    # the kernels, the worker besides, threads of tasks, the JVM besides: all of 10,000 images
    assert measured.rows[1][3:10] == (*("5.00", "2,000", "248.0", "7.0", "55.0", "6.0", "316.0"),)
    assert [row[2:] for row in predicted.rows] == [("80.0", "12,500"), ("25.0", "40,000")]
    assert "task 0.125" in predicted.note
    text = formats.markdown(figures(Results.of([*basis, *model])))
    assert "A model, not a measurement" in text


@pytest.mark.parametrize(
    ("images", "splits", "advice"),
    [
        (100_000, 1, "advice: 1 split for 2 cores"),
        (100_000, 4, None),
        (4_000, 4, "advice: fewer than 5,000 images a split"),
        (4_000, 1, None),
    ],
)
def test_splits_get_advice(images: int, splits: int, advice: str | None) -> None:
    costs = Costs({"compute": 2.5}, splits, Tasks(5, 0, 9.0, 0.5, 0.1))
    console, opened = Console(file=io.StringIO(), width=200), cast("Any", Opened())
    report.show(
        Outcome(images, 0, (), pa.table({"images": [images]}), None, 4.0, costs), opened, console
    )
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert advice in shown if advice else "advice" not in shown


class Opened:
    engine, seconds, cores = "spark", 17.0, 2


@pytest.mark.parametrize("costs", [None, Costs({"compute": 2.5}, 4, Tasks(5, 1, 9.0, 0.5, 0.1))])
def test_a_run_is_a_cell(costs: Costs | None) -> None:
    recorder = Recorder(
        Session("cluster run", {}, ()), Workloads(zoo.build("plain9"), Read("images", 1000))
    )
    outcome = Outcome(1000, 3, (), pa.table({}), 750, 4.0, costs)
    opened: Any = Opened()
    record_run(outcome, opened, "local[2]", recorder)
    made = recorder.results(complete=True)
    (cell,) = made["cell"]
    assert (cell["status"], cell["reason"]) == ("FAILED", "3 row(s) without an image")
    assert cell["accuracy"] == 0.75
    (workload,) = made["workload"]
    assert (workload["data_name"], workload["data_fingerprint"]) == ("images", None)
    found = {(row["metric"], *row["part"]): row["value"] for row in made["observation"]}
    told = {} if costs is None else {("cpu", "jvm", "tasks"): [0.5], ("cpu", "compute"): [2.5]}
    assert found == {("time",): [4.0], **told}
    assert (cell["detail"].get("failed") == 1) == (costs is not None)
    with pytest.raises(UsageError, match="few splits and one with many"):
        fit(made)

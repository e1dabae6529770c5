"""The model of a cluster: fitted to runs made of known terms, and what it then predicts."""

from __future__ import annotations

from typing import Any

import pytest
from random_images import RandomImages

from bench.cluster.compare import JVM, LOCAL, OTHER, Comparison, Turn, Way
from bench.cluster.model import Model, Scale, fit, parse_executors
from bench.cluster.recording import record, simulated
from bench.results import document
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
    recorder = Recorder(Session("cluster compare", {"seed": 1}, ()), Workloads(graph, images))
    alone = Way(LOCAL, None, [Turn(3.0, {"compute": 2.5, OTHER: 0.0})])
    record(Comparison(IMAGES, (alone, *ways), 17.0, 0.2), "local[2]", recorder)
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


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("1-1000*10", (1, 10, 100, 1000)),
        ("1-999*10", (1, 10, 100)),
        ("3-20*2", (3, 6, 12)),
        ("4,1,4", (1, 4)),
        ("1-4*2,100", (1, 2, 4, 100)),
    ],
)
def test_numbers_of_executors(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_executors(text) == numbers


@pytest.mark.parametrize("text", ["", "0", "1-10", "1-10*1", "10-1*2", "a", "1-10*0"])
def test_other_numbers_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--executors"):
        parse_executors(text)


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

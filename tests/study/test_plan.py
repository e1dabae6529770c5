"""Who measures what: cells once, shards that are disjoint and whole, filters, predictions."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from results import examples
from study.place import FINE, SLOW, Place

from bench.cli import studying
from bench.machine import cpus
from bench.results.results import Results
from bench.study.plan import Plan, make
from bench.study.prediction import Predictor
from bench.study.records import Records
from bench.study.study import Study
from columnar_nn.errors import UsageError

AXES = {
    "model": "plain9,plain9@width=2,resnet20",
    "backend": ["reference:float64", "reference:float32"],
    "samples": "1,10,100",
    "batch_size": "8,32",
    "threads": 1,
}


def plan(only: tuple[str, ...] = (), shard: str = "", **axes: Any) -> Plan:
    return make(Study.of({"axes": {**AXES, **axes}, "data": "synthetic"}), only, shard)


def test_a_cell_that_two_points_mean_is_measured_once() -> None:
    cells = [cell for entrant in plan().entrants for cell in entrant.cells.values()]
    assert len(cells) == len(set(cells))
    # One image is one batch of one, whatever the size of batches; ten are in batches of 8 or 10.
    assert len(cells) == 3 * 2 * (1 + 2 + 2)


@pytest.mark.parametrize("count", [1, 2, 5, 12])
def test_shards_are_disjoint_and_complete(count: int) -> None:
    whole = plan()
    shards = [plan(shard=f"{number}/{count}") for number in range(1, count + 1)]
    found = Counter(cell for shard in shards for cell in shard.cells)
    assert set(found) == whole.cells
    assert set(found.values()) == {1}


@pytest.mark.parametrize("text", ["0/2", "3/2", "1", "a/b", "1/2/3", "13/13"])
def test_what_is_no_shard_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--shard"):
        plan(shard=text)


def test_only_what_fits_is_left() -> None:
    some = plan(only=("model=plain9*", "samples=1", "samples=100", "backend=*:float32"))
    assert {e.network.model for e in some.entrants} == {"plain9", "plain9@width=2"}
    assert {e.selection.label for e in some.entrants} == {"reference:float32"}
    assert {count for e in some.entrants for count in e.cells} == {1, 100}
    assert some.cells < plan().cells
    with pytest.raises(UsageError, match="nothing of the study is left"):
        plan(only=("model=vgg",))
    with pytest.raises(UsageError, match="expected KEY=GLOB"):
        plan(only=("colour=red",))


def test_more_threads_than_cpus_are_planned_and_not_run() -> None:
    many = len(cpus.available()) + 1
    entrants = plan(model="plain9", threads=[1, many]).entrants
    unfit = {entrant.options.threads for entrant in entrants if entrant.unfit}
    assert unfit == {many}


def test_a_prediction_grows_with_what_is_left() -> None:
    whole = plan()
    predictor = Predictor(())
    one, two = (predictor.of(whole, [set()] * sessions) for sessions in (1, 2))
    assert two.seconds == pytest.approx(2 * one.seconds)
    assert (one.cells, two.cells, two.known) == (len(whole.cells), 2 * len(whole.cells), 0)
    assert predictor.of(whole, [whole.cells]).seconds == 0
    part = predictor.of(whole, [set(list(whole.cells)[:10])])
    assert 0 < part.seconds < one.seconds


def test_tolerances_are_each_networks() -> None:
    found = make(Study.of({"axes": {**AXES, "samples": 1}, "data": "synthetic", "atol": 0.5}))
    assert [dict(network.overrides.atol) for network in found.networks] == [{"logits": 0.5}] * 3
    with pytest.raises(UsageError, match="rtol 'probs:1': no tensor 'probs'; it has logits"):
        make(Study.of({"axes": {**AXES, "samples": 1}, "data": "synthetic", "rtol": "probs:1"}))
    with pytest.raises(UsageError, match=r"no file mine\.py of functions"):
        make(Study.of({"axes": AXES, "functions": "mine.py"}))


@pytest.mark.parametrize(
    ("backend", "disturbed", "status", "code"),
    [
        (None, False, "NOT RUN", 0),
        ("reference:float64", False, "NOT RUN", 1),
        ("reference:float64", False, "FAILED", 1),
        ("reference:float64", False, "PASSED", 0),
        ("reference:float64", True, "PASSED", 1),
    ],
)
def test_the_exit_status_of_a_strict_study(
    backend: str | None,
    disturbed: bool,
    status: str,
    code: int,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """What was not run is a failure of a backend that is named, a disturbance of a strict study."""
    axes = {"samples": 8} | ({} if backend is None else {"backend": backend})
    asked = make(Study.of({"axes": axes, "data": "synthetic"}), ["backend=reference:float64"])
    subject = {"backend": "reference", "configuration": "float64"}
    rows = []
    for name, row in examples.rows(turns={"pytorch": [[1.0]]}, status=status):
        if name == "observation":
            row["disturbance"]["steal_s"] = 9.0 if disturbed else 0.0
        rows.append((name, {**row, **subject} if name == "subject" else row))
    assert studying.exit_status(Results.of(rows), asked, strict=True) == code
    assert (
        "--strict: other processes disturbed 1 of 1 cell" in capsys.readouterr().err
    ) == disturbed
    assert studying.exit_status(Results.of(rows), asked, strict=False) == code - disturbed


@pytest.mark.slow
def test_times_of_before_predict_those_of_now(tmp_path: Path) -> None:
    """The slow backend sleeps 20 ms an image: what is predicted is what it takes."""
    place = Place.made(tmp_path)
    done = place.run("--backend", SLOW, "--backend", FINE, "--samples", "2,10", "--out", "out")
    assert done.returncode == 0, done.stderr
    study = Study.of(place.results()["session"][0]["settings"]["study"])
    study = Study.of(
        {
            **study.document(),
            "axes": {**study.axes, "samples": "2,10,20", "model": str(tmp_path / "tiny.onnx")},
            "data": str(tmp_path / "images.bin"),
        }
    )
    made = make(study)
    records = Records(tmp_path / "out", made)
    predictor = Predictor(records.here)
    slow = next(e for e in made.entrants if e.selection.label == SLOW)
    for samples in (2, 10, 20):  # the last one was not measured: it is on the others' line
        expected = 0.02 * samples
        assert predictor.run_seconds(slow, samples) == pytest.approx(expected, rel=0.25)
    prediction = predictor.of(made, [set()])
    assert (prediction.cells, prediction.known) == (6, 4)

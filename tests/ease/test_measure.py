"""What is measured of a backend, of some whose faults a test knows."""

from __future__ import annotations

import os
from pathlib import Path

import onnx
import pytest
from ease import demanding_backends
from fake_backends import tiny_graph

from adapters import registry
from adapters.base import Backend
from bench.data.dataset import open_dataset
from bench.ease import adapter, examples, measure
from bench.ease.ease import Ease
from bench.ease.recording import record
from bench.report.ease import NO_COMPLAINT
from bench.report.ease import ease as tables_of
from bench.results import document
from bench.results.recording import Recorder
from bench.results.results import Results
from bench.results.session import Session, Workloads
from bench.verdict.status import PASSED, SKIPPED
from bench.workers import inputs
from bench.workers.options import Options
from bench.workers.selection import select_one
from columnar_nn.model import onnx_io
from columnar_nn.model.operators import OPERATORS

PICKY, ABSENT = (f"ease.demanding_backends.{name}Backend" for name in ("Picky", "Absent"))


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Ease], Results]:
    folder = tmp_path_factory.mktemp("ease")
    graph, options = tiny_graph(), Options((min(os.sched_getaffinity(0)),), timeout=60.0)
    dataset = open_dataset("synthetic", 1).fitted_to(graph)
    data = inputs.prepare(folder, graph, dataset, 1, 1)
    selections = [select_one(name) for name in (PICKY, "reference", ABSENT)]
    found = list(measure.measure(selections, data, options, folder, lambda *_: None))
    recorder = Recorder(Session("backends", {}, options.cpus), Workloads(graph, dataset))
    record(found, recorder, options)
    return found, document.loads(document.to_json(recorder.results(complete=True)))


def test_operators_that_it_lacks_and_what_it_says(measured: tuple[list[Ease], Results]) -> None:
    picky, reference, _ = measured[0]
    assert picky.status == PASSED
    assert picky.unimplemented.keys() == {"Sigmoid", "Tanh"}
    assert "left out" in picky.unimplemented["Tanh"]
    assert "exit status 3" in picky.unimplemented["Sigmoid"]
    assert picky.on_wrong_network == "TypeError: float64 it is"
    assert (reference.unimplemented, reference.on_wrong_network) == ({}, "")


def test_starts_are_whole(measured: tuple[list[Ease], Results]) -> None:
    for found in measured[0][:2]:
        assert len(found.starts) == measure.STARTS
        for start in found.starts:
            parts = (start[f"{name}_s"] for name in ("process", "import", "build"))
            assert 0 < sum(parts) < start["cold_start_s"]


def test_one_that_is_not_installed_is_skipped(measured: tuple[list[Ease], Results]) -> None:
    absent = measured[0][2]
    assert absent.status == SKIPPED
    assert "cnn-bench[torch]" in absent.reason
    assert absent.starts == ()


def test_the_tables_say_it(measured: tuple[list[Ease], Results]) -> None:
    figures, words = tables_of(measured[1])
    labels = [f"{PICKY}:float64", "reference:float64", f"{ABSENT}:only"]
    assert [row[0] for row in figures.rows] == labels
    lines = len(Path(demanding_backends.__file__).read_text(encoding="utf-8").splitlines())
    for row in figures.rows:
        assert len(row) == len(figures.headings)
    assert 0 < int(figures.rows[0][-1]) < lines
    assert figures.rows[2][3:5] == ("-", "-")
    assert words.rows[0][1:3] == ("be_fair", "Sigmoid, Tanh")
    assert words.rows[1][1:] == ("none", "none", NO_COMPLAINT)
    assert words.rows[2][3].startswith(SKIPPED)


def test_results_without_a_measurement_have_no_table() -> None:
    assert not [*tables_of(Results.of(()))]


def test_every_operator_has_an_example_that_onnx_accepts() -> None:
    networks = {graph.name: graph for graph in examples.operator_networks()}
    assert networks.keys() == {name for name in OPERATORS if "::" not in name}
    for name, graph in networks.items():
        beside = {"Greater", "Where"} if OPERATORS[name].result == "bool" else set()
        assert {node.op_type for node in graph.nodes} - beside == {name} - beside
        onnx.checker.check_model(onnx_io.to_proto(graph), full_check=True)


def test_the_wrong_network_is_wrong() -> None:
    with pytest.raises(onnx.shape_inference.InferenceError, match="convolution"):
        onnx.checker.check_model(onnx_io.to_proto(examples.wrong_network()), full_check=True)


BACKENDS = [*map(registry.load, registry.BACKENDS)]


@pytest.mark.parametrize("backend", BACKENDS, ids=registry.BACKENDS)
def test_settings_are_those_that_the_adapter_sets(backend: type[Backend]) -> None:
    sources = "".join(file.read_text(encoding="utf-8") for file in adapter.files(backend))
    for name in backend.fair_settings:
        assert sources.count(name) > 1, f"{name} is declared and not set"


@pytest.mark.parametrize("backend", BACKENDS, ids=registry.BACKENDS)
def test_every_file_that_is_named_after_it_is_counted(backend: type[Backend]) -> None:
    root = Path(registry.__file__).parent
    files = [file for file in root.rglob("*.py") if root / "queries" not in file.parents]
    own = {file for file in files if backend.name in file.relative_to(root).as_posix()}
    assert {*adapter.files(backend)} == own
    assert 0 < adapter.lines(backend) < sum(len(file.read_text().splitlines()) for file in own)

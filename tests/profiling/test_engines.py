"""Every installed backend profiled in its worker: nodes by name, sums that fit, groups as fused."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
from profiling.residual_network import residual_network

from adapters import registry
from bench.compare.experiment import Experiment, Limits
from bench.data.dataset import open_dataset
from bench.machine import cpus
from bench.profile.measure import default_backends, measure
from bench.profile.result import BackendProfile, ProfileResult
from bench.profile.rows import layer_rows
from bench.verdict.status import PASSED
from bench.workers.options import Options
from bench.workers.selection import Selection, select

SAMPLES = 12
BACKENDS = {
    "columnar": ("none/auto", "layer/auto", "pipeline/auto"),
    "pytorch": ("eager", "torchscript"),
    "tensorflow": ("function",),
    "onnxruntime": ("default",),
    "openvino": ("float32",),
    "velox": ("winograd",),
    "reference": ("float64",),
}
UNAVAILABLE = {"pytorch:torchscript": "merges operators"}
ALIASES = {"columnar": {"flatten"}, "tensorflow": {"flatten"}}
"""Nodes for which a backend may have nothing to do."""


@pytest.fixture(scope="module")
def result() -> ProfileResult:
    installed = [n for n in BACKENDS if find_spec(registry.load(n).package) is not None]
    selections = [Selection(name, conf) for name in installed for conf in BACKENDS[name]]
    experiment = Experiment(
        selections=tuple(selections),
        samples=(SAMPLES,),
        options=Options(cpus.choose(1), 240.0, batch_size=8),
        limits=Limits(runs=2, min_time=0.0, budget=20.0),
        seed=1,
    )
    context: dict[str, Any] = {}
    return measure(experiment, residual_network(), open_dataset("synthetic", SAMPLES), context)


def profiled(result: ProfileResult) -> list[BackendProfile]:
    return [backend for backend in result.backends if backend.label not in UNAVAILABLE]


def test_without_being_asked_every_backend_is_profiled() -> None:
    chosen = default_backends()
    assert {label.partition(":")[0] for label in chosen} == set(registry.BACKENDS)
    assert chosen[:3] == ("columnar:none/auto", "columnar:layer/auto", "columnar:pipeline/auto")
    assert len(chosen) == len(registry.BACKENDS) + 2
    assert {"pytorch:eager", "openvino:float32", "velox:winograd"} <= set(chosen)
    assert [selection.label for selection in select(chosen)] == list(chosen)


def test_every_backend_is_measured_or_says_why_not(result: ProfileResult) -> None:
    for backend in result.backends:
        assert (backend.status, backend.reason) == (PASSED, ""), backend.label
        assert len(backend.plain) == 2
        assert UNAVAILABLE.get(backend.label, "") in backend.unavailable
        assert bool(backend.unavailable) == (backend.label in UNAVAILABLE)
        assert bool(backend.source) == bool(backend.profiled) != bool(backend.unavailable)
        assert bool(backend.counts) != bool(backend.counters_unavailable)
    assert result.exit_code() == 0


def test_every_node_is_in_an_operator(result: ProfileResult) -> None:
    names = [node.name for node in residual_network().nodes]
    for backend in profiled(result):
        for run in backend.profiled:
            covered = {name for operator in run.operators for name in operator.nodes}
            missing = set(names) - covered
            assert missing <= ALIASES.get(backend.backend, set()), backend.label
            assert covered <= set(names), backend.label
            for operator in run.operators:
                assert list(operator.nodes) == [n for n in names if n in operator.nodes]
                assert operator.seconds >= 0
                assert operator.calls > 0
                assert operator.operator


def test_operators_fit_into_the_run_and_take_most_of_it(result: ProfileResult) -> None:
    for backend in profiled(result):
        for run in backend.profiled:
            total = sum(operator.seconds for operator in run.operators)
            assert 0 < total <= run.seconds, backend.label


def nodes_of(result: ProfileResult, label: str) -> set[tuple[str, ...]]:
    (backend,) = (backend for backend in result.backends if backend.label == label)
    assert backend.median_run is not None
    return {operator.nodes for operator in backend.median_run.operators if operator.nodes}


def test_backends_that_do_not_fuse_have_one_node_an_operator(result: ProfileResult) -> None:
    for label in ("reference:float64", "pytorch:eager", "columnar:none/auto"):
        assert all(len(nodes) == 1 for nodes in nodes_of(result, label)), label


def test_fused_groups_are_those_of_the_backend(result: ProfileResult) -> None:
    first, second = ("conv1", "relu1"), ("block.conv2", "block.add", "block.relu2")
    assert {first, second} <= nodes_of(result, "columnar:layer/auto")
    assert {first, second} <= nodes_of(result, "columnar:pipeline/auto")
    assert {first, second} <= nodes_of(result, "onnxruntime:default")
    assert {first, ("block.add", "block.relu2")} <= nodes_of(result, "openvino:float32")
    assert {first, second} <= nodes_of(result, "velox:winograd")
    # Its remapper fuses bias and activation, not the residual sum.
    assert first in nodes_of(result, "tensorflow:function")
    rows = layer_rows(residual_network(), result)
    assert rows[:3] == [first, second, ("pool",)]


def test_statistics_as_an_arrow_table(result: ProfileResult) -> None:
    table = result.operators_table()
    (backend,) = (e for e in result.backends if e.label == "onnxruntime:default")
    assert backend.median_run is not None
    rows = [row for row in table.to_pylist() if row["engine"] == backend.label]
    assert [row["seconds"] for row in rows] == [o.seconds for o in backend.median_run.operators]
    assert [tuple(row["nodes"]) for row in rows] == [o.nodes for o in backend.median_run.operators]

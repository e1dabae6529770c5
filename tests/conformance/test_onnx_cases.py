"""Every engine gives what ONNX's own backend cases expect, but for the gaps listed as data."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from functools import partial

import numpy as np
import pytest
from closeness import assert_close
from conformance.columnar_runner import run_columnar
from conformance.onnx_cases import Case, all_cases, as_computed, graph_and_inputs
from conformance.onnx_gaps import ENGINES, IMPORT

from columnar_nn.errors import CnnBenchError
from columnar_nn.model.graph import Graph
from reference.evaluate import evaluate

Runner = Callable[[Graph, Mapping[str, np.ndarray]], list[np.ndarray]]
"""Computes a graph's outputs, in their order, from its inputs by name."""


def run_reference(graph: Graph, inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    names = [spec.name for spec in graph.outputs]
    results = evaluate(graph.nodes, graph.weights, inputs, names)
    return [results[name] for name in names]


RUNNERS: dict[str, Runner] = {
    "reference": run_reference,
    "columnar": run_columnar,
    "textbook": partial(run_columnar, algorithm="textbook"),
}


def gap(patterns: Mapping[str, str], case: Case) -> str | None:
    """Why a case is not run; None if it is."""
    matching = (reason for pattern, reason in patterns.items() if fnmatchcase(case.name, pattern))
    return next(matching, None)


EPSILONS = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
"""Of types that ONNX's expected outputs are rounded to."""


@pytest.mark.parametrize("case", all_cases(), ids=lambda case: f"{case.kind}-{case.name}")
@pytest.mark.parametrize("runner", RUNNERS)
def test_case(runner: str, case: Case) -> None:
    reason = gap(IMPORT, case)
    if reason:
        with pytest.raises(CnnBenchError):
            graph_and_inputs(case)
        pytest.skip(reason)
    graph, inputs = graph_and_inputs(case)
    reason = gap(ENGINES[runner], case)
    if reason:
        with pytest.raises(CnnBenchError):
            RUNNERS[runner](graph, inputs)
        pytest.skip(reason)
    outputs = RUNNERS[runner](graph, inputs)
    assert len(outputs) == len(case.outputs)
    for actual, expected in zip(outputs, case.outputs, strict=True):
        of_type = (
            EPSILONS.get(expected.dtype.name, 0.0)
            if isinstance(expected, np.ndarray | np.generic)
            else 0
        )
        rtol = max(case.rtol, of_type)
        assert_close(actual, as_computed(expected), rtol=rtol, atol=case.atol)


@pytest.mark.parametrize("patterns", [IMPORT, *ENGINES.values()], ids=["import", *ENGINES])
def test_every_gap_names_a_case(patterns: Mapping[str, str]) -> None:
    names = [case.name for case in all_cases()]
    idle = [p for p in patterns if not any(fnmatchcase(name, p) for name in names)]
    assert idle == []

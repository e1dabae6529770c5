"""columnar_nn/model/logarithmic_sums.py: exact beyond what exponentials can hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from closeness import assert_close
from conformance.columnar_runner import run_columnar
from generated import normal
from model.onnx_models import model, node, value

from columnar_nn.model import onnx_io
from reference.evaluate import evaluate


@pytest.mark.parametrize("keepdims", [0, 1])
def test_exponentials_neither_overflow_nor_vanish(keepdims: int) -> None:
    rows = normal(0, 5, 3, 40) * 10
    rows[0] += 1000
    rows[1] -= 1000
    rows[2, 1] = -np.inf
    rows[3, 2, 7] = np.inf
    made = model(
        [node("ReduceLogSumExp", "x", "y", axes=[2], keepdims=keepdims)],
        inputs=[value("x", ("N", 3, 40))],
    )
    graph = onnx_io.from_proto(made, Path())
    wide = rows.astype(np.float64)
    with np.errstate(over="ignore"):
        truth = np.logaddexp.reduce(wide, axis=2, keepdims=bool(keepdims)).astype(np.float32)
    (engine,) = run_columnar(graph, {"x": rows})
    reference = evaluate(graph.nodes, graph.weights, {"x": rows}, ["y"])["y"]
    for found in (engine, reference):
        assert_close(found, truth, rtol=1e-6, atol=1e-6)

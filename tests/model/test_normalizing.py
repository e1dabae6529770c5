"""columnar_nn/model/normalizing.py: GroupNormalization whose scale and bias are of groups."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from closeness import assert_close
from conformance.columnar_runner import run_columnar
from generated import normal
from model.onnx_models import model, node, value

from columnar_nn.errors import CnnBenchError
from columnar_nn.model import onnx_io
from reference.evaluate import evaluate

IMAGES = normal(0, 2, 6, 4, 5)


@pytest.mark.parametrize("opset", [18, 20])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_a_group_has_one_scale_before_opset_21(groups: int, opset: int) -> None:
    scale, bias = normal(1, groups), normal(2, groups)
    made = model(
        [node("GroupNormalization", "x s b", "y", num_groups=groups, epsilon=0.1)],
        {"s": scale, "b": bias},
        opset=opset,
        inputs=[value("x", ("N", 6, 4, 5))],
    )
    graph = onnx_io.from_proto(made, Path())
    grouped = IMAGES.astype(np.float64).reshape(2, groups, -1)
    deviation = np.sqrt(grouped.var(axis=2, keepdims=True) + np.float32(0.1))
    normalized = (grouped - grouped.mean(axis=2, keepdims=True)) / deviation
    truth = (normalized * scale[:, np.newaxis] + bias[:, np.newaxis]).reshape(IMAGES.shape)
    (engine,) = run_columnar(graph, {"x": IMAGES})
    reference = evaluate(graph.nodes, graph.weights, {"x": IMAGES}, ["y"])["y"]
    for found in (engine, reference):
        assert_close(found, truth.astype(np.float32), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("groups", "scales", "why"),
    [
        (2, 6, "one value for each of 2 groups: export with opset 21"),
        (4, 4, "6 channels do not fall into 4 groups"),
        (0, 0, "6 channels do not fall into 0 groups"),
    ],
)
def test_other_scales_are_refused_in_a_line(groups: int, scales: int, why: str) -> None:
    made = model(
        [node("GroupNormalization", "x s s", "y", num_groups=groups)],
        {"s": normal(1, scales)},
        opset=18,
        inputs=[value("x", ("N", 6, 4, 5))],
    )
    with pytest.raises(CnnBenchError, match=why):
        onnx_io.from_proto(made, Path())

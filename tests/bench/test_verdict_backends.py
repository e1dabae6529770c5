"""Right backends on real networks stay well within the noise's tolerance; float16 does not."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import numpy as np
import pytest
from judged_networks import Truth, run

from adapters.base import image_array
from bench.verdict.noise import K
from bench.verdict.precision import BFLOAT16
from bench.verdict.status import FAILED, PASSED
from reference.evaluate import evaluate

NETWORKS = {"plain9": 16, "squeezenet": 4}
BACKENDS = ("columnar:pipeline/auto", "columnar:pipeline/direct", "onnxruntime:default")


@cache
def truth(network: str) -> Truth:
    return Truth(network, NETWORKS[network])


@pytest.mark.parametrize("network", ["plain9", pytest.param("squeezenet", marks=pytest.mark.slow)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_right_backends_pass(network: str, backend: str) -> None:
    if find_spec(backend.partition(":")[0].replace("columnar", "columnar_nn")) is None:
        pytest.skip("not installed")
    known = truth(network)
    output = run(backend, known.graph, known.batches)
    judged = known.judge(output)
    assert judged.status == PASSED, judged.reason
    assert max(judged.column_ratio, judged.row_ratio) < K / 2
    rounded = known.judge(output.astype(np.float16).astype(np.float32))
    assert rounded.status == FAILED
    assert rounded.column_ratio > 4 * K


def test_an_engine_in_bfloat16_passes_by_its_own_rule_only() -> None:
    known = Truth("plain9", 12, BFLOAT16)
    output = run("columnar:bfloat16", known.graph, known.batches)
    judged = known.judge(output)
    assert judged.status == PASSED, judged.reason
    assert max(judged.column_ratio, judged.row_ratio) < BFLOAT16.times / 4
    assert known.judge(np.roll(output, 1, axis=1)).status == FAILED
    assert known.judge(output[::-1]).status == FAILED
    strict = truth("plain9").judge(np.concatenate([output, output[:4]]))
    assert strict.status == FAILED
    assert "float32's own error, 32 are allowed" in strict.reason


def test_dead_images_of_plain9_are_found() -> None:
    """photo10's first image is all zeros before plain9's last layer: bias whatever was computed."""
    known = truth("plain9")
    graph = known.graph
    name = graph.nodes[-2].outputs[0]
    inputs = {graph.inputs[0].name: np.concatenate([image_array(b) for b in known.batches])}
    last = evaluate(graph.nodes, graph.weights, inputs, [name])[name]
    alive = (last.reshape(len(last), -1) != 0).any(axis=1)
    assert not alive[0]
    assert known.noise.telling.tolist() == alive.tolist()

"""Every formulation computes what the float64 reference does."""

from __future__ import annotations

import numpy as np
import pytest
from closeness import assert_close
from velox import velox_process
from velox.networks import NETWORKS

from adapters.velox_backend import VeloxBackend
from columnar_nn import models
from columnar_nn.graph import Graph
from reference.evaluate import evaluate

pytest.importorskip("pyvelox")


def expected(graph: Graph, images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint8:
        images = images.astype(np.float32) / np.float32(255)
    output = graph.outputs[0].name
    return evaluate(graph.nodes, graph.weights, {"image": images}, [output])[output]


@pytest.mark.parametrize("configuration", VeloxBackend.configurations)
@pytest.mark.parametrize("network", NETWORKS)
def test_small_networks_match_the_reference(network: str, configuration: str) -> None:
    graph = NETWORKS[network]()
    channels, height, width = graph.inputs[0].shape[1:]
    random = np.random.default_rng(7)
    pixels = random.integers(0, 256, (3, channels, height, width), dtype=np.uint8)
    reals = random.standard_normal((1, channels, height, width)).astype(np.float32)
    batches = [pixels, reals]
    for images, (result,) in zip(
        batches, velox_process.infer(graph, batches, configuration), strict=True
    ):
        assert_close(result, expected(graph, images), rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("configuration", VeloxBackend.configurations)
def test_plain9_matches_the_reference(configuration: str) -> None:
    graph = models.build("plain9")
    images = np.random.default_rng(3).integers(0, 256, (2, 3, 32, 32), dtype=np.uint8)
    ((result,),) = velox_process.infer(graph, [images], configuration)
    assert_close(result, expected(graph, images), rtol=1e-5, atol=1e-5)

"""Every formulation computes what the float64 reference does, or says that it cannot."""

from __future__ import annotations

import numpy as np
import pytest
from closeness import assert_close
from velox import actions, velox_process
from velox.networks import NETWORKS, plain9_narrow

from adapters.velox.formulation import KINDS
from adapters.velox.layers import lower
from adapters.velox.staged import Staged
from columnar_nn.errors import UnsupportedOperatorError
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph
from reference.evaluate import evaluate

pytest.importorskip("pyvelox")

CHAINS = {"plain", "several_channels"}
CHAINS_ONLY = {"cross_join", "nested_lambda"}


def expected(graph: Graph, images: np.ndarray) -> np.ndarray:
    if images.dtype == np.uint8:
        images = images.astype(np.float32) / np.float32(255)
    output = graph.outputs[0].name
    return evaluate(graph.nodes, graph.weights, {"image": images}, [output])[output]


def two_batches(graph: Graph) -> list[np.ndarray]:
    """Enough bytes for Winograd's convolution and several chunks, and one image of reals."""
    shape = graph.inputs[0].shape[1:]
    random = np.random.default_rng(7)
    pixels = random.integers(0, 256, (33, *shape), dtype=np.uint8)
    return [pixels, random.standard_normal((1, *shape)).astype(np.float32)]


@pytest.mark.parametrize(
    ("network", "configuration"),
    [
        (network, configuration)
        for network in NETWORKS
        for configuration in KINDS
        if network in CHAINS
        or configuration not in CHAINS_ONLY
        or (network, configuration) == ("features", "nested_lambda")
    ],
)
def test_small_networks_match_the_reference(network: str, configuration: str) -> None:
    graph = NETWORKS[network]()
    batches = two_batches(graph)
    results = velox_process.call(actions.infer, graph, batches, configuration)
    for images, result in zip(batches, results, strict=True):
        assert_close(result, expected(graph, images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("configuration", ["winograd", "direct"])
def test_threads_change_nothing(configuration: str) -> None:
    graph = NETWORKS["residual"]()
    batches = two_batches(graph)
    one, two = (
        velox_process.call(actions.infer, graph, batches, configuration, threads)
        for threads in (1, 2)
    )
    for a, b in zip(one, two, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("configuration", ["winograd", "direct"])
def test_batches_are_filled_up_or_cut(configuration: str) -> None:
    graph = NETWORKS["plain"]()
    random = np.random.default_rng(8)
    sizes = (1, 2, 40, 150, 5, 200)  # a program each for the first four
    batches = [random.integers(0, 256, (size, 3, 9, 9), dtype=np.uint8) for size in sizes]
    results = velox_process.call(actions.infer, graph, batches, configuration)
    for images, result in zip(batches, results, strict=True):
        assert_close(result, expected(graph, images), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("configuration", sorted(CHAINS_ONLY))
def test_one_plan_refuses_what_it_cannot_say(configuration: str) -> None:
    graph = NETWORKS["residual"]()
    nodes = velox_process.call(actions.refused_nodes, graph, two_batches(graph), configuration)
    assert {operator for _, operator, _ in nodes} == {"Conv", "GlobalAveragePool", "Softmax"}


def test_networks_with_too_many_weights_are_refused() -> None:
    graph = zoo.build("resnet18")
    with pytest.raises(UnsupportedOperatorError, match=r"conv1 .*1,000,000 would fit"):
        Staged(lower(graph), transformed=False, threads=1)


def test_cross_join_refuses_a_network_without_convolution() -> None:
    graph = NETWORKS["features"]()
    nodes = velox_process.call(actions.refused_nodes, graph, two_batches(graph), "cross_join")
    assert [(operator, reason) for _, operator, reason in nodes] == [
        ("Gemm", "no convolution before it")
    ]


@pytest.mark.slow
@pytest.mark.parametrize("configuration", KINDS)
def test_a_network_as_deep_as_plain9(configuration: str) -> None:
    in_one_plan = configuration in CHAINS_ONLY
    graph = plain9_narrow() if in_one_plan else zoo.build("plain9")
    num_images = 32 if configuration == "winograd" else 2
    images = np.random.default_rng(3).integers(0, 256, (num_images, 3, 32, 32), dtype=np.uint8)
    (result,) = velox_process.call(actions.infer, graph, [images], configuration)
    assert_close(result, expected(graph, images), rtol=1e-5, atol=1e-5)

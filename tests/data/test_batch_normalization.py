"""Batch normalisation put in and folded away, against the reference's own BatchNormalization."""

from dataclasses import replace

import numpy as np

from bench.training.batch_normalization import fold_inserted, insert
from columnar_nn.model import zoo
from reference.evaluate import evaluate


def test_folding_keeps_what_the_network_computes() -> None:
    graph = zoo.build("plain9")
    random = np.random.default_rng(1)
    normalized = insert(graph)
    weights = {
        name: w + random.uniform(-0.1, 0.1, w.shape).astype(np.float32)
        if ".batch_norm." in name
        else w
        for name, w in normalized.weights.items()
    }
    normalized = replace(normalized, weights=weights)
    folded = fold_inserted(normalized)
    images = random.random((4, 3, 32, 32), np.float32)
    (expected,) = evaluate(
        normalized.nodes, normalized.weights, {"image": images}, ["logits"]
    ).values()
    (found,) = evaluate(folded.nodes, folded.weights, {"image": images}, ["logits"]).values()
    assert np.abs(expected).max() > 0.1
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())


def test_folding_gives_the_nodes_back() -> None:
    graph = zoo.build("plain9")
    normalized = insert(graph)
    assert sum(node.op_type == "BatchNormalization" for node in normalized.nodes) == 7
    folded = fold_inserted(normalized)
    assert folded.nodes == graph.nodes
    assert {n: w.shape for n, w in folded.weights.items()} == {
        n: w.shape for n, w in graph.weights.items()
    }


def test_convolutions_without_bias_are_left_alone() -> None:
    graph = zoo.build("resnet20")
    assert insert(graph).nodes == graph.nodes

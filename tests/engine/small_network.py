"""A network of every kind of kernel that the engine benchmark tells apart."""

from __future__ import annotations

import numpy as np

from columnar_nn.model.graph import Graph, Node, TensorSpec


def small_graph() -> Graph:
    """Two convolutions, the second one fit for Winograd, and a dense layer."""
    random = np.random.default_rng(3)

    def weight(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) / 8).astype(np.float32)

    nodes = (
        Node("conv1", "Conv", ("image", "w1", "b1"), ("c1",), {"strides": [2, 2]}),
        Node("relu1", "Relu", ("c1",), ("r1",), {}),
        Node("conv2", "Conv", ("r1", "w2", "b2"), ("c2",), {}),
        Node("relu2", "Relu", ("c2",), ("r2",), {}),
        Node("flatten", "Flatten", ("r2",), ("f",), {}),
        Node("dense", "Gemm", ("f", "w3", "b3"), ("logits",), {"transB": 1}),
    )
    return Graph(
        "small",
        nodes,
        (TensorSpec("image", (None, 3, 32, 32), "float32"),),
        (TensorSpec("logits", (None, 10), "float32"),),
        {
            "w1": weight(16, 3, 3, 3),
            "b1": weight(16),
            "w2": weight(16, 16, 3, 3),
            "b2": weight(16),
            "w3": weight(10, 16 * 13 * 13),
            "b3": weight(10),
        },
    )

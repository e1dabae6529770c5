"""A network of which backends fuse different parts: padding, a residual edge, a pool, a product."""

from __future__ import annotations

import numpy as np

from columnar_nn.model.graph import Graph, Node, TensorSpec


def residual_network() -> Graph:
    """conv1 relu1 conv2 add(relu1) relu2 pool flatten dense, on images of 3x32x32."""
    random = np.random.default_rng(5)

    def weight(*shape: int) -> np.ndarray:
        return (random.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32)

    same = {"pads": [1, 1, 1, 1], "kernel_shape": [3, 3], "strides": [1, 1]}
    pool = {"kernel_shape": [4, 4], "strides": [4, 4]}
    nodes = (
        Node("conv1", "Conv", ("image", "conv1.weight", "conv1.bias"), ("c1",), same),
        Node("relu1", "Relu", ("c1",), ("r1",)),
        Node("block.conv2", "Conv", ("r1", "conv2.weight", "conv2.bias"), ("c2",), same),
        Node("block.add", "Add", ("c2", "r1"), ("a2",)),
        Node("block.relu2", "Relu", ("a2",), ("r2",)),
        Node("pool", "MaxPool", ("r2",), ("p",), pool),
        Node("flatten", "Flatten", ("p",), ("f",), {"axis": 1}),
        Node("dense", "Gemm", ("f", "dense.weight", "dense.bias"), ("logits",), {"transB": 1}),
    )
    return Graph(
        "residual",
        nodes,
        (TensorSpec("image", (None, 3, 32, 32)),),
        (TensorSpec("logits", (None, 10)),),
        {
            "conv1.weight": weight(16, 3, 3, 3),
            "conv1.bias": weight(1, 16)[0],
            "conv2.weight": weight(16, 16, 3, 3),
            "conv2.bias": weight(1, 16)[0],
            "dense.weight": weight(10, 1024),
            "dense.bias": weight(1, 10)[0],
        },
    )

"""A network with everything that a backend gets wrong, and images for it.

Padding, a bias that matters, several channels before the flatten, and a residual edge.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from columnar_nn.data import tensor_column
from columnar_nn.model.graph import Graph, Node, TensorSpec

NUM_IMAGES = 6
LARGE_CLASS = 3
SMALL_CHANNEL = 2
"""Of the mixed network."""
DENSE = ("dense.weight", "dense.bias")


def small_network() -> Graph:
    """conv1 relu1 pool conv2 relu2 add(pool) flatten dense, on images of 3x8x8."""
    random = np.random.default_rng(7)

    def draw(*shape: int) -> np.ndarray:
        scale = np.sqrt(2.0 / np.prod(shape[1:])) if len(shape) > 1 else 0.2
        return (random.standard_normal(shape) * scale).astype(np.float32)

    weights = {
        "conv1.weight": draw(8, 3, 3, 3),
        "conv1.bias": draw(8),
        "conv2.weight": draw(8, 8, 3, 3),
        "conv2.bias": draw(8),
        "dense.weight": draw(5, 128),
        "dense.bias": draw(5),
    }
    conv = {
        "kernel_shape": [3, 3],
        "strides": [1, 1],
        "pads": [1, 1, 1, 1],
        "dilations": [1, 1],
        "group": 1,
    }
    pool = {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [0, 0, 0, 0], "ceil_mode": 0}
    nodes = (
        Node("conv1", "Conv", ("image", "conv1.weight", "conv1.bias"), ("conv1",), conv),
        Node("relu1", "Relu", ("conv1",), ("relu1",)),
        Node("pool", "MaxPool", ("relu1",), ("pool",), pool),
        Node("conv2", "Conv", ("pool", "conv2.weight", "conv2.bias"), ("conv2",), conv),
        Node("relu2", "Relu", ("conv2",), ("relu2",)),
        Node("add", "Add", ("relu2", "pool"), ("add",)),
        Node("flatten", "Flatten", ("add",), ("flatten",), {"axis": 1}),
        Node(
            "dense", "Gemm", ("flatten", "dense.weight", "dense.bias"), ("logits",), {"transB": 1}
        ),
    )
    return Graph(
        "small",
        nodes,
        (TensorSpec("image", (None, 3, 8, 8)),),
        (TensorSpec("logits", (None, 5)),),
        weights,
    )


def mixed_network() -> Graph:
    """The small network with one class 3e5 times larger, and one channel 200 times smaller."""
    graph = small_network()
    for name in DENSE:
        graph.weights[name][LARGE_CLASS] *= 3e5
    for name in ("conv2.weight", "conv2.bias"):
        graph.weights[name][SMALL_CHANNEL] *= 0.005
    return graph


class RandomImages:
    """Images of 3x8x8 from a seed: what `create` needs of a data set."""

    fingerprint = "seed 3"

    def __init__(self, available: int = 1_000_000) -> None:
        self._available = available

    def batches(
        self, num_samples: int, batch_size: int, start: int = 0
    ) -> Iterator[pa.RecordBatch]:
        random = np.random.default_rng(3 + start)
        end = start + min(num_samples, self._available)
        for first in range(start, end, batch_size):
            rows = min(batch_size, end - first)
            images = random.integers(0, 256, (rows, 3, 8, 8), np.uint8)
            yield pa.RecordBatch.from_arrays(
                [
                    pa.array(np.arange(first, first + rows)),
                    pa.array(np.arange(rows) % 5, pa.uint8()),
                    tensor_column.from_numpy(images),
                ],
                names=["id", "label", "image"],
            )

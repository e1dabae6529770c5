"""Small networks, images for them, and what the reference makes of them."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from columnar_nn.data import tensor_column
from columnar_nn.model.graph import Graph, Node, TensorSpec
from reference.evaluate import evaluate

CONV = {"strides": [1, 1], "dilations": [1, 1], "group": 1}
PADDED = {**CONV, "pads": [1, 1, 1, 1]}


def residual_network() -> Graph:
    """A residual block with batch normalization, a tap in its middle, pooling and a classifier."""
    random = np.random.default_rng(7)

    def normal(*shape: int) -> np.ndarray:
        return random.standard_normal(shape, dtype=np.float32) / 2

    weights = {
        "w1": normal(20, 3, 3, 3),
        "b1": normal(20),
        "w2": normal(20, 20, 3, 3),
        "scale": normal(20),
        "shift": normal(20),
        "mean": normal(20),
        "variance": np.abs(normal(20)) + np.float32(0.5),
        "wd": normal(5, 20),
        "bd": normal(5),
    }
    nodes = (
        Node("conv1", "Conv", ("image", "w1", "b1"), ("c1",), PADDED),
        Node("relu1", "Relu", ("c1",), ("r1",)),
        Node("conv2", "Conv", ("r1", "w2"), ("c2",), PADDED),
        Node(
            "norm",
            "BatchNormalization",
            ("c2", "scale", "shift", "mean", "variance"),
            ("n2",),
            {"epsilon": 1e-3},
        ),
        Node("add", "Add", ("n2", "r1"), ("sum",)),
        Node("relu2", "Relu", ("sum",), ("r2",)),
        Node("pool", "GlobalAveragePool", ("r2",), ("pooled",)),
        Node("flatten", "Flatten", ("pooled",), ("features",), {"axis": 1}),
        Node("dense", "Gemm", ("features", "wd", "bd"), ("logits",), {"transB": 1}),
    )
    image = TensorSpec("image", (None, 3, 9, 7))
    return Graph("residual", nodes, (image,), (TensorSpec("logits", (None, 5)),), weights)


def images(rows: int, shape: tuple[int, ...] = (3, 9, 7), seed: int = 0) -> pa.RecordBatch:
    """`rows` random images with ids and labels."""
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (rows, *shape), dtype=np.uint8)
    return pa.record_batch(
        {
            "id": pa.array(range(rows), pa.int64()),
            "label": pa.array(random.integers(0, 5, rows), pa.uint8()),
            "image": tensor_column.from_numpy(pixels),
        }
    )


def expected(graph: Graph, batch: pa.RecordBatch, *names: str) -> list[np.ndarray]:
    """Tensors `names` of the graph for the batch, by the reference."""
    pixels = tensor_column.to_numpy(batch.column("image")).astype(np.float32) / np.float32(255)
    results = evaluate(graph.nodes, graph.weights, {graph.inputs[0].name: pixels}, list(names))
    return [results[name] for name in names]


def column(table: pa.Table, name: str) -> np.ndarray:
    """A tensor column of a table as one array."""
    return tensor_column.to_numpy(table.column(name).combine_chunks())

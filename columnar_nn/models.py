"""Networks built in code, and a name or an ONNX path resolved to a graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from columnar_nn.errors import UsageError
from columnar_nn.graph import Graph, Node, TensorSpec

PLAIN9_FILTERS = (16, 16, 32, 32, 64, 64, 1)
WEIGHTS = Path(__file__).parent / "weights"


def plain9(seed: int = 0) -> Graph:
    """The study's network: seven 3x3 valid convolutions, each with a ReLU, and a dense layer.

    Input "image" [N, 3, 32, 32], output "logits" [N, 10], 75,907 parameters; weights are drawn
    from He et al.'s normal distribution (arXiv:1502.01852) with `seed`.
    """
    random = np.random.default_rng(seed)
    weights: dict[str, np.ndarray] = {}
    nodes: list[Node] = []

    def add_weights(layer: str, shape: tuple[int, ...]) -> tuple[str, str]:
        deviation = np.sqrt(2.0 / np.prod(shape[1:]))
        weights[f"{layer}.weight"] = (random.standard_normal(shape) * deviation).astype(np.float32)
        weights[f"{layer}.bias"] = np.zeros(shape[0], np.float32)
        return f"{layer}.weight", f"{layer}.bias"

    tensor, channels, size = "image", 3, 32
    for index, filters in enumerate(PLAIN9_FILTERS, start=1):
        conv, relu = f"conv{index}", f"relu{index}"
        parameters = add_weights(conv, (filters, channels, 3, 3))
        attributes = {
            "kernel_shape": [3, 3],
            "strides": [1, 1],
            "pads": [0, 0, 0, 0],
            "dilations": [1, 1],
            "group": 1,
        }
        nodes.append(Node(conv, "Conv", (tensor, *parameters), (conv,), attributes))
        nodes.append(Node(relu, "Relu", (conv,), (relu,)))
        tensor, channels, size = relu, filters, size - 2
    nodes.append(Node("flatten", "Flatten", (tensor,), ("flatten",), {"axis": 1}))
    parameters = add_weights("dense", (10, channels * size * size))
    gemm = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
    nodes.append(Node("dense", "Gemm", ("flatten", *parameters), ("logits",), gemm))
    return Graph(
        "plain9",
        tuple(nodes),
        (TensorSpec("image", (None, 3, 32, 32)),),
        (TensorSpec("logits", (None, 10)),),
        weights,
    )


BUILDERS: dict[str, Callable[[], Graph]] = {"plain9": plain9}


def build(name: str) -> Graph:
    """The network called `name` with seeded random weights; raises UsageError if unknown."""
    if name not in BUILDERS:
        raise UsageError(f"unknown model {name!r}: choose from {', '.join(BUILDERS)}")
    return BUILDERS[name]()


def resolve(name_or_path: str) -> Graph:
    """The graph meant by a user: a path to an .onnx file, or a network's name.

    A name takes the trained weights shipped in `weights/<name>.onnx` if there are any, else
    the seeded random ones.
    """
    from columnar_nn import onnx_io

    if name_or_path.endswith(".onnx"):
        return onnx_io.load(name_or_path)
    shipped = WEIGHTS / f"{name_or_path}.onnx"
    return onnx_io.load(shipped) if shipped.exists() else build(name_or_path)

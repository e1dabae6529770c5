"""Small networks that meet every layer the velox backend knows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from columnar_nn.model.graph import Graph, Node, TensorSpec


class Chain:
    """A network under construction; each method adds a node and returns its output's name.

    Its input is square images, or features if their size is 0.
    """

    def __init__(self, channels: int, size: int, seed: int = 0) -> None:
        self.random = np.random.default_rng(seed)
        self.nodes: list[Node] = []
        self.weights: dict[str, np.ndarray] = {}
        shape = (None, channels, size, size) if size else (None, channels)
        self.input = TensorSpec("image", shape)

    def add(self, op_type: str, inputs: Sequence[str], **attributes: object) -> str:
        name = f"{op_type.lower()}{len(self.nodes)}"
        self.nodes.append(Node(name, op_type, tuple(inputs), (name,), attributes))
        return name

    def weight(self, *shape: int) -> str:
        name = f"weight{len(self.weights)}"
        scale = np.sqrt(2 / max(1, np.prod(shape[1:])))
        self.weights[name] = (self.random.standard_normal(shape) * scale).astype(np.float32)
        return name

    def conv(
        self, source: str, channels: int, filters: int, kernel: int = 3, **attributes: object
    ) -> str:
        weight = self.weight(filters, channels, kernel, kernel)
        return self.add("Conv", (source, weight, self.weight(filters)), **attributes)

    def graph(self, output: str, shape: Sequence[int]) -> Graph:
        outputs = (TensorSpec(output, (None, *shape)),)
        return Graph("small", tuple(self.nodes), (self.input,), outputs, self.weights)


def plain() -> Graph:
    """Valid convolutions with ReLU, flatten, dense: plain9 in small."""
    net = Chain(3, 9)
    x = net.add("Relu", [net.conv("image", 3, 4)])
    x = net.add("Relu", [net.conv(x, 4, 6)])
    x = net.add("Relu", [net.conv(x, 6, 1)])
    x = net.add("Flatten", [x], axis=1)
    x = net.add("Gemm", [x, net.weight(5, 9), net.weight(5)], transB=1)
    return net.graph(x, [5])


def plain9_narrow() -> Graph:
    """plain9 with a quarter of its filters: as deep, which is what a single plan has to bear."""
    net = Chain(3, 32, seed=6)
    x, channels = "image", 3
    for filters in (4, 4, 8, 8, 16, 16, 1):
        x, channels = net.add("Relu", [net.conv(x, channels, filters)]), filters
    x = net.add("Flatten", [x], axis=1)
    return net.graph(net.add("Gemm", [x, net.weight(10, 324), net.weight(10)], transB=1), [10])


def several_channels() -> Graph:
    """Ends with several planes, two dense layers and ReLUs of which one is missing."""
    net = Chain(2, 7, seed=3)
    x = net.add("Relu", [net.conv("image", 2, 3)])
    x = net.conv(x, 3, 4, kernel=2, dilations=[2, 2])
    x = net.add("Flatten", [x], axis=1)
    x = net.add("Relu", [net.add("Gemm", [x, net.weight(6, 36), net.weight(6)], transB=1)])
    x = net.add("MatMul", [x, net.weight(6, 2)])
    return net.graph(x, [2])


def residual() -> Graph:
    """Padding, strides, a residual edge with its own convolution, global average, softmax."""
    net = Chain(3, 8, seed=1)
    stem = net.add("Relu", [net.conv("image", 3, 4, pads=[1, 1, 1, 1])])
    x = net.add("Relu", [net.conv(stem, 4, 4, pads=[1, 1, 1, 1])])
    x = net.conv(x, 4, 4, pads=[1, 1, 1, 1])
    x = net.add("Relu", [net.add("Add", [x, stem])])
    short = net.conv(x, 4, 8, kernel=1, strides=[2, 2])
    x = net.add("Relu", [net.conv(x, 4, 8, pads=[1, 1, 1, 1], strides=[2, 2])])
    x = net.conv(x, 8, 8, pads=[1, 1, 1, 1])
    x = net.add("Relu", [net.add("Add", [short, x])])
    x = net.add("Flatten", [net.add("GlobalAveragePool", [x])])
    x = net.add("Softmax", [net.add("MatMul", [x, net.weight(8, 3)])], axis=-1)
    return net.graph(x, [3])


def normalized() -> Graph:
    """Batch normalization folded into a convolution, and twice on its own."""
    net = Chain(2, 6, seed=4)

    def normalization(source: str, channels: int) -> str:
        gamma, beta, mean = (net.weight(channels) for _ in range(3))
        variance = net.weight(channels)
        net.weights[variance] = np.abs(net.weights[variance]) + np.float32(0.1)
        inputs = [source, gamma, beta, mean, variance]
        return net.add("BatchNormalization", inputs, epsilon=1e-3)

    x = net.add("Relu", [normalization(net.conv("image", 2, 4, pads=[1, 1, 1, 1]), 4)])
    y = net.add("Relu", [normalization(x, 4)])
    x = normalization(net.add("Add", [x, y]), 4)
    return net.graph(x, [4, 6, 6])


def pooled() -> Graph:
    """Max pooling with padding and with overlap, dilation, an image as output."""
    net = Chain(2, 11, seed=2)
    x = net.conv("image", 2, 4, dilations=[2, 2])
    x = net.add("MaxPool", [x], kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
    x = net.conv(x, 4, 5, pads=[1, 0, 0, 1])
    x = net.add("MaxPool", [net.add("Relu", [x])], kernel_shape=[2, 2])
    return net.graph(x, [5, 2, 2])


def features() -> Graph:
    """A dense layer that reads features, no image."""
    net = Chain(7, 0, seed=5)
    x = net.add("Gemm", ["image", net.weight(4, 7), net.weight(4)], transB=1, alpha=0.5)
    return net.graph(net.add("Relu", [x]), [4])


NETWORKS = {
    "features": features,
    "plain": plain,
    "several_channels": several_channels,
    "residual": residual,
    "normalized": normalized,
    "pooled": pooled,
}

"""Layers added one by one to a network, with random weights that keep its activations alive.

Filters come from He et al.'s normal distribution (arXiv:1502.01852). Batch normalisation gets
the statistics that its input would have if every value were normal and independent of the
others: mean and variance of each channel are followed through the layers. A convolution with
a bias is scaled and centred likewise. Without that, a deep random network gives every image
the same output.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from columnar_nn.model.graph import Graph, Node, Shape, TensorSpec
from columnar_nn.model.operators import with_defaults
from columnar_nn.model.shapes import infer_node

PIXEL_MEAN, PIXEL_VARIANCE = 0.45, 0.07
"""Roughly those of photographs with pixels in [0, 1]."""


class NetworkBuilder:
    """A network in the making. Every method adds one node and returns its output's name,
    which is the node's name; attributes are in canonical form (see canonical.py).
    """

    def __init__(self, name: str, image: tuple[int, int, int], seed: int = 0) -> None:
        """A network whose input "image" is [N, *image]; `seed` draws all of the weights."""
        self._name = name
        self._random = np.random.default_rng(seed)
        self._nodes: list[Node] = []
        self._weights: dict[str, np.ndarray] = {}
        self._shapes: dict[str, Shape] = {"image": (None, *image)}
        channels = np.ones(image[0])
        self._moments = {"image": (PIXEL_MEAN * channels, PIXEL_VARIANCE * channels)}

    def graph(self, output: str) -> Graph:
        """The finished network, whose one output is the tensor `output`."""
        return Graph(
            self._name,
            tuple(self._nodes),
            (TensorSpec("image", self._shapes["image"]),),
            (TensorSpec(output, self._shapes[output]),),
            self._weights,
        )

    def channels(self, tensor: str) -> int:
        """Second dimension of a tensor."""
        channels = self._shapes[tensor][1]
        assert channels is not None, "only the batch is symbolic"
        return channels

    def conv(
        self,
        name: str,
        tensor: str,
        filters: int,
        kernel: int,
        *,
        stride: int = 1,
        pad: int = 0,
        group: int = 1,
        bias: bool = False,
    ) -> str:
        """Square convolution, the same padding on all sides.

        With a bias, no batch normalisation follows: filters and bias do its work.
        """
        channels = self.channels(tensor)
        weight = self._he_normal(name, (filters, channels // group, kernel, kernel))
        parameters = [f"{name}.weight"]
        inputs = [moment.reshape(group, 1, -1) for moment in self._moments[tensor]]
        grouped = weight.reshape(group, filters // group, channels // group, -1).astype(np.float64)
        mean = (grouped.sum(axis=3) * inputs[0]).sum(axis=2).reshape(-1)
        variance = ((grouped**2).sum(axis=3) * inputs[1]).sum(axis=2).reshape(-1)
        if bias:
            gain = 1.0 / np.sqrt(variance.mean())
            self._weights[f"{name}.weight"] = (weight * gain).astype(np.float32)
            self._weights[f"{name}.bias"] = (-mean * gain).astype(np.float32)
            parameters.append(f"{name}.bias")
            mean, variance = np.zeros(filters), variance * gain**2
        self._moments[name] = (mean, variance)
        attributes = {
            "dilations": [1, 1],
            "group": group,
            "kernel_shape": [kernel] * 2,
            "pads": [pad] * 4,
            "strides": [stride] * 2,
        }
        return self._add("Conv", name, [tensor, *parameters], attributes)

    def batch_norm(self, name: str, tensor: str) -> str:
        """Batch normalisation with a scale about 1, a bias about 0 and fitting statistics."""
        mean, variance = self._moments[tensor]
        scale = self._random.uniform(0.8, 1.2, mean.shape)
        bias = self._random.normal(0.0, 0.2, mean.shape)
        values = {"scale": scale, "bias": bias, "mean": mean, "variance": variance}
        for what, array in values.items():
            self._weights[f"{name}.{what}"] = array.astype(np.float32)
        self._moments[name] = (bias, scale**2)
        inputs = [tensor, *(f"{name}.{what}" for what in values)]
        return self._add("BatchNormalization", name, inputs, {})

    def relu(self, name: str, tensor: str) -> str:
        """max(x, 0)."""
        self._moments[name] = _rectified(*self._moments[tensor])
        return self._add("Relu", name, [tensor], {})

    def relu6(self, name: str, tensor: str) -> str:
        """min(max(x, 0), 6), in ONNX a Clip between two constants."""
        self._moments[name] = _rectified(*self._moments[tensor])
        self._weights["relu6.min"] = np.array(0.0, np.float32)
        self._weights["relu6.max"] = np.array(6.0, np.float32)
        return self._add("Clip", name, [tensor, "relu6.min", "relu6.max"], {})

    def add(self, name: str, left: str, right: str) -> str:
        """Sum of two tensors of one shape."""
        (mean, variance), (other_mean, other_variance) = self._moments[left], self._moments[right]
        self._moments[name] = (mean + other_mean, variance + other_variance)
        return self._add("Add", name, [left, right], {})

    def concat(self, name: str, tensors: Sequence[str]) -> str:
        """Channels of several tensors, one after the other."""
        means, variances = zip(*(self._moments[t] for t in tensors), strict=True)
        self._moments[name] = (np.concatenate(means), np.concatenate(variances))
        return self._add("Concat", name, tensors, {"axis": 1})

    def max_pool(
        self, name: str, tensor: str, kernel: int, stride: int, *, pad: int = 0, ceil: bool = False
    ) -> str:
        """Largest value of each square window."""
        self._moments[name] = self._moments[tensor]
        attributes = {
            "ceil_mode": int(ceil),
            "dilations": [1, 1],
            "kernel_shape": [kernel] * 2,
            "pads": [pad] * 4,
            "strides": [stride] * 2,
        }
        return self._add("MaxPool", name, [tensor], attributes)

    def global_average_pool(self, name: str, tensor: str) -> str:
        """Mean of each channel."""
        return self._add("GlobalAveragePool", name, [tensor], {})

    def flatten(self, name: str, tensor: str) -> str:
        """All values of an image in one row."""
        return self._add("Flatten", name, [tensor], {"axis": 1})

    def dense(self, name: str, tensor: str, units: int, *, output: str) -> str:
        """Fully connected layer; its output is called `output`, not after the node."""
        self._he_normal(name, (units, self.channels(tensor)))
        self._weights[f"{name}.bias"] = np.zeros(units, np.float32)
        attributes = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}
        inputs = [tensor, f"{name}.weight", f"{name}.bias"]
        return self._add("Gemm", name, inputs, attributes, output)

    def _he_normal(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """A new weight drawn with variance 2 / fan-in."""
        deviation = math.sqrt(2.0 / math.prod(shape[1:]))
        weight = (self._random.standard_normal(shape) * deviation).astype(np.float32)
        self._weights[f"{name}.weight"] = weight
        return weight

    def _add(
        self,
        op_type: str,
        name: str,
        inputs: Sequence[str],
        attributes: dict[str, Any],
        output: str = "",
    ) -> str:
        node = with_defaults(Node(name, op_type, tuple(inputs), (output or name,), attributes))
        shapes = self._shapes | {t: self._weights[t].shape for t in inputs if t in self._weights}
        (self._shapes[node.outputs[0]],) = infer_node(node, shapes, self._weights)
        self._nodes.append(node)
        return node.outputs[0]


def _rectified(mean: np.ndarray, variance: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of max(x, 0) for normal x."""
    deviation = np.sqrt(variance)
    ratio = mean / deviation
    below = 0.5 * np.array([math.erfc(r / math.sqrt(2.0)) for r in ratio])
    density = np.exp(-0.5 * ratio**2) / math.sqrt(2.0 * math.pi)
    rectified = mean * (1.0 - below) + deviation * density
    square = (mean**2 + variance) * (1.0 - below) + mean * deviation * density
    return rectified, np.maximum(square - rectified**2, 1e-6 * variance)

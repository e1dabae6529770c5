"""Layers added one by one to a network, with random weights that keep its activations alive.

Filters come from He et al.'s normal distribution (arXiv:1502.01852). Batch normalisation gets
the statistics that its input would have if every value were normal and independent of the
others: mean and variance of each channel are followed through the layers. A convolution with
a bias is scaled and centred likewise. Without that, a deep random network gives every image
the same output.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from columnar_nn.model.graph import Graph, Node, Shape, TensorSpec
from columnar_nn.model.networks import moments
from columnar_nn.model.networks.moments import Moments
from columnar_nn.model.operators import with_defaults
from columnar_nn.model.shapes import infer_node

PIXEL_MEAN, PIXEL_VARIANCE = 0.45, 0.07
"""Roughly those of photographs with pixels in [0, 1]."""

_DRAWN = 2**20 - 3
"""Values of a layer that are drawn; a larger one repeats them, which takes a tenth of the time.

It is a prime, so that no two units or filters get the same ones.
"""


class NetworkBuilder:
    """A network in the making. Every method adds a node, or a few, and returns its output's name,
    which is the node's name; attributes are in canonical form (see canonical.py).
    """

    def __init__(self, name: str, image: tuple[int, int, int], seed: int | None = 0) -> None:
        """A network whose input "image" is [N, *image]; `seed` draws all of the weights.

        Without one, filters and matrices are zeros that take neither memory nor time: for those
        who ask for no more than what the layers are.
        """
        self._name = name
        self._is_drawn = seed is not None
        self._random = np.random.default_rng(seed or 0)
        self._nodes: list[Node] = []
        self._weights: dict[str, np.ndarray] = {}
        self._shapes: dict[str, Shape] = {"image": (None, *image)}
        channels = np.ones(image[0])
        self._moments = {"image": Moments(PIXEL_MEAN * channels, PIXEL_VARIANCE * channels)}

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
        return self.size(tensor, 1)

    def size(self, tensor: str, axis: int) -> int:
        """A dimension of a tensor, other than the batch."""
        size = self._shapes[tensor][axis]
        assert size is not None, "only the batch is symbolic"
        return size

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
        made = self._made(filters, lambda: self._moments[tensor].convolved(weight, group))
        parameters = [f"{name}.weight"]
        if bias:
            made = self._centred(name, made)
            parameters.append(f"{name}.bias")
        attributes = {
            "dilations": [1, 1],
            "group": group,
            "kernel_shape": [kernel] * 2,
            "pads": [pad] * 4,
            "strides": [stride] * 2,
        }
        return self._add("Conv", name, [tensor, *parameters], attributes, made)

    def up_conv(self, name: str, tensor: str, filters: int, factor: int) -> str:
        """Transposed convolution with a bias that makes `factor` x `factor` pixels of each."""
        channels = self.channels(tensor)
        drawn = self._normal((channels, filters, factor, factor), math.sqrt(2.0 / channels))
        self._weights[f"{name}.weight"] = drawn
        made = self._made(filters, lambda: self._moments[tensor].up_convolved(drawn))
        made = self._centred(name, made)
        attributes = {
            "dilations": [1, 1],
            "group": 1,
            "kernel_shape": [factor] * 2,
            "output_padding": [0, 0],
            "pads": [0] * 4,
            "strides": [factor] * 2,
        }
        inputs = [tensor, f"{name}.weight", f"{name}.bias"]
        return self._add("ConvTranspose", name, inputs, attributes, made)

    def batch_norm(self, name: str, tensor: str) -> str:
        """Batch normalisation with a scale about 1, a bias about 0 and fitting statistics."""
        mean, variance = self._moments[tensor]
        scale, bias = self._scale_and_bias(name, len(mean))
        for what, array in {"mean": mean, "variance": variance}.items():
            self._weights[f"{name}.{what}"] = array.astype(np.float32)
        parameters = [f"{name}.{what}" for what in ("scale", "bias", "mean", "variance")]
        made = Moments(bias, scale**2)
        return self._add("BatchNormalization", name, [tensor, *parameters], {}, made)

    def layer_norm(self, name: str, tensor: str) -> str:
        """Layer normalisation over the last axis, the channels, as transformers have it."""
        centred = self._moments[tensor].normalized()
        scale, bias = self._scale_and_bias(name, len(centred.mean))
        made = Moments(centred.mean * scale + bias, centred.variance * scale**2)
        attributes = {"axis": -1, "epsilon": float(np.float32(1e-6))}
        inputs = [tensor, f"{name}.scale", f"{name}.bias"]
        return self._add("LayerNormalization", name, inputs, attributes, made)

    def relu(self, name: str, tensor: str) -> str:
        """max(x, 0)."""
        return self._add("Relu", name, [tensor], {}, self._moments[tensor].rectified())

    def relu6(self, name: str, tensor: str) -> str:
        """min(max(x, 0), 6), in ONNX a Clip between two constants."""
        self._weights["relu6.min"] = np.array(0.0, np.float32)
        self._weights["relu6.max"] = np.array(6.0, np.float32)
        inputs = [tensor, "relu6.min", "relu6.max"]
        return self._add("Clip", name, inputs, {}, self._moments[tensor].rectified())

    def sigmoid(self, name: str, tensor: str) -> str:
        """The logistic function."""
        made = self._moments[tensor].through(moments.sigmoid)
        return self._add("Sigmoid", name, [tensor], {}, made)

    def hard_sigmoid(self, name: str, tensor: str) -> str:
        """max(0, min(1, x / 6 + 1/2))."""
        attributes = {"alpha": float(np.float32(1 / 6)), "beta": 0.5}
        made = self._moments[tensor].through(moments.hard_sigmoid)
        return self._add("HardSigmoid", name, [tensor], attributes, made)

    def silu(self, name: str, tensor: str) -> str:
        """x times its sigmoid, in ONNX two nodes."""
        gate = self.sigmoid(f"{name}.sigmoid", tensor)
        made = self._moments[tensor].through(moments.silu)
        return self._add("Mul", name, [tensor, gate], {}, made)

    def hard_swish(self, name: str, tensor: str) -> str:
        """x times its hard sigmoid."""
        made = self._moments[tensor].through(moments.hard_swish)
        return self._add("HardSwish", name, [tensor], {}, made)

    def gelu(self, name: str, tensor: str) -> str:
        """x times the normal distribution's function."""
        made = self._moments[tensor].through(moments.gelu)
        return self._add("Gelu", name, [tensor], {}, made)

    def softmax(self, name: str, tensor: str) -> str:
        """Shares of 1 along the last axis."""
        return self._add("Softmax", name, [tensor], {"axis": -1}, self._moments[tensor])

    def local_response(self, name: str, tensor: str) -> str:
        """Each value divided by what it and its neighbours among the channels come to, about 1."""
        attributes = {"alpha": float(np.float32(1e-4)), "beta": 0.75, "bias": 1.0, "size": 5}
        return self._add("LRN", name, [tensor], attributes, self._moments[tensor])

    def add(self, name: str, left: str, right: str) -> str:
        """Sum of two tensors of one shape."""
        made = self._moments[left].plus(self._moments[right])
        return self._add("Add", name, [left, right], {}, made)

    def add_constant(self, name: str, tensor: str, values: np.ndarray) -> str:
        """Sum of a tensor and what is the same for every image."""
        self._weights[f"{name}.constant"] = values.astype(np.float32)
        return self._add("Add", name, [tensor, f"{name}.constant"], {}, self._moments[tensor])

    def multiply(self, name: str, left: str, right: str) -> str:
        """Product, value by value, of two tensors that broadcast together."""
        made = self._moments[left].times(self._moments[right])
        return self._add("Mul", name, [left, right], {}, made)

    def scale(self, name: str, tensor: str, factors: np.ndarray) -> str:
        """A tensor times one factor, or one for each channel in a shape that broadcasts to it."""
        self._weights[f"{name}.factor"] = factors.astype(np.float32)
        made = self._moments[tensor].scaled(factors.reshape(-1))
        return self._add("Mul", name, [tensor, f"{name}.factor"], {}, made)

    def concat(self, name: str, tensors: Sequence[str]) -> str:
        """Channels of several tensors, one after the other."""
        means, variances = zip(*(self._moments[t] for t in tensors), strict=True)
        made = Moments(np.concatenate(means), np.concatenate(variances))
        return self._add("Concat", name, tensors, {"axis": 1}, made)

    def some_channels(self, name: str, tensor: str, start: int, end: int, *, axis: int = 1) -> str:
        """Channels from `start` up to `end`; `axis` says where the tensor has its channels."""
        inputs = [tensor]
        for what, value in {"starts": start, "ends": end, "axes": axis}.items():
            inputs.append(self._integers(f"{name}.{what}", [value]))
        made = Moments(*(moment[start:end] for moment in self._moments[tensor]))
        return self._add("Slice", name, inputs, {}, made)

    def shuffle(self, name: str, tensor: str, groups: int) -> str:
        """Channels dealt out anew: the first of each group, then the second of each, and so on."""
        channels, height, width = (self.size(tensor, axis) for axis in (1, 2, 3))
        apart = self.reshape(
            f"{name}.groups", tensor, [0, groups, channels // groups, height, width]
        )
        swapped = self.transpose(f"{name}.swap", apart, [0, 2, 1, 3, 4])
        made = self.reshape(name, swapped, [0, channels, height, width])
        dealt = (moment.reshape(groups, -1).T.reshape(-1) for moment in self._moments[tensor])
        self._moments[made] = Moments(*dealt)
        return made

    def max_pool(
        self, name: str, tensor: str, kernel: int, stride: int, *, pad: int = 0, ceil: bool = False
    ) -> str:
        """Largest value of each square window."""
        attributes = {**_pooling(kernel, stride, pad), "ceil_mode": int(ceil)}
        return self._add("MaxPool", name, [tensor], attributes, self._moments[tensor])

    def average_pool(self, name: str, tensor: str, kernel: int, stride: int) -> str:
        """Mean of each square window; neighbours are taken to be alike."""
        attributes = {**_pooling(kernel, stride, 0), "ceil_mode": 0, "count_include_pad": 0}
        return self._add("AveragePool", name, [tensor], attributes, self._moments[tensor])

    def global_average_pool(self, name: str, tensor: str) -> str:
        """Mean of each channel."""
        return self._add("GlobalAveragePool", name, [tensor], {}, self._moments[tensor])

    def flatten(self, name: str, tensor: str) -> str:
        """All values of an image in one row."""
        pixels = math.prod(size or 1 for size in self._shapes[tensor][2:])
        made = Moments(*(moment.repeat(pixels) for moment in self._moments[tensor]))
        return self._add("Flatten", name, [tensor], {"axis": 1}, made)

    def reshape(self, name: str, tensor: str, shape: Sequence[int]) -> str:
        """The same values in another shape, in which 0 is a dimension as it is."""
        inputs = [tensor, self._integers(f"{name}.shape", shape)]
        return self._add("Reshape", name, inputs, {}, self._moments[tensor])

    def transpose(self, name: str, tensor: str, perm: Sequence[int]) -> str:
        """Dimension perm[i] of the tensor as dimension i."""
        return self._add("Transpose", name, [tensor], {"perm": list(perm)}, self._moments[tensor])

    def room_before(self, name: str, tensor: str) -> str:
        """A tensor [N, tokens, channels] with one token of zeros more, the first."""
        inputs = [tensor, self._integers(f"{name}.pads", [0, 1, 0, 0, 0, 0])]
        return self._add("Pad", name, inputs, {"mode": "constant"}, self._moments[tensor])

    def first_token(self, name: str, tensor: str) -> str:
        """[N, channels] of a tensor [N, tokens, channels]."""
        self._weights[f"{name}.index"] = np.array(0, np.int64)
        inputs = [tensor, f"{name}.index"]
        return self._add("Gather", name, inputs, {"axis": 1}, self._moments[tensor])

    def mat_mul(self, name: str, left: str, right: str) -> str:
        """Product of two matrices of each image; where `left` are shares, means of `right`."""
        return self._add("MatMul", name, [left, right], {}, self._moments[right])

    def linear(self, name: str, tensor: str, units: int) -> str:
        """Fully connected layer of the last axis, the channels, scaled and centred: two nodes."""
        inputs = self.size(tensor, -1)
        weight = self._he_normal(name, (units, inputs))
        made = self._centred(name, self._summed(weight, tensor))
        self._weights[f"{name}.weight"] = np.ascontiguousarray(self._weights[f"{name}.weight"].T)
        product = self._add("MatMul", f"{name}.product", [tensor, f"{name}.weight"], {}, made)
        return self._add("Add", name, [product, f"{name}.bias"], {}, made)

    def hidden(self, name: str, tensor: str, units: int) -> str:
        """Fully connected layer of rows, scaled and centred."""
        weight = self._he_normal(name, (units, self.channels(tensor)))
        made = self._centred(name, self._summed(weight, tensor))
        inputs = [tensor, f"{name}.weight", f"{name}.bias"]
        return self._add("Gemm", name, inputs, dict(_DENSE), made)

    def dense(self, name: str, tensor: str, units: int, *, output: str) -> str:
        """The last layer, fully connected; its output is called `output`, not after the node."""
        weight = self._he_normal(name, (units, self.channels(tensor)))
        self._weights[f"{name}.bias"] = np.zeros(units, np.float32)
        inputs = [tensor, f"{name}.weight", f"{name}.bias"]
        made = self._summed(weight, tensor)
        return self._add("Gemm", name, inputs, dict(_DENSE), made, output)

    def uniform(self, low: float, high: float, size: int) -> np.ndarray:
        """Parameters drawn between two bounds."""
        return self._random.uniform(low, high, size)

    def normal(self, deviation: float, shape: tuple[int, ...]) -> np.ndarray:
        """Parameters drawn about 0."""
        return self._normal(shape, deviation)

    def _scale_and_bias(self, name: str, channels: int) -> tuple[np.ndarray, np.ndarray]:
        """New parameters of a normalisation: scales about 1, then biases about 0."""
        scale = self._random.uniform(0.8, 1.2, channels)
        bias = self._random.normal(0.0, 0.2, channels)
        self._weights[f"{name}.scale"] = scale.astype(np.float32)
        self._weights[f"{name}.bias"] = bias.astype(np.float32)
        return scale, bias

    def _he_normal(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        """A new weight drawn with variance 2 / fan-in."""
        weight = self._normal(shape, math.sqrt(2.0 / math.prod(shape[1:])))
        self._weights[f"{name}.weight"] = weight
        return weight

    def _normal(self, shape: tuple[int, ...], deviation: float) -> np.ndarray:
        if not self._is_drawn:
            return np.broadcast_to(np.float32(0), shape)
        values = np.empty(math.prod(shape), np.float32)
        drawn = values[:_DRAWN]
        drawn[:] = self._random.standard_normal(len(drawn)) * deviation
        for start in range(_DRAWN, len(values), _DRAWN):
            rest = values[start : start + _DRAWN]
            rest[:] = drawn[: len(rest)]
        return values.reshape(shape)

    def _summed(self, weight: np.ndarray, tensor: str) -> Moments:
        """Of the sums that a weight [units, channels] makes."""
        return self._made(len(weight), lambda: self._moments[tensor].summed(weight))

    def _made(self, units: int, moments: Callable[[], Moments]) -> Moments:
        """Those of what weights make of a tensor; some where weights are not drawn."""
        return moments() if self._is_drawn else Moments(np.zeros(units), np.ones(units))

    def _centred(self, name: str, made: Moments) -> Moments:
        """Scales a layer's weight, and gives it a bias, so that its outputs are about 0 and 1."""
        gain = 1.0 / np.sqrt(made.variance.mean())
        weight = self._weights[f"{name}.weight"]
        if self._is_drawn:
            np.multiply(weight, gain, out=weight, casting="same_kind")
        self._weights[f"{name}.bias"] = (-made.mean * gain).astype(np.float32)
        return Moments(np.zeros(len(made.mean)), made.variance * gain**2)

    def _integers(self, name: str, values: Sequence[int]) -> str:
        """A new constant of a node: shapes, axes, pads."""
        self._weights[name] = np.array(values, np.int64)
        return name

    def _add(
        self,
        op_type: str,
        name: str,
        inputs: Sequence[str],
        attributes: dict[str, Any],
        made: Moments,
        output: str = "",
    ) -> str:
        node = with_defaults(Node(name, op_type, tuple(inputs), (output or name,), attributes))
        shapes = self._shapes | {t: self._weights[t].shape for t in inputs if t in self._weights}
        (self._shapes[node.outputs[0]],) = infer_node(node, shapes, self._weights)
        self._moments[node.outputs[0]] = made
        self._nodes.append(node)
        return node.outputs[0]


_DENSE = {"alpha": 1.0, "beta": 1.0, "transA": 0, "transB": 1}


def _pooling(kernel: int, stride: int, pad: int) -> dict[str, Any]:
    return {
        "dilations": [1, 1],
        "kernel_shape": [kernel] * 2,
        "pads": [pad] * 4,
        "strides": [stride] * 2,
    }

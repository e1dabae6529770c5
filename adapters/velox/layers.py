"""The network as the few kinds of layer that the formulations say in Velox's terms.

A Conv takes the BatchNormalization, the Add and the Relu after it along when nothing else reads
what lies between.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from adapters.network_nodes import network_nodes
from columnar_nn.model.graph import Graph, Node, Shape
from columnar_nn.model.shape_rules.operands import Operands
from columnar_nn.model.shape_rules.window import Window, conv_window, pool_window
from columnar_nn.model.shapes import infer_shapes

OPERATORS = {
    "Add",
    "BatchNormalization",
    "Conv",
    "Dropout",
    "Flatten",
    "Gemm",
    "GlobalAveragePool",
    "Identity",
    "MatMul",
    "MaxPool",
    "Relu",
    "Softmax",
}
ALIASES = {"Dropout", "Flatten", "Identity"}
"""Operators whose output is their input, in this backend's layout."""


@dataclass(frozen=True)
class Layer:
    """One step of the network: `output` computed from `inputs`, tensors by name.

    `shape` is the output's without the batch: (channels, height, width) or (features,).
    """

    operator: ClassVar[str]
    """The ONNX operator it stems from."""
    name: str
    inputs: tuple[str, ...]
    output: str
    shape: tuple[int, ...]


@dataclass(frozen=True)
class Convolution(Layer):
    """filters [K, C, R, S], bias [K]; a second input, if any, is added before the ReLU."""

    operator: ClassVar[str] = "Conv"
    filters: np.ndarray
    bias: np.ndarray
    window: Window
    relu: bool = False


@dataclass(frozen=True)
class MaxPool(Layer):
    """The largest value of each window; padding never wins."""

    operator: ClassVar[str] = "MaxPool"
    window: Window


@dataclass(frozen=True)
class GlobalAverage(Layer):
    """The mean of each channel."""

    operator: ClassVar[str] = "GlobalAveragePool"


@dataclass(frozen=True)
class Dense(Layer):
    """weights [outputs, features], bias [outputs]."""

    operator: ClassVar[str] = "Gemm"
    weights: np.ndarray
    bias: np.ndarray
    relu: bool = False


@dataclass(frozen=True)
class Elementwise(Layer):
    """Sum of the inputs (one or two), then perhaps ReLU."""

    operator: ClassVar[str] = "Add"
    relu: bool


@dataclass(frozen=True)
class Affine(Layer):
    """x * scale + offset with one scale and offset [C] a channel, then perhaps ReLU."""

    operator: ClassVar[str] = "BatchNormalization"
    scale: np.ndarray
    offset: np.ndarray
    relu: bool = False


@dataclass(frozen=True)
class Softmax(Layer):
    """Softmax over the features."""

    operator: ClassVar[str] = "Softmax"


@dataclass(frozen=True)
class Network:
    """Layers in order, the shape of the image [C, H, W], and the layer behind each output.

    A network that reads features has images of one pixel.
    """

    image: str
    image_shape: tuple[int, int, int]
    layers: tuple[Layer, ...]
    outputs: tuple[str, ...]

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Shape of the image or of a layer's output."""
        if tensor == self.image:
            return self.image_shape
        return next(layer.shape for layer in self.layers if layer.output == tensor)


def lower(graph: Graph) -> Network:
    """The layers of `graph`; raises UnsupportedOperatorError listing every node it cannot say."""
    nodes = network_nodes(graph, "velox", OPERATORS, _objection)
    image = graph.inputs[0]
    shapes = infer_shapes(graph)
    alias: dict[str, str] = {}
    layers: list[Layer] = []
    for operands in nodes:
        node = operands.node
        if node.op_type in ALIASES:
            source = node.inputs[0]
            alias[node.outputs[0]] = alias.get(source, source)
            continue
        inputs = tuple(alias.get(t, t) for t in node.inputs if t and t not in graph.weights)
        layers.append(_layer(operands, graph, inputs, _fixed(shapes[node.outputs[0]])))
    outputs = tuple(alias.get(spec.name, spec.name) for spec in graph.outputs)
    channels, height, width = (*_fixed(image.shape), 1, 1)[:3]
    fused = _fuse(layers, set(outputs))
    return Network(image.name, (channels, height, width), tuple(fused), outputs)


def _fixed(shape: Shape) -> tuple[int, ...]:
    return tuple(int(dimension or 0) for dimension in shape[1:])


def _objection(operands: Operands) -> str | None:
    """Why a node cannot be said in Velox's terms; None if it can."""
    node = operands.node
    if len(operands.shape(0)) not in (2, 4):
        return "only images and feature vectors"
    if len(set(operands.attribute("strides", [1]))) > 1:
        return "different strides down and across"
    rule = _OBJECTIONS.get(node.op_type)
    return rule(operands) if rule else None


def _conv_objection(operands: Operands) -> str | None:
    if operands.attribute("group", 1) != 1:
        return "group convolution"
    if len(set(conv_window(operands).strides)) > 1:
        return "different strides down and across"
    if any(operands.constants[i] is None for i in range(1, len(operands.shapes))):
        return "weights must be constant"
    return None


def _pool_objection(operands: Operands) -> str | None:
    if len(set(pool_window(operands).strides)) > 1:
        return "different strides down and across"
    return "ceil_mode" if operands.attribute("ceil_mode", 0) else None


def _dense_objection(operands: Operands) -> str | None:
    if len(operands.shape(0)) != 2 or operands.attribute("transA", 0):
        return "the left factor must be [batch, features]"
    if any(operands.constants[i] is None for i in range(1, len(operands.shapes))):
        return "weights must be constant"
    return None


def _normalization_objection(operands: Operands) -> str | None:
    constant = all(value is not None for value in operands.constants[1:])
    return None if constant else "weights must be constant"


def _add_objection(operands: Operands) -> str | None:
    if operands.shape(0) != operands.shape(1) or any(c is not None for c in operands.constants):
        return "broadcasting or a constant operand"
    return None


def _softmax_objection(operands: Operands) -> str | None:
    axis = operands.attribute("axis", -1)
    if len(operands.shape(0)) != 2 or axis not in (1, -1):
        return "only over the features of [batch, features]"
    return None


def _flatten_objection(operands: Operands) -> str | None:
    return None if operands.attribute("axis", 1) == 1 else "only axis 1"


_OBJECTIONS = {
    "Add": _add_objection,
    "BatchNormalization": _normalization_objection,
    "Conv": _conv_objection,
    "Flatten": _flatten_objection,
    "Gemm": _dense_objection,
    "MatMul": _dense_objection,
    "MaxPool": _pool_objection,
    "Softmax": _softmax_objection,
}


_PLAIN: dict[str, type[Layer]] = {"GlobalAveragePool": GlobalAverage, "Softmax": Softmax}
"""Layers that the node's name, edges and shape describe fully."""


def _layer(
    operands: Operands, graph: Graph, inputs: tuple[str, ...], shape: tuple[int, ...]
) -> Layer:
    node = operands.node
    common = (node.name, inputs, node.outputs[0], shape)
    if node.op_type == "Conv":
        filters = _weight(node, 1, graph)
        bias = _weight(node, 2, graph, np.zeros(len(filters), np.float32))
        return Convolution(*common, filters, bias, conv_window(operands))
    if node.op_type == "BatchNormalization":
        gamma, beta, mean, variance = (_weight(node, i, graph).astype(float) for i in range(1, 5))
        scale = gamma / np.sqrt(variance + operands.attribute("epsilon", 1e-5))
        return Affine(*common, scale, beta - mean * scale)
    if node.op_type == "MaxPool":
        return MaxPool(*common, pool_window(operands))
    if node.op_type in _PLAIN:
        return _PLAIN[node.op_type](*common)
    if node.op_type in ("Gemm", "MatMul"):
        weights = _weight(node, 1, graph)
        if not operands.attribute("transB", 0):
            weights = weights.T
        weights = np.float32(operands.attribute("alpha", 1.0)) * weights
        bias = _weight(node, 2, graph, np.zeros(1, np.float32))
        bias = np.float32(operands.attribute("beta", 1.0)) * bias
        bias = np.broadcast_to(bias, (1, len(weights)))[0]
        return Dense(*common, weights, bias)
    return Elementwise(*common, relu=node.op_type == "Relu")


def _weight(node: Node, index: int, graph: Graph, default: np.ndarray | None = None) -> np.ndarray:
    if index < len(node.inputs) and node.inputs[index]:
        return graph.weights[node.inputs[index]]
    assert default is not None, f"{node.name} has no input {index}"
    return default


def _fuse(layers: list[Layer], kept: set[str]) -> list[Layer]:
    """Merges a normalization, an Add and a Relu into the layer whose output only they read."""
    fused: list[Layer] = []
    for layer in layers:
        merged = None
        if isinstance(layer, Elementwise | Affine):
            for index, earlier in enumerate(fused):
                readers = sum(other.inputs.count(earlier.output) for other in layers)
                if earlier.output in layer.inputs and readers == 1 and earlier.output not in kept:
                    merged = _merge(earlier, layer)
                    # An addend made later than the convolution moves the sum to its own place.
                    if merged is not None:
                        del fused[index]
                        break
        fused.append(merged or layer)
    return fused


def _merge(earlier: Layer, layer: Elementwise | Affine) -> Layer | None:
    if not isinstance(earlier, Affine | Convolution | Dense | Elementwise) or earlier.relu:
        return None
    if isinstance(layer, Affine):
        if not isinstance(earlier, Convolution) or len(earlier.inputs) > 1:
            return None
        filters = earlier.filters * layer.scale[:, None, None, None]
        bias = earlier.bias * layer.scale + layer.offset
        filters, bias = filters.astype(np.float32), bias.astype(np.float32)
        return replace(earlier, output=layer.output, filters=filters, bias=bias, relu=layer.relu)
    others = tuple(tensor for tensor in layer.inputs if tensor != earlier.output)
    if others and not (isinstance(earlier, Convolution) and len(earlier.inputs) == 1):
        return None
    return replace(earlier, inputs=earlier.inputs + others, output=layer.output, relu=layer.relu)

"""The network as the few kinds of layer that the formulations say in Velox's terms.

A Conv takes the BatchNormalization, the Add and the Relu after it along when nothing else reads
what lies between.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np

from adapters.network_nodes import network_nodes
from columnar_nn.errors import UnsupportedOperatorError
from columnar_nn.model.graph import Graph, Shape
from columnar_nn.model.operators import OPERATORS, RENAMING, Implementations
from columnar_nn.model.shape_rules.operands import Operands
from columnar_nn.model.shape_rules.window import Window, conv_window, pool_window
from columnar_nn.model.shapes import infer_shapes


@dataclass(frozen=True)
class VeloxLayer:
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
class Convolution(VeloxLayer):
    """filters [K, C, R, S], bias [K]; a second input, if any, is added before the ReLU."""

    operator: ClassVar[str] = "Conv"
    filters: np.ndarray
    bias: np.ndarray
    window: Window
    relu: bool = False


@dataclass(frozen=True)
class MaxPool(VeloxLayer):
    """The largest value of each window; padding never wins."""

    operator: ClassVar[str] = "MaxPool"
    window: Window


@dataclass(frozen=True)
class GlobalAverage(VeloxLayer):
    """The mean of each channel."""

    operator: ClassVar[str] = "GlobalAveragePool"


@dataclass(frozen=True)
class Dense(VeloxLayer):
    """weights [outputs, features], bias [outputs]."""

    operator: ClassVar[str] = "Gemm"
    weights: np.ndarray
    bias: np.ndarray
    relu: bool = False


@dataclass(frozen=True)
class Elementwise(VeloxLayer):
    """Sum of the inputs (one or two), then perhaps ReLU."""

    operator: ClassVar[str] = "Add"
    relu: bool


@dataclass(frozen=True)
class Affine(VeloxLayer):
    """x * scale + offset with one scale and offset [C] a channel, then perhaps ReLU."""

    operator: ClassVar[str] = "BatchNormalization"
    scale: np.ndarray
    offset: np.ndarray
    relu: bool = False


@dataclass(frozen=True)
class Softmax(VeloxLayer):
    """Softmax over the features."""

    operator: ClassVar[str] = "Softmax"


@dataclass(frozen=True)
class Network:
    """Layers in order, the shape of the image [C, H, W], and the layer behind each output.

    A network that reads features has images of one pixel.
    """

    image: str
    image_shape: tuple[int, int, int]
    layers: tuple[VeloxLayer, ...]
    outputs: tuple[str, ...]

    def shape(self, tensor: str) -> tuple[int, ...]:
        """Shape of the image or of a layer's output."""
        if tensor == self.image:
            return self.image_shape
        return next(layer.shape for layer in self.layers if layer.output == tensor)


def lower(graph: Graph) -> Network:
    """The layers of `graph`; raises UnsupportedOperatorError listing what it cannot say."""
    if further := graph.inputs[1:]:
        why = "its plans read one column of images"
        raise UnsupportedOperatorError("velox", [(spec.name, "input", why) for spec in further])
    nodes = network_nodes(graph, "velox", LAYERS.keys() | ALIASES, _objection)
    image = graph.inputs[0]
    shapes = infer_shapes(graph)
    alias: dict[str, str] = {}
    layers: list[VeloxLayer] = []
    for operands in nodes:
        node = operands.node
        if node.op_type in ALIASES:
            source = node.inputs[0]
            alias[node.outputs[0]] = alias.get(source, source)
            continue
        inputs = tuple(alias.get(t, t) for t in node.inputs if t and t not in graph.weights)
        common = node.name, inputs, node.outputs[0], _fixed(shapes[node.outputs[0]])
        layers.append(LAYERS[node.op_type](operands, common))
    outputs = tuple(alias.get(spec.name, spec.name) for spec in graph.outputs)
    channels, height, width = (*_fixed(image.shape), 1, 1)[:3]
    fused = _fuse(layers, set(outputs))
    return Network(image.name, (channels, height, width), tuple(fused), outputs)


def _fixed(shape: Shape) -> tuple[int, ...]:
    return tuple(int(dimension or 0) for dimension in shape[1:])


ALIASES = RENAMING | {"Flatten"}
"""Operators whose output is their input, in this backend's layout."""

Common = tuple[str, tuple[str, ...], str, tuple[int, ...]]
"""The fields that all layers have."""

LAYERS: Implementations[Callable[[Operands, Common], VeloxLayer]] = Implementations()
"""ONNX operator to what makes a layer of its operands."""

OBJECTIONS: Implementations[Callable[[Operands], str | None]] = Implementations()
"""ONNX operator to why, with these operands, it cannot be said in Velox's terms; None if it can."""

makes, objects = LAYERS.implements, OBJECTIONS.implements


def _objection(operands: Operands) -> str | None:
    """Why a node cannot be said in Velox's terms; None if it can."""
    op_type = operands.node.op_type
    if len(operands.shape(0)) not in (2, 4):
        return "only images and feature vectors"
    window = OPERATORS[op_type].window
    if window and len(set(window(operands).strides)) > 1:
        return "different strides down and across"
    return OBJECTIONS[op_type](operands) if op_type in OBJECTIONS else None


@makes("Conv")
def _convolution(operands: Operands, common: Common) -> VeloxLayer:
    filters = _weight(operands, 1)
    bias = _weight(operands, 2, np.zeros(len(filters), np.float32))
    return Convolution(*common, filters, bias, conv_window(operands))


@objects("Conv")
def _of_convolution(operands: Operands) -> str | None:
    if operands.attribute("group") != 1:
        return "group convolution"
    return _of_computed_weights(operands)


@objects("BatchNormalization")
def _of_computed_weights(operands: Operands) -> str | None:
    computed = any(operands.constants[i] is None for i in range(1, len(operands.shapes)))
    return "weights must be constant" if computed else None


@makes("BatchNormalization")
def _affine(operands: Operands, common: Common) -> VeloxLayer:
    gamma, beta, mean, variance = (_weight(operands, i).astype(float) for i in range(1, 5))
    scale = gamma / np.sqrt(variance + operands.attribute("epsilon"))
    return Affine(*common, scale, beta - mean * scale)


@makes("MaxPool")
def _max_pool(operands: Operands, common: Common) -> VeloxLayer:
    return MaxPool(*common, pool_window(operands))


@objects("MaxPool")
def _of_max_pool(operands: Operands) -> str | None:
    return "ceil_mode" if operands.attribute("ceil_mode") else None


@makes("Gemm")
def _dense(operands: Operands, common: Common) -> VeloxLayer:
    weights = _weight(operands, 1)
    weights = weights if operands.attribute("transB") else weights.T
    weights = np.float32(operands.attribute("alpha")) * weights
    bias = np.float32(operands.attribute("beta")) * _weight(operands, 2, np.zeros(1, np.float32))
    return Dense(*common, weights, np.broadcast_to(bias, (1, len(weights)))[0])


@objects("Gemm")
def _of_gemm(operands: Operands) -> str | None:
    return _LEFT_FACTOR if operands.attribute("transA") else _of_product(operands)


@makes("MatMul")
def _product(operands: Operands, common: Common) -> VeloxLayer:
    weights = _weight(operands, 1).T
    return Dense(*common, weights, np.zeros(len(weights), np.float32))


@objects("MatMul")
def _of_product(operands: Operands) -> str | None:
    return _LEFT_FACTOR if len(operands.shape(0)) != 2 else _of_computed_weights(operands)


_LEFT_FACTOR = "the left factor must be [batch, features]"


@makes("GlobalAveragePool")
def _global_average(operands: Operands, common: Common) -> VeloxLayer:
    return GlobalAverage(*common)


@makes("Softmax")
def _softmax(operands: Operands, common: Common) -> VeloxLayer:
    return Softmax(*common)


@objects("Softmax")
def _of_softmax(operands: Operands) -> str | None:
    if len(operands.shape(0)) != 2 or operands.attribute("axis") not in (1, -1):
        return "only over the features of [batch, features]"
    return None


@makes("Add")
def _sum(operands: Operands, common: Common) -> VeloxLayer:
    return Elementwise(*common, relu=False)


@objects("Add")
def _of_sum(operands: Operands) -> str | None:
    if operands.shape(0) != operands.shape(1) or any(c is not None for c in operands.constants):
        return "broadcasting or a constant operand"
    return None


@makes("Relu")
def _relu(operands: Operands, common: Common) -> VeloxLayer:
    return Elementwise(*common, relu=True)


@objects("Flatten")
def _of_flatten(operands: Operands) -> str | None:
    return None if operands.attribute("axis") == 1 else "only axis 1"


def _weight(operands: Operands, index: int, default: np.ndarray | None = None) -> np.ndarray:
    value = operands.constant(index, "a weight")
    value = default if value is None else value
    assert value is not None, f"{operands.node.name} has no input {index}"
    return value


def _fuse(layers: list[VeloxLayer], kept: set[str]) -> list[VeloxLayer]:
    """Merges a normalization, an Add and a Relu into the layer whose output only they read."""
    fused: list[VeloxLayer] = []
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


def _merge(earlier: VeloxLayer, layer: Elementwise | Affine) -> VeloxLayer | None:
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

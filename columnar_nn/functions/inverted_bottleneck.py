"""inverted_bottleneck: a depthwise layer with the 1x1 layers around it, strip by strip.

The rewrite fuse_bottlenecks makes it of two or three calls of conv_layer, of which each but the
first reads what the one before gives.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from columnar_nn.expressions.expression import Call
from columnar_nn.expressions.types import tensor_shape
from columnar_nn.functions import bfloat16, conv2d
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.layer_activation import LayerActivation
from columnar_nn.functions.vector_function import VectorFunction
from columnar_nn.kernels import NO_ACTIVATION, Layout, bottleneck
from columnar_nn.kernels.bottleneck import Stages
from columnar_nn.kernels.convolution import Convolution, resolve
from columnar_nn.model.graph import Shape
from columnar_nn.model.node import Node
from columnar_nn.model.shape_rules import window
from columnar_nn.model.shape_rules.operands import Operands


@dataclass(frozen=True)
class Layers:
    """The attribute `layers`: those of each conv_layer, in order.

    The call's inputs are the image, then filters and bias of each layer, then perhaps a residual
    of the last one.
    """

    attributes: tuple[Mapping[str, Any], ...]

    def __str__(self) -> str:
        return ";".join(",".join(self._said(given)) or "-" for given in self.attributes)

    def _said(self, given: Mapping[str, Any]) -> Iterator[str]:
        for name, value in given.items():
            if conv2d.DEFAULTS.get(name) != value:
                yield f"{name}={value}"


def stages(call: Call) -> Stages | None:
    """The convolutions that it computes; None if they are no bottleneck's."""
    shape = tensor_shape(call.tensors[0].type)
    assert shape is not None
    source, found = Layout("nchw16c", shape), []
    layers: Layers = call.attributes["layers"]
    filters, biases = call.weights[::2], call.weights[1::2]
    for index, (given, weight, bias) in enumerate(
        zip(layers.attributes, filters, biases, strict=True)
    ):
        attributes = {**conv2d.DEFAULTS, **given}
        activation: LayerActivation | None = given.get("activation")
        layer = resolve(
            source,
            weight,
            bias,
            attributes["strides"],
            attributes["pads"],
            attributes["dilations"],
            attributes["group"],
            activation.kernel if activation else NO_ACTIVATION,
            residual=index + 1 == len(filters) and len(call.tensors) > 1,
        )
        found.append(layer)
        source = layer.output
    return _placed(found)


def _placed(layers: list[Convolution]) -> Stages | None:
    """Layers by what they do."""
    depthwise = [index for index, layer in enumerate(layers) if layer.is_depthwise]
    if len(depthwise) != 1 or depthwise[0] > 1 or depthwise[0] < len(layers) - 2:
        return None
    (index,) = depthwise
    after = layers[index + 1 :]
    return Stages(layers[0] if index else None, layers[index], after[0] if after else None)


def _known(call: Call) -> Stages:
    """The convolutions of a call that fuse_bottlenecks has made."""
    found = stages(call)
    assert found is not None
    return found


def _shape(operands: Operands) -> tuple[Shape, ...]:
    layers: Layers = operands.attribute("layers")
    shape: tuple[Shape, ...] = (operands.shape(0),)
    for index, given in enumerate(layers.attributes):
        node = Node("", "Conv", (), (), {**conv2d.DEFAULTS, **given})
        shapes = (*shape, *operands.shapes[1 + 2 * index : 3 + 2 * index])
        shape = window.conv(Operands(node, shapes, [None] * 3))
    return shape


def _operations(call: Call) -> int:
    """Of each layer the convolution's, and one an element for bias, residual and activation."""
    total = 0
    for layer in _known(call).present:
        channels, height, width = layer.output.shape
        others = 1 + layer.residual + (layer.activation != NO_ACTIVATION)
        total += 2 * layer.multiply_adds + others * channels * height * width
    return total


def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """One kernel for all."""
    if bfloat16.is_bfloat16(call):
        return bfloat16.bottleneck(assembly, values, _known(call))
    images = [assembly.blocked(value) for value in values]
    return assembly.apply(bottleneck.bind(_known(call)), *images)


FUNCTIONS = (
    VectorFunction("inverted_bottleneck", _shape, assemble, _operations, bfloat16.DEFAULTS),
)

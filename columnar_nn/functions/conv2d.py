"""conv2d: ONNX Conv of images without its bias, which is vec_scal_add's work."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from columnar_nn import kernels
from columnar_nn.expressions.expression import Call
from columnar_nn.expressions.types import row_size, tensor_shape
from columnar_nn.functions import bfloat16
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction
from columnar_nn.kernels import Layout
from columnar_nn.kernels.convolution import TEXTBOOK
from columnar_nn.model.operators import OPERATORS
from columnar_nn.model.shape_rules import window

FEW_CHANNELS = 4
"""Planar images of so few channels are convolved as they are: a block of 16 would be padding."""

DEFAULTS = {
    **window.plain_window(2),
    **OPERATORS["Conv"].defaults,
    "algorithm": "direct",
    **bfloat16.DEFAULTS,
}


def stays_planar(shape: Sequence[int], group: int) -> bool:
    """Whether a planar image is convolved without being reordered to nchw16c."""
    return shape[0] <= FEW_CHANNELS and group == 1


def window_arguments(call: Call) -> dict[str, Any]:
    """Keyword arguments of kernels.conv2d that say where the call's filters are laid."""
    given = {**DEFAULTS, **call.attributes}
    return {
        "strides": given["strides"],
        "pads": given["pads"],
        "dilations": given["dilations"],
        "groups": given["group"],
    }


def arguments(call: Call) -> dict[str, Any]:
    """Keyword arguments of kernels.conv2d that say the call's attributes."""
    algorithm = call.attributes.get("algorithm", DEFAULTS["algorithm"])
    return {**window_arguments(call), "algorithm": algorithm}


def image(assembly: Assembly, call: Call, value: Value) -> Value:
    """The convolution's input in the layout that its kernels read."""
    if _is_textbook(call):
        return assembly.planar(value)
    if value.layout.kind == "planar" and stays_planar(value.shape, arguments(call)["groups"]):
        return assembly.planar(value)
    return assembly.blocked(value)


def residual(assembly: Assembly, call: Call, value: Value) -> Value:
    """What is added to the convolution's output, in the layout of that."""
    return assembly.planar(value) if _is_textbook(call) else assembly.blocked(value)


def _is_textbook(call: Call) -> bool:
    return bool(arguments(call)["algorithm"] == TEXTBOOK)


def input_layout(call: Call) -> Layout:
    """The layout that `image` would give the convolution's input if it came from a convolution.

    An image that is a column of the batch, or its pixels, arrives planar.
    """
    source = call.inputs[0]
    shape = tensor_shape(source.type)
    assert shape is not None
    from_column = getattr(source, "function", "pixels_to_float") == "pixels_to_float"
    planar = from_column and stays_planar(shape, arguments(call)["groups"])
    return Layout("planar" if planar else "nchw16c", shape)


def operations(call: Call) -> int:
    """Two for each multiply-add of the definition, padding counted."""
    shape = tensor_shape(call.type)
    assert shape is not None
    return 2 * int(call.weights[0].size) * row_size(shape[1:])


def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """One kernel, as the attributes `algorithm` and `precision` say."""
    if bfloat16.is_bfloat16(call):
        return bfloat16.convolve(assembly, values, call.weights, arguments(call))
    source = image(assembly, call, values[0])
    return assembly.apply(kernels.conv2d(source.layout, call.weights[0], **arguments(call)), source)


FUNCTIONS = (VectorFunction("conv2d", window.conv, assemble, operations, DEFAULTS),)

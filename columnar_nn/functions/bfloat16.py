"""The attribute `precision` of a convolution or dense layer: its kernels in bfloat16.

What they read is rounded, unless another such layer wrote it, and is float32 again for what has no
kernel in bfloat16: each of that is a step of the program.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from columnar_nn import kernels
from columnar_nn.expressions.expression import Call
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.kernels import NO_ACTIVATION, Activation, host

if TYPE_CHECKING:
    from columnar_nn.kernels.bottleneck import Stages

FLOAT32, BFLOAT16 = "float32", "bfloat16"

PRECISIONS = (FLOAT32, BFLOAT16)

DEFAULTS = {"precision": FLOAT32}


def is_bfloat16(call: Call) -> bool:
    """Whether a layer is computed in bfloat16."""
    return bool(call.attributes.get("precision") == BFLOAT16)


def convolve(
    assembly: Assembly,
    values: Sequence[Value],
    weights: Sequence[np.ndarray],
    given: Mapping[str, Any],
    activation: Activation = NO_ACTIVATION,
) -> Value:
    """A convolution of the first value, to which a second is added.

    `weights` are the filters and perhaps a bias, `given` keyword arguments of the kernel.
    """
    image, *residuals = map(assembly.narrowed, values)
    filters, *biases = weights
    kernel = kernels.conv2d_bfloat16(
        image.layout,
        filters,
        biases[0] if biases else None,
        **given,
        activation=_interval(activation),
        residual=bool(residuals),
    )
    return _activated(assembly, assembly.apply(kernel, image, *residuals), activation)


def multiply(
    assembly: Assembly,
    value: Value,
    matrix: np.ndarray,
    bias: np.ndarray | None = None,
    activation: Activation = NO_ACTIVATION,
) -> Value:
    """A dense layer; a flattened image is read as it lies."""
    if value.layout.kind == "nchw16c":
        value = value.replaced(shape=value.layout.shape)
    if value.layout.kind != "nhwc_bf16":
        value = assembly.narrowed(value)
    kernel = kernels.dense_bfloat16(value.layout, matrix, bias, _interval(activation))
    return _activated(assembly, assembly.apply(kernel, value), activation)


def multiply_matrices(
    assembly: Assembly,
    values: Sequence[Value],
    matrix: np.ndarray,
    bias: np.ndarray | None = None,
    activation: Activation = NO_ACTIVATION,
) -> Value:
    """A layer of the rows of the first value's matrices, to which a second is added, in planes."""
    kernel = kernels.matrix_product_bfloat16(
        values[0].layout, matrix, bias, activation, residual=len(values) > 1
    )
    return assembly.apply(kernel, *values)


def bottleneck(assembly: Assembly, values: Sequence[Value], stages: Stages) -> Value:
    """A depthwise convolution with the 1x1 ones around it, to which a second value is added."""
    from columnar_nn.kernels import bfloat16_bottleneck  # of few plans

    kernel = bfloat16_bottleneck.bind(stages, by_instruction=host.has_bfloat16())
    return assembly.apply(kernel, *map(assembly.narrowed, values))


def _interval(activation: Activation) -> Activation:
    """What a kernel in bfloat16 applies itself: any but a function."""
    return activation if activation.function is None else NO_ACTIVATION


def _activated(assembly: Assembly, value: Value, activation: Activation) -> Value:
    """The value with a function applied that its kernel could not apply, in float32."""
    if activation.function is None:
        return value
    source = assembly.blocked(value) if value.is_blocked else value
    kernel = kernels.unary(source.layout, activation.function, *activation.constants)
    return assembly.apply(kernel, source)

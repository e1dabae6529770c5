"""batch_norm: ONNX BatchNormalization in inference, a scale and an offset for each channel."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from columnar_nn import kernels
from columnar_nn.expressions.expression import Call
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.scale_add import direct_layout
from columnar_nn.functions.vector_function import VectorFunction, elements
from columnar_nn.model.operators import OPERATORS
from columnar_nn.model.shape_rules import elementwise

DEFAULTS = OPERATORS["BatchNormalization"].defaults


def scale_and_offset(call: Call) -> tuple[np.ndarray, np.ndarray]:
    """float64 arrays [C]: the normalization is x * scale + offset."""
    gamma, beta, mean, variance = (weight.astype(np.float64) for weight in call.weights)
    epsilon = call.attributes.get("epsilon", DEFAULTS["epsilon"])
    with np.errstate(invalid="ignore", divide="ignore"):  # a variance of below 0 makes NaN
        scale = gamma / np.sqrt(variance + epsilon)
    return scale, beta - mean * scale


def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """One kernel over constants worked out in float64."""
    source = direct_layout(assembly, values[0])
    return assembly.apply(kernels.scale_add(source.layout, *scale_and_offset(call)), source)


def _operations(call: Call) -> int:
    return 2 * elements(call)


FUNCTIONS = (
    VectorFunction("batch_norm", elementwise.batch_normalization, assemble, _operations, DEFAULTS),
)

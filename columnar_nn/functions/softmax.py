"""softmax, log_softmax and hardmax along one axis, by default the features of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.expressions.expression import Call
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction, elements
from columnar_nn.kernels import BoundKernel, Layout
from columnar_nn.kernels.softmax import hardmax, log_softmax, softmax
from columnar_nn.model.graph import Shape
from columnar_nn.model.operators import OPERATORS
from columnar_nn.model.shape_rules.operands import Operands, normalized_axis

DEFAULTS = OPERATORS["Softmax"].defaults


def shape(operands: Operands) -> tuple[Shape, ...]:
    """[N, ...] as it is; `axis` counts from the batch, which is axis 0."""
    source = operands.shape(0)
    if normalized_axis(operands.attribute("axis"), len(source)) == 0:
        raise InvalidModelError("axis 0 would mix rows")
    return (source,)


def _assemble(
    bind: Callable[[Layout], BoundKernel],
) -> Callable[[Assembly, Call, Sequence[Value]], Value]:
    def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
        rank = len(values[0].shape)
        axis = normalized_axis(call.attributes.get("axis", DEFAULTS["axis"]), rank + 1) - 1
        order = [*(other for other in range(rank) if other != axis), axis]
        source = assembly.transposed(values[0], order)
        result = assembly.apply(bind(source.layout), source)
        return assembly.transposed(result, np.argsort(order).tolist())

    return assemble


def _operations(call: Call) -> int:
    """Greatest, difference, exponential, sum and quotient."""
    return 5 * elements(call)


FUNCTIONS = (
    VectorFunction("softmax", shape, _assemble(softmax), _operations, DEFAULTS),
    VectorFunction("log_softmax", shape, _assemble(log_softmax), _operations, DEFAULTS),
    VectorFunction("hardmax", shape, _assemble(hardmax), elements, DEFAULTS),
)

"""softmax and log_softmax over the features of a row."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from columnar_nn import kernels
from columnar_nn.errors import InvalidModelError
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction, elements
from columnar_nn.graph import Shape
from columnar_nn.kernels import BoundKernel, Layout
from columnar_nn.shape_rules.operands import Operands

if TYPE_CHECKING:
    from columnar_nn.expressions import Call


def shape(operands: Operands) -> tuple[Shape, ...]:
    """[N, features] as it is."""
    if len(operands.shape(0)) != 2:
        raise InvalidModelError(f"features [N, F] are needed, not {operands.shape(0)}")
    return (operands.shape(0),)


def _assemble(
    bind: Callable[[Layout], BoundKernel],
) -> Callable[[Assembly, Call, Sequence[Value]], Value]:
    def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
        source = assembly.planar(values[0])
        return assembly.apply(bind(source.layout), source)

    return assemble


def _operations(call: Call) -> int:
    """Greatest, difference, exponential, sum and quotient."""
    return 5 * elements(call)


FUNCTIONS = (
    VectorFunction("softmax", shape, _assemble(kernels.softmax), _operations),
    VectorFunction("log_softmax", shape, _assemble(kernels.log_softmax), _operations),
)

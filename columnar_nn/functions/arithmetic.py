"""vec_add, vec_sub, vec_mul and vec_div: arithmetic of two tensors of one shape.

The second one may also hold a single value for each channel, as in squeeze-and-excite.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from columnar_nn import kernels
from columnar_nn.errors import InvalidModelError
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction, elements
from columnar_nn.graph import Shape
from columnar_nn.shape_rules.operands import Operands

if TYPE_CHECKING:
    from columnar_nn.expressions import Call


def shape(operands: Operands) -> tuple[Shape, ...]:
    """[N, C, H, W] with the same or [N, C, 1, 1]; other ranks with the same only."""
    first, second = operands.shape(0), operands.shape(1)
    by_channel = len(first) == 4 and second == (*first[:2], 1, 1)
    if first != second and not by_channel:
        raise InvalidModelError(f"tensors {first} and {second} do not fit together")
    return (first,)


def _assemble(operation: str) -> Callable[[Assembly, Call, Sequence[Value]], Value]:
    def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
        first, second = values
        if first.shape == second.shape:
            first, second = assembly.alike(first, second)
        else:
            first, second = assembly.blocked(first), assembly.blocked(second)
        return assembly.apply(kernels.binary(first.layout, second.layout, operation), first, second)

    return assemble


FUNCTIONS = tuple(
    VectorFunction(f"vec_{operation}", shape, _assemble(operation), elements)
    for operation in ("add", "sub", "mul", "div")
)

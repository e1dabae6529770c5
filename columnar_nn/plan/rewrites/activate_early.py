"""activate_early: a function of each element before what only moves the elements of layers.

    relu(slice(transpose(reshape(vec_scal_add(conv2d(x, w), b)))))
        ->  slice(transpose(reshape(relu(vec_scal_add(conv2d(x, w), b)))))

So it becomes a part of the layer (`fuse_layers`): transposed convolutions, and convolutions of
signals and volumes, are said so. Nothing that is read elsewhere is moved.
"""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn.expressions.expression import (
    Call,
    Expression,
    Weight,
    transform,
    with_inputs,
)
from columnar_nn.functions.registry import VECTOR_FUNCTIONS
from columnar_nn.plan.rewrites.usage import is_call, use_counts

MOVERS = ("reshape", "flatten", "transpose", "slice", "gather", "concat")
"""Functions whose result has elements of their inputs and no others."""

LAYERS = ("conv2d", "mat_mul", "vec_scal_add", "mat_add")
"""What a function of each element is fused into, or what is fused into that."""


def activate_early(roots: Sequence[Expression]) -> list[Expression]:
    """The roots with functions of each element next to the layers that can take them in."""
    uses = use_counts(roots)

    def moved(function: Call, given: Expression, source: Expression) -> Expression | None:
        """`source`, which `given` became, with the function moved to the layers below it."""
        if uses[id(given)] != 1 or not isinstance(source, Call):
            return None
        if is_call(given, *LAYERS):
            return function.replaced(inputs=(source,), type=source.type)
        if not is_call(given, *MOVERS) or not is_call(source, *MOVERS):
            return None
        parts = [
            after if isinstance(after, Weight) else moved(function, before, after)
            for before, after in zip(given.inputs, source.inputs, strict=True)
        ]
        found = tuple(part for part in parts if part is not None)
        return source.replaced(inputs=found) if len(found) == len(parts) else None

    def change(expression: Expression, inputs: tuple[Expression, ...]) -> Expression:
        changed = with_inputs(expression, inputs)
        if not isinstance(changed, Call) or not changed.inputs:
            return changed
        function = VECTOR_FUNCTIONS.get(changed.function)
        if function is None or function.activation is None or not is_call(inputs[0], *MOVERS):
            return changed
        return moved(changed, expression.inputs[0], inputs[0]) or changed

    return transform(roots, change)

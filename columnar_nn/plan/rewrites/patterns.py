"""What rules ask of the calls that they look for."""

from __future__ import annotations

from collections import Counter

from columnar_nn.expressions.expression import Call, Expression


def own(
    expression: Expression, uses: Counter[int], *functions: str, readers: int = 1
) -> Call | None:
    """The expression if it calls one of the functions and is read so often, nowhere else."""
    if not isinstance(expression, Call) or uses[id(expression)] != readers:
        return None
    return expression if expression.function in functions else None


def number(expression: Expression) -> float | None:
    """The single number that a call has as its second input."""
    if not isinstance(expression, Call) or len(expression.inputs) != 2:
        return None
    array = getattr(expression.inputs[1], "array", None)
    return float(array.item()) if array is not None and array.size == 1 else None

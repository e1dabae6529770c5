"""pipeline_networks: everything that kernels compute is computed image by image."""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn.expressions.expression import Call, Expression, transform, with_inputs
from columnar_nn.functions.resolve import is_vector_call


def pipeline_networks(roots: Sequence[Expression]) -> list[Expression]:
    """The roots with `pipeline` around each vector-function call that is not inside another."""
    wrapped: dict[int, Call] = {}

    def wrap(expression: Expression) -> Expression:
        if not (is_vector_call(expression)):
            return expression
        if id(expression) not in wrapped:
            wrapped[id(expression)] = Call("pipeline", (expression,), type=expression.type)
        return wrapped[id(expression)]

    def change(expression: Expression, inputs: tuple[Expression, ...]) -> Expression:
        if is_vector_call(expression):
            return with_inputs(expression, inputs)
        return with_inputs(expression, tuple(wrap(source) for source in inputs))

    return [wrap(root) for root in transform(roots, change)]

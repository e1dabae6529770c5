"""What expressions use, and how often: what is used twice may not be swallowed by one user."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence

from columnar_nn.expressions.expression import Call, Expression, FieldReference, topological


def use_counts(roots: Sequence[Expression]) -> Counter[int]:
    """Uses of each expression, by its id, as an input and as a root."""
    counts = Counter(id(source) for e in topological(roots) for source in e.inputs)
    counts.update(id(root) for root in roots)
    return counts


def columns_of(expressions: Iterable[Expression]) -> set[str]:
    """Names of the columns that they read."""
    return {e.name for e in topological(expressions) if isinstance(e, FieldReference)}


def is_call(expression: Expression, *functions: str) -> bool:
    """Whether the expression calls one of the functions."""
    return isinstance(expression, Call) and expression.function in functions


def joined(*calls: Call) -> tuple[str, ...]:
    """The graph nodes of all of the calls, each once, in order."""
    return tuple(dict.fromkeys(node for call in calls for node in call.nodes))

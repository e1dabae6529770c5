"""Expressions as text, in Velox's own form (velox/core/Expressions.h, toString).

Two things are said that Velox has no words for: attributes of vector functions follow their
arguments as name=value, and an expression used in several places is written out in the first,
as `name := expression`, and by its name in the others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from columnar_nn.expressions.expression import (
    Call,
    Cast,
    Constant,
    Expression,
    FieldReference,
    Weight,
    topological,
)
from columnar_nn.expressions.types import type_name
from columnar_nn.functions import registry


def expression_texts(roots: Sequence[Expression]) -> list[str]:
    """The expressions as Velox prints typed expressions; shared ones written out once."""
    uses = Counter(id(source) for e in topological(roots) for source in e.inputs)
    uses.update(id(root) for root in roots)
    texts: dict[int, str] = {}
    names: dict[int, str] = {}
    taken: Counter[str] = Counter()
    for expression in topological(roots):
        parts = []
        for source in expression.inputs:
            parts.append(texts[id(source)])
            if id(source) in names:
                texts[id(source)] = names[id(source)]
        text = _text(expression, parts)
        if isinstance(expression, Call) and uses[id(expression)] > 1:
            name = f"{expression.function}_{taken[expression.function]}"
            taken[expression.function] += 1
            names[id(expression)] = name
            text = f"{name} := {text}"
        texts[id(expression)] = text
    result = []
    for root in roots:
        result.append(texts[id(root)])
        if id(root) in names:
            texts[id(root)] = names[id(root)]
    return result


def _text(expression: Expression, inputs: Sequence[str]) -> str:
    if isinstance(expression, FieldReference):
        return f'ROW["{expression.name}"]'
    if isinstance(expression, Constant):
        return _constant_text(expression)
    if isinstance(expression, Weight):
        return f"{expression.name}{list(expression.array.shape)}"
    if isinstance(expression, Cast):
        return f"cast {inputs[0]} as {type_name(expression.type)}"
    function = registry.VECTOR_FUNCTIONS.get(expression.function)
    defaults = {} if function is None else function.defaults
    attributes = [
        f"{name}={value}"
        for name, value in expression.attributes.items()
        if name not in defaults or defaults[name] != value
    ]
    return f"{expression.function}({','.join([*inputs, *attributes])})"


def _constant_text(constant: Constant) -> str:
    value = constant.value
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + value.replace('"', '\\"') + '"'
    if isinstance(value, int):
        return str(value)
    return _double_text(value)


def _double_text(value: float) -> str:
    """The shortest digits that read back as `value`; an exponent only below 1e-6, as folly has."""
    if not math.isfinite(value):
        return {"inf": "Infinity", "-inf": "-Infinity"}.get(str(value), "NaN")
    if value == int(value) and abs(value) < 1e21:
        return str(int(value))
    text = repr(value)
    if "e" not in text:
        return text
    digits, _, exponent = text.partition("e")
    if -7 < int(exponent) < 0:
        return f"{value:.{len(digits.replace('.', '').strip('-')) - int(exponent) - 1}f}"
    sign = "+" if int(exponent) >= 0 else ""
    return f"{digits}E{sign}{int(exponent)}"

"""Plans as text, in Velox's own form (velox/core/PlanNode.cpp, toString).

    -- Limit[2][10] -> id:BIGINT, label:TINYINT
      -- Filter[1][expression: lt(cast ROW["label"] as BIGINT,5)] -> id:BIGINT, label:TINYINT
        -- TableScan[0][table: hive_table] -> id:BIGINT, label:TINYINT

Two things are said that Velox has no words for: attributes of vector functions follow their
arguments as name=value, and an expression used in several places is written out in the first,
as `name := expression`, and by its name in the others.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from columnar_nn.expressions.expression import (
    Call,
    Cast,
    Constant,
    Expression,
    FieldReference,
    Weight,
    topological,
)
from columnar_nn.expressions.types import row_type_text, type_name
from columnar_nn.functions import registry
from columnar_nn.plan.nodes import (
    AggregationNode,
    FilterNode,
    LimitNode,
    LocalPartitionNode,
    OrderByNode,
    PlanNode,
    ProjectNode,
    TableScanNode,
    ValuesNode,
)


def to_text(
    plan: PlanNode,
    detailed: bool = True,
    recursive: bool = True,
    annotate: Callable[[PlanNode], Sequence[str]] | None = None,
) -> str:
    """The plan, a node a line, sources indented below; each line ends with a newline.

    Without `detailed` only names and ids. `annotate` gives lines to put below a node.
    """
    lines: list[str] = []
    node, indent = plan, ""
    while True:
        text = f"{indent}-- {node.name}[{node.id}]"
        if detailed:
            text += f"[{details(node)}] -> {row_type_text(node.output_type)}"
        lines.append(text)
        if annotate is not None:
            lines.extend(f"{indent}   {line}" for line in annotate(node))
        if not recursive or not node.sources:
            return "\n".join(lines) + "\n"
        node, indent = node.sources[0], indent + "  "


def details(node: PlanNode) -> str:
    """What stands between the brackets after a node's id."""
    return _DETAILS[type(node)](node)


def _values_details(node: ValuesNode) -> str:
    rows = sum(batch.num_rows for batch in node.values)
    return f"{rows} rows in {len(node.values)} vectors"


def _project_details(node: ProjectNode) -> str:
    texts = expression_texts(node.projections)
    listed = (
        f"({name}:{type_name(expression.type)}, {text})"
        for name, expression, text in zip(node.names, node.projections, texts, strict=True)
    )
    return f"expressions: {', '.join(listed)}"


def _order_by_details(node: OrderByNode) -> str:
    return ", ".join(
        f"{key.column} {'ASC' if key.ascending else 'DESC'} "
        f"NULLS {'FIRST' if key.nulls_first else 'LAST'}"
        for key in node.keys
    )


def _limit_details(node: LimitNode) -> str:
    return f"{node.count} offset {node.offset}" if node.offset else str(node.count)


def _aggregation_details(node: AggregationNode) -> str:
    keys = f"[{', '.join(node.grouping_keys)}] " if node.grouping_keys else ""
    calls = []
    for aggregate in node.aggregates:
        argument = "" if aggregate.argument is None else expression_texts([aggregate.argument])[0]
        calls.append(f"{aggregate.name} := {aggregate.function}({argument})")
    return f"{node.step} {keys}{', '.join(calls)}"


_DETAILS: dict[type, Callable[[Any], str]] = {
    ValuesNode: _values_details,
    TableScanNode: lambda node: f"table: {node.table.name}",
    FilterNode: lambda node: f"expression: {expression_texts([node.filter])[0]}",
    ProjectNode: _project_details,
    AggregationNode: _aggregation_details,
    LimitNode: _limit_details,
    OrderByNode: _order_by_details,
    LocalPartitionNode: lambda node: "GATHER",
}


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

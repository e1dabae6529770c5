"""Plans as text, in Velox's own form (velox/core/PlanNode.cpp, toString).

-- Limit[2][10] -> id:BIGINT, label:TINYINT
  -- Filter[1][expression: lt(cast ROW["label"] as BIGINT,5)] -> id:BIGINT, label:TINYINT
    -- TableScan[0][table: hive_table] -> id:BIGINT, label:TINYINT
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from columnar_nn.expressions.types import row_type_text
from columnar_nn.plan.plan_node import PlanNode, checked_plan


def to_text(
    plan: PlanNode,
    detailed: bool = True,
    recursive: bool = True,
    annotate: Callable[[PlanNode], Sequence[str]] | None = None,
) -> str:
    """The plan, a node a line, sources indented below; each line ends with a newline.

    Without `detailed` only names and ids. `annotate` gives lines to put below a node.
    """

    def lines(node: PlanNode, indent: str) -> Iterator[str]:
        text = f"{indent}-- {node.name}[{node.id}]"
        if detailed:
            text += f"[{node.details}] -> {row_type_text(node.output_type)}"
        yield f"{text}\n"
        if annotate is not None:
            yield from (f"{indent}   {line}\n" for line in annotate(node))
        if recursive:
            for source in node.sources:
                yield from lines(source, indent + "  ")

    return "".join(lines(checked_plan(plan, "to_text()"), ""))

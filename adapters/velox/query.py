"""A relational plan of the columnar engine told to pyvelox's plan builder.

The plan is first written down as data, a tree of the builder's calls, which crosses to the process
that Velox runs in; its expressions are SQL text there.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa

from adapters.velox.task import VeloxTask, reason
from columnar_nn.errors import UnsupportedNetworkError, UsageError
from columnar_nn.expressions.expression import (
    Cast,
    Constant,
    Expression,
    FieldReference,
    Weight,
)
from columnar_nn.expressions.types import type_name
from columnar_nn.functions.resolve import is_vector_call
from columnar_nn.plan.aggregation import Aggregate, AggregationNode
from columnar_nn.plan.hash_join import HashJoinNode
from columnar_nn.plan.nodes import FilterNode, ProjectNode
from columnar_nn.plan.order import LimitNode, OrderByNode, SortingKey, TopNNode
from columnar_nn.plan.plan_node import PlanNode, ScanNode

Steps = dict[str, Any]
"""{"scan": id} or {"source": Steps, "calls": [[method, arguments]]}; of a join also its "build"."""


def steps(plan: PlanNode) -> Steps:
    """The calls that build the plan; raises UsageError for what pyvelox cannot be told."""
    if isinstance(plan, ScanNode):
        return {"scan": plan.id}
    if isinstance(plan, HashJoinNode) and plan.gives_pairs:
        return _join(plan)
    if type(plan) not in _CALLS:
        name = plan.join_type if isinstance(plan, HashJoinNode) else plan.name
        raise UsageError(f"pyvelox has no {name}: run the query with --backend columnar")
    return {"source": steps(plan.sources[0]), "calls": _CALLS[type(plan)](plan)}


def refuse_tensors(schema: pa.Schema) -> None:
    """Raises UsageError if a column holds tensors, of which Velox has none."""
    for field in schema:
        if _is_tensor(field.type):
            raise UsageError(
                f"column {field.name} holds tensors, which Velox has not: leave it out, or run the "
                "query with --backend columnar"
            )


def _is_tensor(data_type: pa.DataType) -> bool:
    return isinstance(data_type, pa.FixedShapeTensorType)


def _project(plan: ProjectNode) -> list[Any]:
    columns = [
        f"{text(expression)} as {_quoted(name)}"
        for name, expression in zip(plan.names, plan.projections, strict=True)
        if not (isinstance(expression, FieldReference) and _is_tensor(expression.type))
    ]
    return [["project", [columns]]]


def _aggregation(plan: AggregationNode) -> list[Any]:
    keys = list(plan.grouping_keys)
    return [["aggregate", [keys, [_aggregate(a) for a in plan.aggregates]]]]


_CALLS: dict[type, Callable[[Any], list[Any]]] = {
    FilterNode: lambda plan: [["filter", [text(plan.filter)]]],
    ProjectNode: _project,
    AggregationNode: _aggregation,
    LimitNode: lambda plan: [["limit", [plan.count, plan.offset]]],
    OrderByNode: lambda plan: [["order_by", [_keys(plan.keys)]]],
    TopNNode: lambda plan: [["order_by", [_keys(plan.keys)]], ["limit", [plan.count]]],
}
"""The builder's calls of each node: [method, arguments]."""


def _join(plan: HashJoinNode) -> Steps:
    condition = "" if plan.filter is None else text(plan.filter)
    keys = [list(plan.left_keys), list(plan.right_keys)]
    outputs = [f.name for f in plan.output_type if not _is_tensor(f.type)]
    return {
        "source": steps(plan.left),
        "build": steps(plan.right),
        "calls": [["hash_join", [*keys, outputs, condition, plan.join_type]]],
    }


def _aggregate(aggregate: Aggregate) -> str:
    argument = "1" if aggregate.argument is None else text(aggregate.argument)
    distinct = "distinct " if aggregate.distinct else ""
    return f"{aggregate.function}({distinct}{argument}) as {_quoted(aggregate.name)}"


def _keys(keys: tuple[SortingKey, ...]) -> list[str]:
    return [
        f"{_quoted(key.column)} {'ASC' if key.ascending else 'DESC'} "
        f"NULLS {'FIRST' if key.nulls_first else 'LAST'}"
        for key in keys
    ]


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def text(expression: Expression) -> str:
    """The SQL that pyvelox reads; raises UsageError for a network, of which it has no functions."""
    if isinstance(expression, FieldReference):
        refuse_tensors(pa.schema([(expression.name, expression.type)]))
        return _quoted(expression.name)
    if isinstance(expression, Constant):
        return _constant(expression)
    if isinstance(expression, Cast):
        return _cast(text(expression.input), expression.type)
    if isinstance(expression, Weight) or is_vector_call(expression) or expression.attributes:
        raise UsageError(
            "Velox has no networks or functions of images: run the query with --backend columnar"
        )
    inputs = [text(source) for source in expression.inputs]
    if expression.function in ("if", "switch") and len(inputs) % 2 == 0:
        inputs.append(_cast("null", expression.type))  # pyvelox knows no type of a missing ELSE
    form = _FORMS.get(expression.function)
    return form(inputs) if form else f"{expression.function}({', '.join(inputs)})"


def _cast(value: str, data_type: pa.DataType) -> str:
    return f"cast({value} as {type_name(data_type).lower()})"


def _constant(constant: Constant) -> str:
    value = constant.value
    if value is None:
        return "null" if constant.type == pa.null() else _cast("null", constant.type)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, float):
        special = {math.inf: "infinity()", -math.inf: "negate(infinity())"}
        return "nan()" if math.isnan(value) else special.get(value, f"{value!r}")
    return str(value)


def _infix(word: str) -> Callable[[list[str]], str]:
    return lambda inputs: f"({f' {word} '.join(inputs)})"


def _switch(inputs: list[str]) -> str:
    pairs = zip(inputs[:-1:2], inputs[1::2], strict=True)
    branches = " ".join(f"when {condition} then {value}" for condition, value in pairs)
    return f"(case {branches} else {inputs[-1]} end)"


# pyvelox 0.2.0 aborts the process on a list after IN
_FORMS: dict[str, Callable[[list[str]], str]] = {
    "and": _infix("and"),
    "or": _infix("or"),
    "not": lambda inputs: f"(not {inputs[0]})",
    "is_null": lambda inputs: f"({inputs[0]} is null)",
    "distinct_from": _infix("is distinct from"),
    "between": lambda inputs: f"({inputs[0]} between {inputs[1]} and {inputs[2]})",
    "in": lambda inputs: f"({' or '.join(f'{inputs[0]} = {item}' for item in inputs[1:])})",
    "like": lambda inputs: (
        f"({inputs[0]} like {inputs[1]}{f' escape {inputs[2]}' if inputs[2:] else ''})"
    ),
    "if": _switch,
    "switch": _switch,
}
_FORMS |= {
    name: _infix(sign)
    for name, sign in (
        *(("plus", "+"), ("minus", "-"), ("multiply", "*"), ("divide", "/"), ("mod", "%")),
        *(("eq", "="), ("neq", "<>"), ("lt", "<"), ("lte", "<="), ("gt", ">"), ("gte", ">=")),
    )
}


class VeloxQuery:
    """A query in the process that Velox runs in.

    Velox ends the process if vectors or builders go before what was made of them: they stay as
    long as the query does.
    """

    def __init__(self, told: Steps, folder: Path) -> None:
        """`folder` has the batches of each scan in an Arrow file under its node's id."""
        from pyvelox import plan_builder

        self._folder = folder
        self._root = plan_builder.PlanBuilder()
        self._held: list[Any] = []
        try:
            self._plan = built(told, self._values, self._root).get_plan_node()
        except RuntimeError as error:
            raise UnsupportedNetworkError(f"Velox: {reason(error)}") from None

    def plan_text(self) -> str:
        """The plan as Velox prints it."""
        return str(self._plan.to_string())

    def run(self, result: Path) -> str:
        """Writes the rows to an Arrow file, none if there are none; the plan with statistics."""
        from pyvelox import arrow

        task = VeloxTask(self._plan)
        self._held.append(task)
        writer = None
        for vector in task.batches():
            rows = pa.RecordBatch.from_struct_array(arrow.to_arrow(vector))
            writer = writer or pa.ipc.new_file(str(result), rows.schema)
            writer.write_batch(rows)
            del rows, vector
        if writer is not None:
            writer.close()
        return task.statistics_text()

    def _values(self, builder: Any, scan: str) -> Any:
        """The builder over the batches in a scan's file."""
        from pyvelox import arrow

        with pa.memory_map(str(self._folder / f"{scan}.arrow")) as file:
            table = pa.ipc.open_file(file).read_all()
        vectors = [arrow.to_velox(batch) for batch in table.to_batches()]
        self._held += vectors
        return builder.values(vectors)


def built(told: Steps, scan: Callable[[Any, str], Any], root: Any) -> Any:
    """A builder after the calls; `scan` begins a new one of the builder `root` with a scan."""
    from pyvelox.plan_builder import JoinType

    if "scan" in told:
        return scan(root.new_builder(), told["scan"])
    builder = built(told["source"], scan, root)
    for method, arguments in told["calls"]:
        if method == "hash_join":
            *keys, output, condition, kind = arguments
            right = built(told["build"], scan, root).get_plan_node()
            join_type = getattr(JoinType, kind)
            builder = builder.hash_join(*keys, right, output, condition, join_type)
        else:
            builder = getattr(builder, method)(*arguments)
    return builder

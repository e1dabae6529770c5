"""Queries: SELECT, UNION, WITH, and what the library gives of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pyarrow as pa
from sqlglot import exp

from columnar_nn.errors import InvalidPlanError, UsageError
from columnar_nn.exec.executable import prepare
from columnar_nn.expressions.expression import Cast, Expression, FieldReference
from columnar_nn.expressions.types import is_comparable, type_name
from columnar_nn.model.network_source import NetworkSource
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.plan_node import PlanNode
from columnar_nn.plan.sql_expression import Parameters
from columnar_nn.plan.sql_text import parse_query
from columnar_nn.queries.context import Column, Context, Relation, suggestion
from columnar_nn.queries.networks import Networks
from columnar_nn.queries.order import SortedBy, Sorting
from columnar_nn.queries.scope import widened
from columnar_nn.queries.select import read_select


def sql(
    text: str,
    tables: Mapping[str, Any] | None = None,
    /,
    *,
    networks: Mapping[str, NetworkSource] | None = None,
    parameters: Parameters = (),
    threads: int = 1,
    **named: Any,
) -> pa.Table:
    """The rows of a query in SQL over tables, by name; see `sql_plan`."""
    plan = sql_plan(text, tables, networks=networks, parameters=parameters, **named)
    with prepare(plan, threads) as executable:
        return executable.run().to_table()


def sql_plan(
    text: str,
    tables: Mapping[str, Any] | None = None,
    /,
    *,
    networks: Mapping[str, NetworkSource] | None = None,
    parameters: Parameters = (),
    **named: Any,
) -> PlanNode:
    """The plan of a query in Presto's SQL.

    Tables are whatever `open_source` opens, each an argument of its own name, or an entry of
    `tables`, which may have any name. Functions are the engine's own, those declared by
    `vector_function`, the built-in networks and `networks`, graphs or paths of ONNX files, by name:
    plain9(image) is a network's first output. `parameters` are the values of ?, in order, or of
    :name. Raises InvalidPlanError for what is no query, or one that cannot be run, with the place
    in the text, and as tables and networks do when they are opened.
    """
    for word, given in (("tables", tables), ("networks", networks)):
        if given is not None and not isinstance(given, Mapping):
            raise UsageError(
                f"{word} are given by name, in a dict, not as {type(given).__name__}; a table of "
                "such a name is an entry of the dict of tables"
            )
    return plan_query(text, {**(tables or {}), **named}, networks or {}, parameters)


def plan_query(
    text: str,
    tables: Mapping[str, Any],
    networks: Mapping[str, NetworkSource],
    parameters: Parameters = (),
) -> PlanNode:
    """As `sql_plan`, of tables that are asked for when the query reads them."""
    source, tree = parse_query(text)
    context = Context(source, tables, Networks(networks), parameters, PlanBuilder(), bind_query, {})
    try:
        return bind_query(tree, context).builder.plan()
    except RecursionError:
        raise InvalidPlanError("the query is nested too deeply: take it apart") from None


def bind_query(tree: exp.Expr, context: Context) -> Relation:
    """The plan of a query, or of one within it, and its columns."""
    if isinstance(tree, exp.Query) and tree.args.get("with_"):
        context = _with(tree.args["with_"], context)
    if isinstance(tree, exp.Select):
        return read_select(tree, context).limited(tree, context)
    if isinstance(tree, exp.Union):
        return _union(tree, context)
    if isinstance(tree, exp.Subquery) and isinstance(tree.this, exp.Query):
        context.refuse_others(tree, "a query", "this", "with_", "order", "limit", "offset")
        return _sorted(bind_query(tree.this, context), tree, context)
    word = type(tree).__name__.upper()
    if isinstance(tree, exp.Command):
        word = str(tree.this).upper()
    place = tree if tree.parent else len(context.source.text) - len(context.source.text.lstrip())
    raise context.source.error(f"{word} is not supported: only SELECT is", place)


def _with(tree: exp.With, context: Context) -> Context:
    context.refuse_others(tree, "WITH", "expressions")
    for query in tree.expressions:
        context.refuse_others(query, "WITH", "this", "alias")
        withs = {**context.withs, query.alias.lower(): (query, context)}
        context = replace(context, withs=withs)
    return context


def _union(tree: exp.Union, context: Context) -> Relation:
    """UNION ALL of two or more queries; rows that differ, each once, if there is no ALL."""
    context.refuse_others(
        tree, "UNION", *("this", "expression", "distinct", "with_", "order", "limit", "offset")
    )
    parts: list[exp.Expr] = []
    left: exp.Expr = tree
    while _continues(left, tree):  # UNION ALL of many is one node
        parts.append(left.expression)
        left = left.this
    parts.append(left)
    relations = [bind_query(part, context) for part in reversed(parts)]
    names = [column.name for column in relations[0].columns]
    columns: list[list[Expression]] = [[] for _ in relations]
    for part, relation in zip(reversed(parts), relations, strict=True):
        if len(relation.columns) != len(names):
            raise context.source.error(
                f"{len(relation.columns)} columns in a UNION with one of {len(names)}", part
            )
    for index, name in enumerate(names):
        found = [_field(relation, index) for relation in relations]
        target = found[0].type
        for part, field in zip(reversed(parts), found, strict=True):
            united = widened(target, field.type) if target != field.type else target
            if united is None:
                raise context.source.error(
                    f"column {name} of a UNION is {target} and {field.type}: cast one", part
                )
            target = united
        if tree.args.get("distinct") and not is_comparable(target):
            raise context.source.error(
                f"column {name} of a UNION holds {type_name(target)}: use UNION ALL", tree
            )
        for mine, field in zip(columns, found, strict=True):
            mine.append(field if field.type == target else Cast(field, target))
    plans = [
        relation.builder.project(dict(zip(names, mine, strict=True))).plan()
        for relation, mine in zip(relations, columns, strict=True)
    ]
    builder = context.builder.new_builder().local_partition(plans)
    if tree.args.get("distinct"):
        builder.distinct()
    united = Relation(builder, tuple(Column("", name, name) for name in names))
    return _sorted(united, tree, context)


def _continues(part: exp.Expr, whole: exp.Union) -> bool:
    if part is whole:
        return True
    alike = isinstance(part, exp.Union) and part.args.get("distinct") == whole.args.get("distinct")
    plain = not any(part.args.get(name) for name in ("with_", "order", "limit", "offset"))
    return alike and plain


def _field(relation: Relation, index: int) -> FieldReference:
    name = relation.columns[index].field
    return FieldReference(name, relation.builder.plan().output_type.field(name).type)


def _sorted(relation: Relation, tree: exp.Expr, context: Context) -> Relation:
    """ORDER BY the names or numbers of columns, then LIMIT."""
    keys = []
    order = tree.args.get("order")
    for item in order.expressions if order is not None else ():
        names = [column.name for column in relation.columns]
        key = SortedBy.of(item, context)
        if isinstance(item.this, exp.Literal) and item.this.this.isdigit():
            number = int(item.this.this)
            if not 1 <= number <= len(names):
                raise context.source.error(f"there is no column {number}", item)
            key.check(_field(relation, number - 1).type, item, context)
            keys.append(key.replaced(column=relation.columns[number - 1].field))
            continue
        name = item.this.name if isinstance(item.this, exp.Column) else ""
        found = [n for n in names if n.lower() == name.lower()]
        if not found:
            raise context.source.error(
                f"ORDER BY here takes a column by name or number: {suggestion(name, names)}", item
            )
        column = names.index(found[0])
        key.check(_field(relation, column).type, item, context)
        keys.append(key.replaced(column=relation.columns[column].field))
    return Sorting(relation, tuple(keys)).limited(tree, context)

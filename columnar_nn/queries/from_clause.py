"""FROM: tables, subqueries, those of WITH, and arrays that are unnested; what is joined to them."""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa
from sqlglot import exp

from columnar_nn.errors import CnnBenchError, InvalidPlanError
from columnar_nn.expressions.expression import FieldReference
from columnar_nn.plan.sql_text import COMMA
from columnar_nn.queries.context import Column, Context, Relation, suggestion
from columnar_nn.queries.joins import joined, joined_with_all
from columnar_nn.queries.scope import Scope


def read_from(tree: exp.Select, context: Context) -> Relation:
    """The rows that a SELECT reads; one row without columns if it has no FROM."""
    clause = tree.args.get("from_")
    if clause is None:
        return _one_row(context)
    relation, before = _read(clause.this, context), None
    for join in tree.args.get("joins") or ():
        is_comma = join.args.get("kind") == COMMA
        if is_comma or isinstance(join.this, exp.Unnest):  # both of all that is named so far
            relation = relation if before is None else joined_with_all(before, relation, context)
            before = None
        if isinstance(join.this, exp.Unnest):
            relation = _unnested(relation, join, context)
        elif is_comma:
            before, relation = relation, _read(join.this, context)
        else:
            relation = joined(relation, _read(join.this, context), join, context)
    return relation if before is None else joined_with_all(before, relation, context)


def _one_row(context: Context) -> Relation:
    row = pa.record_batch({"row": pa.array([0])})
    return Relation(context.builder.new_builder().values([row]), ())


def _read(tree: exp.Expr, context: Context) -> Relation:
    if isinstance(tree, exp.Table):
        relation = _table(tree, context)
    elif isinstance(tree, exp.Subquery) and isinstance(tree.this, exp.Query):
        context.refuse_others(tree, "a subquery", "this", "alias")
        relation = context.bind(tree.this, context)
        relation = replace(relation, columns=tuple(replace(c, table="") for c in relation.columns))
    elif isinstance(tree, exp.Unnest):
        raise context.source.error("UNNEST follows a table: FROM t CROSS JOIN UNNEST(...)", tree)
    else:
        raise context.source.error("FROM reads tables and subqueries; name a table", tree)
    return _renamed(relation, tree, context)


def _renamed(relation: Relation, tree: exp.Expr, context: Context) -> Relation:
    """The relation under the names of its alias: AS name, or AS name(column, ...)."""
    alias = tree.args.get("alias")
    if alias is None:
        return relation
    relation = relation.called(alias.name) if alias.name else relation
    names = [column.name for column in alias.args.get("columns") or ()]
    if not names:
        return relation
    if len(names) != len(relation.columns):
        raise context.source.error(
            f"{len(names)} names for {len(relation.columns)} columns: name each", alias
        )
    columns = zip(relation.columns, names, strict=True)
    return replace(relation, columns=tuple(replace(c, name=name) for c, name in columns))


def _table(tree: exp.Table, context: Context) -> Relation:
    context.refuse_others(tree, "a table", "this", "alias", "joins")
    if not isinstance(tree.this, exp.Identifier):
        raise context.source.error("a function gives no table: name a table", tree)
    if tree.args.get("joins"):
        raise context.source.error("joins in parentheses are not supported: join in order", tree)
    name = tree.name
    if name.lower() in context.withs:
        query, outer = context.withs[name.lower()]
        inner = replace(outer, builder=context.builder)
        return _renamed(context.bind(query.this, inner).called(query.alias), query, context)
    found = [n for n in context.tables if n.lower() == name.lower()]
    found = [n for n in found if n == name] or found
    if not found:
        known = [*context.tables, *(cte.alias for cte, _ in context.withs.values())]
        text = suggestion(name, known) if known else "no table is given: name it beside the query"
        raise context.source.error(f"no table {name}: {text}", tree)
    if len(found) > 1:
        raise context.source.error(f"{name} may be {' or '.join(found)}: rename one", tree)
    try:
        builder = context.builder.new_builder().table_scan(context.table(found[0]))
        fields = builder.plan().output_type.names
        for field in fields:
            if fields.count(field) > 1:
                raise InvalidPlanError(f"two of its columns are called {field}: rename one")
    except CnnBenchError as error:
        raise context.source.error(f"table {name}: {error}", tree) from None
    return Relation(builder, tuple(Column(name, field, field) for field in fields))


def _unnested(left: Relation, join: exp.Join, context: Context) -> Relation:
    """A row for each element of arrays of the left relation, beside its other columns."""
    unnest = join.this
    context.refuse_others(join, "a join", "this", "on", "using", "side", "kind")
    if join.args.get("kind") not in ("CROSS", COMMA) or join.args.get("side"):
        raise context.source.error("UNNEST is joined by CROSS JOIN", unnest)
    context.refuse_others(unnest, "UNNEST", "expressions", "alias", "offset")
    scope = Scope(context, left)
    fields = []
    for item in unnest.expressions:
        array = scope.scalar(item, "UNNEST")
        if not isinstance(array, FieldReference):
            raise context.source.error("UNNEST takes columns of arrays", item)
        fields.append(array.name)
    alias = unnest.args.get("alias")
    offset = unnest.args.get("offset")
    table = alias.name if alias else ""
    names = [column.name for column in (alias.args.get("columns") or ())] if alias else []
    names = names or [f"{field}_e" for field in fields]
    if len(names) != len(fields):
        raise context.source.error(f"UNNEST gives {len(fields)} column(s): name each", unnest)
    ordinality = None if not offset else getattr(offset, "name", "") or "ordinality"
    kept = [f for f in left.builder.plan().output_type.names if f not in fields]
    try:
        builder = left.builder.unnest(kept, list(dict.fromkeys(fields)), ordinality)
    except InvalidPlanError as error:
        raise context.source.error(str(error), unnest) from None
    columns = [c for c in left.columns if c.field in kept]
    columns += [Column(table, n, f"{f}_e") for n, f in zip(names, fields, strict=True)]
    if ordinality is not None:
        columns.append(Column(table, ordinality, ordinality))
    return Relation(builder, tuple(columns))

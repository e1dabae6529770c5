"""FROM: tables, subqueries, those of WITH, joins and arrays that are unnested."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa
from sqlglot import exp

from columnar_nn.errors import CnnBenchError, InvalidPlanError
from columnar_nn.expressions.expression import (
    Call,
    Cast,
    Expression,
    FieldReference,
    topological,
)
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.hash_join import JoinType
from columnar_nn.queries.context import Column, Context, Relation, free_name, suggestion
from columnar_nn.queries.scope import Scope, widened


def read_from(tree: exp.Select, context: Context) -> Relation:
    """The rows that a SELECT reads; one row without columns if it has no FROM."""
    clause = tree.args.get("from_")
    if clause is None:
        return _one_row(context)
    relation = _read(clause.this, context)
    for join in tree.args.get("joins") or ():
        relation = _joined(relation, join, context)
    return relation


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
        builder = context.builder.new_builder().table_scan(context.tables[found[0]])
        fields = builder.plan().output_type.names
        for field in fields:
            if fields.count(field) > 1:
                raise InvalidPlanError(f"two of its columns are called {field}: rename one")
    except CnnBenchError as error:
        raise context.source.error(f"table {name}: {error}", tree) from None
    return Relation(builder, tuple(Column(name, field, field) for field in fields))


def _joined(left: Relation, join: exp.Join, context: Context) -> Relation:
    context.refuse_others(join, "a join", "this", "on", "using", "side", "kind")
    side, kind = (join.args.get("side") or "").upper(), (join.args.get("kind") or "").upper()
    if isinstance(join.this, exp.Unnest):
        return _unnested(left, join, context)
    if side not in ("", "LEFT", "RIGHT") or kind not in ("", "INNER", "OUTER"):
        word = " ".join(filter(None, (side, kind)))
        raise context.source.error(
            f"{word} JOIN is not supported: use JOIN, LEFT JOIN, RIGHT JOIN or CROSS JOIN UNNEST",
            join.this,
        )
    right = _read(join.this, context)
    if join.args.get("using"):
        return _joined_using(left, right, side, join, context)
    if join.args.get("on") is None:
        raise context.source.error("a join needs a condition: add ON a.x = b.y", join.this)
    if side == "RIGHT":
        both = _join_on(right, left, "LEFT", join.args["on"], context)
        turn = len(right.columns)
        return replace(both, columns=both.columns[turn:] + both.columns[:turn])
    return _join_on(left, right, "LEFT" if side else "INNER", join.args["on"], context)


def _distinct_fields(left: Relation, right: Relation) -> Relation:
    """The right relation with fields of other names than the left one's."""
    taken = set(left.builder.plan().output_type.names)
    fields = right.builder.plan().output_type.names
    if taken.isdisjoint(fields):
        return right
    new: dict[str, str] = {}
    for field in fields:
        new[field] = free_name(field, {*taken, *fields}) if field in taken else field
        taken.add(new[field])
    builder = right.builder.project({new[field]: FieldReference(field) for field in fields})
    return Relation(builder, tuple(replace(c, field=new[c.field]) for c in right.columns))


def _join_on(
    left: Relation, right: Relation, join_type: JoinType, tree: exp.Expr, context: Context
) -> Relation:
    """Equalities between the sides are keys; the rest of the condition is a filter of pairs."""
    right = _distinct_fields(left, right)
    both = _Both(left, right, context)
    condition = both.scope.condition(tree, "ON")
    keys: list[tuple[Expression, Expression]] = []
    rest: list[Expression] = []
    for part in _conjuncts(condition):
        sides = _sides(part, both.fields)
        if sides is None:
            rest.append(part)
        else:
            keys.append(sides)
    if not keys:
        raise context.source.error("a join needs an equality of its sides: add ON a.x = b.y", tree)
    return _hash_joined(left, right, join_type, keys, rest)


class _Both:
    """The columns of two relations as one scope reads them, before they are joined."""

    def __init__(self, left: Relation, right: Relation, context: Context) -> None:
        schemas = [side.builder.plan().output_type for side in (left, right)]
        self.fields = [set(schema.names) for schema in schemas]
        schema = pa.schema([field for each in schemas for field in each])
        empty = pa.RecordBatch.from_pylist([], schema=schema)
        builder = context.builder.new_builder().values([empty])
        self.scope = Scope(context, Relation(builder, left.columns + right.columns))


def _conjuncts(condition: Expression) -> list[Expression]:
    if isinstance(condition, Call) and condition.function == "and":
        return [part for side in condition.inputs for part in _conjuncts(side)]
    return [condition]


def _sides(part: Expression, fields: Sequence[set[str]]) -> tuple[Expression, Expression] | None:
    """The sides of an equality, if one reads the left relation only and one the right."""
    if not (isinstance(part, Call) and part.function == "eq"):
        return None
    a, b = part.inputs
    read = [
        {e.name for e in topological([side]) if isinstance(e, FieldReference)} for side in (a, b)
    ]
    if not all(read):
        return None
    if read[0] <= fields[0] and read[1] <= fields[1]:
        return a, b
    return (b, a) if read[0] <= fields[1] and read[1] <= fields[0] else None


def _hash_joined(
    left: Relation,
    right: Relation,
    join_type: JoinType,
    keys: Sequence[tuple[Expression, Expression]],
    rest: Sequence[Expression],
) -> Relation:
    condition = None
    for part in rest:
        condition = part if condition is None else Call("and", (condition, part))
    fields = [*(side.builder.plan().output_type.names for side in (left, right))]
    given = fields[0] + fields[1] if join_type in ("INNER", "LEFT") else fields[0]
    left_builder, left_keys = _with_keys(left.builder, [key for key, _ in keys], "left")
    right_builder, right_keys = _with_keys(right.builder, [key for _, key in keys], "right")
    builder = left_builder.hash_join(
        left_keys,
        right_keys,
        right_builder.plan(),
        output=given,
        filter=condition,
        join_type=join_type,
    )
    columns = left.columns + right.columns if join_type in ("INNER", "LEFT") else left.columns
    return Relation(builder, columns)


def _with_keys(
    builder: PlanBuilder, keys: Sequence[Expression], side: str
) -> tuple[PlanBuilder, list[str]]:
    """A plan with the keys as columns, computed where they are none; and their names."""
    fields = builder.plan().output_type.names
    computed: dict[str, Expression] = {}
    names = []
    for key in keys:
        if isinstance(key, FieldReference):
            names.append(key.name)
        else:
            names.append(free_name(f"{side} key", {*fields, *computed}))
            computed[names[-1]] = key
    if computed:
        builder = builder.project({**{f: FieldReference(f) for f in fields}, **computed})
    return builder, names


def _joined_using(
    left: Relation, right: Relation, side: str, join: exp.Join, context: Context
) -> Relation:
    """Columns of USING are there once, before the others."""
    right = _distinct_fields(left, right)
    scopes = [Scope(context, relation) for relation in (left, right)]
    pairs, keys = [], []
    for identifier in join.args["using"]:
        pair = [scope.column(identifier.name, "", identifier) for scope in scopes]
        types = [
            relation.builder.plan().output_type.field(column.field).type
            for relation, column in zip((left, right), pair, strict=True)
        ]
        target = widened(*types)
        if target is None:
            raise context.source.error(
                f"{identifier.name} is {types[0]} on the left and {types[1]} on the right: cast "
                "one in a subquery",
                identifier,
            )
        sides: list[Expression] = [
            reference if data_type == target else Cast(reference, target)
            for column, data_type in zip(pair, types, strict=True)
            for reference in (FieldReference(column.field, data_type),)
        ]
        pairs.append(pair)
        keys.append((sides[0], sides[1]))
    if side == "RIGHT":
        turned = [(b, a) for a, b in keys]
        both = _hash_joined(right, left, "LEFT", turned, ())
    else:
        both = _hash_joined(left, right, "LEFT" if side else "INNER", keys, ())
    kept = 1 if side == "RIGHT" else 0
    shared = [replace(pair[kept], table="") for pair in pairs]
    hidden = {column.field for pair in pairs for column in pair}
    others = [c for c in left.columns + right.columns if c.field not in hidden]
    return replace(both, columns=(*shared, *others))


def _unnested(left: Relation, join: exp.Join, context: Context) -> Relation:
    """A row for each element of arrays of the left relation, beside its other columns."""
    unnest = join.this
    if (join.args.get("kind") or "").upper() != "CROSS" or join.args.get("side"):
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


def read_membership(left: Relation, tree: exp.Expr, context: Context) -> Relation | None:
    """Rows of which a value is IN a query, or NOT IN it; None if the condition is another one."""
    negated = isinstance(tree, exp.Not)
    inner = tree.this if isinstance(tree, exp.Not) else tree
    while isinstance(inner, exp.Paren):
        inner = inner.this
    if not (isinstance(inner, exp.In) and inner.args.get("query")):
        return None
    negated ^= bool(inner.args.get("negate"))
    query = inner.args["query"]
    context.refuse_others(inner, "IN", "this", "query", "negate")
    right = context.bind(query.this if isinstance(query, exp.Subquery) else query, context)
    if len(right.columns) != 1:
        raise context.source.error("the query of IN gives one column: select one", query)
    value = Scope(context, left).scalar(inner.this, "IN")
    field = right.columns[0].field
    found = right.builder.plan().output_type.field(field).type
    target = widened(value.type, found)
    if target is None:
        raise context.source.error(f"{value.type} is never in a column of {found}: cast", query)
    keys = [
        side if side.type == target else Cast(side, target)
        for side in (value, FieldReference(field, found))
    ]
    left_builder, left_keys = _with_keys(left.builder, keys[:1], "left")
    right_builder, right_keys = _with_keys(right.builder, keys[1:], "right")
    builder = left_builder.hash_join(
        left_keys,
        right_keys,
        right_builder.plan(),
        output=[c.field for c in left.columns],
        join_type="ANTI" if negated else "LEFT SEMI (FILTER)",
        null_aware=negated,
    )
    return Relation(builder, left.columns)

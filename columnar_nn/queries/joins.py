"""Joins of two relations: by an equality as a hash join, else as a nested loop join."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import cast

import pyarrow as pa
from sqlglot import exp

from columnar_nn.expressions.expression import Call, Cast, Expression, FieldReference
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.join import JoinType, given_columns
from columnar_nn.plan.rewrites.conditions import conjunction, conjuncts
from columnar_nn.plan.rewrites.join_keys import JoinKeys, join_keys, named_keys
from columnar_nn.queries.context import Context, Relation, free_name
from columnar_nn.queries.scope import Scope, widened


def joined(left: Relation, right: Relation, join: exp.Join, context: Context) -> Relation:
    """The rows of a JOIN."""
    context.refuse_others(join, "a join", "this", "on", "using", "side", "kind")
    side, kind = (join.args.get("side") or "").upper(), (join.args.get("kind") or "").upper()
    if kind not in ("", "INNER", "OUTER", "CROSS") or (side and kind in ("INNER", "CROSS")):
        word = " ".join(filter(None, (side, kind)))
        raise context.source.error(
            f"{word} JOIN is not supported: use JOIN, LEFT, RIGHT, FULL or CROSS JOIN", join.this
        )
    using, condition = join.args.get("using"), join.args.get("on")
    if kind == "CROSS":
        if using or condition:
            raise context.source.error("CROSS JOIN has no condition: use JOIN", join.this)
        return joined_with_all(left, right, context)
    join_type = cast(JoinType, side or "INNER")
    if using:
        return _joined_using(left, right, join_type, using, context)
    if condition is None:
        raise context.source.error("a join needs a condition: add ON a.x = b.y", join.this)
    right = distinct_fields(left, right)
    scope = scope_of_both(left, right, context)
    return joined_on(left, right, join_type, conjuncts(scope.condition(condition, "ON")))


def joined_with_all(left: Relation, right: Relation, context: Context) -> Relation:
    """Each row beside each of the others."""
    return joined_on(left, distinct_fields(left, right), "INNER", ())


def distinct_fields(left: Relation, right: Relation) -> Relation:
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


def scope_of_both(left: Relation, right: Relation, context: Context) -> Scope:
    """The columns of two relations of distinct fields, before they are joined."""
    schema = given_columns(left.builder.plan(), right.builder.plan(), "INNER")
    empty = pa.RecordBatch.from_pylist([], schema=schema)
    builder = PlanBuilder().values([empty])
    return Scope(context, Relation(builder, left.columns + right.columns))


def joined_on(
    left: Relation, right: Relation, join_type: JoinType, conditions: Sequence[Expression]
) -> Relation:
    """Pairs of rows of distinct fields: equalities of the sides are keys, the rest a filter."""
    fields = [side.builder.plan().output_type.names for side in (left, right)]
    return _by_keys(left, right, join_type, join_keys(conditions, *fields))


def _by_keys(left: Relation, right: Relation, join_type: JoinType, keys: JoinKeys) -> Relation:
    given = given_columns(left.builder.plan(), right.builder.plan(), join_type).names
    condition = conjunction(keys.rest) if keys.rest else None
    columns = left.columns + tuple(c for c in right.columns if c.field in given)
    if not keys.left:
        plan = right.builder.plan()
        builder = left.builder.nested_loop_join(plan, given, condition, join_type)
        return Relation(builder, columns)
    left_builder, left_keys = with_keys(left.builder, keys.left, "left")
    right_builder, right_keys = with_keys(right.builder, keys.right, "right")
    builder = left_builder.hash_join(
        left_keys, right_keys, right_builder.plan(), given, condition, join_type
    )
    return Relation(builder, columns)


def with_keys(
    builder: PlanBuilder, keys: Sequence[Expression], side: str
) -> tuple[PlanBuilder, Sequence[str]]:
    """A plan with the keys as columns, computed where they are none; and their names."""
    fields = builder.plan().output_type.names
    names, computed = named_keys(keys, fields, side)
    if computed:
        builder = builder.project({**{f: FieldReference(f) for f in fields}, **computed})
    return builder, names


def _joined_using(
    left: Relation,
    right: Relation,
    join_type: JoinType,
    using: Sequence[exp.Identifier],
    context: Context,
) -> Relation:
    """Columns of USING are there once, before the others."""
    right = distinct_fields(left, right)
    scopes = [Scope(context, relation) for relation in (left, right)]
    pairs, keys, values = [], [], []
    for identifier in using:
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
        keys.append(Call("eq", (sides[0], sides[1])))
        values.append(Call("coalesce", (sides[0], sides[1])))
    conditions = [scope_of_both(left, right, context).typed(key) for key in keys]
    both = joined_on(left, right, join_type, conditions)
    hidden = {column.field for pair in pairs for column in pair}
    others = [c for c in both.columns if c.field not in hidden]
    kept = 1 if join_type == "RIGHT" else 0
    shared = [replace(pair[kept], table="") for pair in pairs]
    if join_type == "FULL":
        fields = both.builder.plan().output_type.names
        names: list[str] = []
        for pair in pairs:
            names.append(free_name(pair[0].field, {*fields, *names}))
        both.builder.project(
            {
                **{field: FieldReference(field) for field in fields},
                **dict(zip(names, values, strict=True)),
            }
        )
        shared = [replace(column, field=name) for column, name in zip(shared, names, strict=True)]
    return replace(both, columns=(*shared, *others))

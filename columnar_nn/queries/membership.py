"""Conditions of WHERE that are joins: a value IN a query, and EXISTS."""

from __future__ import annotations

from sqlglot import exp

from columnar_nn.expressions.expression import Cast, Expression, FieldReference
from columnar_nn.plan.join import JoinType
from columnar_nn.plan.rewrites.conditions import conjuncts
from columnar_nn.plan.rewrites.join_keys import join_keys
from columnar_nn.queries.context import Context, Relation
from columnar_nn.queries.from_clause import read_from
from columnar_nn.queries.joins import distinct_fields, joined_on, scope_of_both, with_keys
from columnar_nn.queries.scope import Scope, widened


def read_membership(left: Relation, tree: exp.Expr, context: Context) -> Relation | None:
    """Rows for which a condition on a query holds; None if it is a condition of another kind."""
    negated = False
    while isinstance(tree, (exp.Paren, exp.Not)):
        negated ^= isinstance(tree, exp.Not)
        tree = tree.this
    if isinstance(tree, exp.Exists):
        return _exists(left, tree, negated, context)
    if isinstance(tree, exp.In) and tree.args.get("query"):
        return _in_query(left, tree, negated ^ bool(tree.args.get("negate")), context)
    return None


def _in_query(left: Relation, tree: exp.In, negated: bool, context: Context) -> Relation:
    """Rows of which a value is among those of a query, or surely not."""
    query = tree.args["query"]
    context.refuse_others(tree, "IN", "this", "query", "negate")
    right = context.bind(query.this if isinstance(query, exp.Subquery) else query, context)
    if len(right.columns) != 1:
        raise context.source.error("the query of IN gives one column: select one", query)
    value = Scope(context, left).scalar(tree.this, "IN")
    field = right.columns[0].field
    found = right.builder.plan().output_type.field(field).type
    target = widened(value.type, found)
    if target is None:
        raise context.source.error(f"{value.type} is never in a column of {found}: cast", query)
    keys = [
        side if side.type == target else Cast(side, target)
        for side in (value, FieldReference(field, found))
    ]
    left_builder, left_keys = with_keys(left.builder, keys[:1], "left")
    right_builder, right_keys = with_keys(right.builder, keys[1:], "right")
    builder = left_builder.hash_join(
        left_keys,
        right_keys,
        right_builder.plan(),
        output=[c.field for c in left.columns],
        join_type=_join_type(negated),
        null_aware=negated,
    )
    return Relation(builder, left.columns)


def _join_type(negated: bool) -> JoinType:
    return "ANTI" if negated else "LEFT SEMI (FILTER)"


def _exists(left: Relation, tree: exp.Exists, negated: bool, context: Context) -> Relation:
    """Rows for which the query has a row, or none; its conditions may name both sides' columns."""
    query = tree.this
    if not isinstance(query, exp.Select):
        raise context.source.error("EXISTS takes SELECT ... FROM ... WHERE", tree)
    context.refuse_others(query, "EXISTS", "expressions", "from_", "joins", "where")
    right = distinct_fields(left, read_from(query, context))
    where = query.args.get("where")
    conditions: list[Expression] = []
    if where is not None:
        both = scope_of_both(left, right, context).relation
        scope = Scope(context, Relation(both.builder, right.columns), left.columns)
        conditions = conjuncts(scope.condition(where.this, "WHERE"))
    sides = [side.builder.plan().output_type.names for side in (left, right)]
    if not join_keys(conditions, *sides).left:
        raise context.source.error(
            "EXISTS needs an equality with a column of the query around it: WHERE a.x = b.y", tree
        )
    return joined_on(left, right, _join_type(negated), conditions)

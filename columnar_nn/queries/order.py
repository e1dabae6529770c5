"""ORDER BY, LIMIT and OFFSET."""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from columnar_nn.expressions.expression import Constant, FieldReference
from columnar_nn.expressions.types import DataType, is_comparable, type_name
from columnar_nn.plan.order import SortingKey
from columnar_nn.plan.sql_expression import ExpressionReader
from columnar_nn.queries.context import Context, Relation

MOST_ROWS = 2**63 - 1


class SortedBy(SortingKey):
    """A key of ORDER BY; its column is known once the list of SELECT is."""

    @staticmethod
    def of(tree: exp.Expr, context: Context) -> SortedBy:
        """Its direction and where nulls go: last unless said otherwise, as in Presto."""
        context.refuse_others(tree, "ORDER BY", "this", "desc", "nulls_first")
        return SortedBy("", not tree.args.get("desc"), bool(tree.args.get("nulls_first")))

    @staticmethod
    def check(data_type: DataType, tree: exp.Expr, context: Context) -> None:
        """Raises InvalidPlanError unless values of the type have an order."""
        if not is_comparable(data_type):
            raise context.source.error(f"cannot sort by {type_name(data_type)}", tree)


@dataclass(frozen=True)
class Sorting:
    """Rows, what to sort them by, and whether that needs columns that are no part of the result."""

    relation: Relation
    keys: tuple[SortingKey, ...] = ()
    has_hidden: bool = False

    def limited(self, tree: exp.Expr, context: Context) -> Relation:
        """The rows in the order, and as many, as the query asks for."""
        builder = self.relation.builder
        offset = _count(tree.args.get("offset"), "OFFSET", context) or 0
        count = _count(tree.args.get("limit"), "LIMIT", context)
        if count == 0:
            builder.filter(Constant(False))
            count = None
        if self.keys and count is not None and offset + count <= MOST_ROWS:
            builder.top_n(self.keys, offset + count)
        elif self.keys:
            builder.order_by(self.keys)
        if offset or (count is not None and not self.keys):
            builder.limit(MOST_ROWS - offset if count is None else count, offset)
        if self.has_hidden:
            fields = [column.field for column in self.relation.columns]
            builder.project({field: FieldReference(field) for field in fields})
        return self.relation


def _count(tree: exp.Expr | None, what: str, context: Context) -> int | None:
    """A number of rows, None for all of them."""
    if tree is None or (isinstance(tree, exp.Limit) and tree.expression.name.upper() == "ALL"):
        return None
    if not isinstance(tree, (exp.Limit, exp.Offset)):
        raise context.source.error("FETCH is not supported: use LIMIT", tree)
    context.refuse_others(tree, what, "expression")
    value = ExpressionReader(context.source, parameters=context.parameters).read(tree.expression)
    number = value.value if isinstance(value, Constant) else None
    if not isinstance(number, int) or isinstance(number, bool) or number < 0:
        raise context.source.error(f"{what} takes a number of rows", tree.expression)
    return number

"""One SELECT: its rows, conditions, groups and columns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import pyarrow as pa
from sqlglot import exp

from columnar_nn.errors import CnnBenchError
from columnar_nn.expressions.expression import (
    DISTINCT,
    Call,
    Constant,
    Expression,
    FieldReference,
    topological,
    transform,
    with_inputs,
)
from columnar_nn.expressions.types import is_comparable, type_name
from columnar_nn.functions.resolve import is_vector_call
from columnar_nn.plan.aggregation import checked_aggregate
from columnar_nn.queries.context import Column, Context, Relation, free_name
from columnar_nn.queries.from_clause import read_from
from columnar_nn.queries.membership import read_membership
from columnar_nn.queries.order import SortedBy, Sorting
from columnar_nn.queries.scope import Scope, is_aggregate


@dataclass(frozen=True)
class _Item:
    """A column of the list: its name and what it is, not typed yet."""

    name: str
    tree: exp.Expr
    expression: Expression
    is_starred: bool = False


def read_select(tree: exp.Select, context: Context) -> Sorting:
    """What a SELECT gives, but for its order and limit: `Sorting` knows what to sort it by."""
    context.refuse_others(
        tree,
        "SELECT",
        *("with_", "expressions", "from_", "joins", "where", "group", "having", "distinct"),
        *("order", "limit", "offset"),
    )
    relation = _filtered(read_from(tree, context), tree.args.get("where"), context)
    scope = Scope(context, relation)
    items = _distinctly_named(list(_items(tree, scope)), context)
    if not items:
        raise context.source.error("SELECT gives no column: name one", tree)
    order = list(_order(tree.args.get("order"), items, scope))
    having = tree.args.get("having")
    conditions = [] if having is None else [scope.read(having.this)]
    group = tree.args.get("group")
    read = [*(item.expression for item in items), *(e for e, _, _ in order if e), *conditions]
    final: Callable[[Expression], Expression] = scope.typed
    if group is not None or having is not None or any(map(is_aggregate, topological(read))):
        grouped = _Groups(scope, _keys(group, items, scope), read)
        final = grouped.final
        relation = replace(relation, builder=grouped.builder)
        for condition in conditions:
            _filter_groups(final(condition), condition, relation, scope)
    outputs = {item.name: final(item.expression) for item in items}
    hidden: dict[str, Expression] = {}
    keys = []
    for expression, key, place in order:
        if expression is None:
            key.check(outputs[key.column].type, place, context)
            keys.append(key)
            continue
        typed = final(expression)
        key.check(typed.type, place, context)
        shown = next((name for name, output in outputs.items() if output is typed), None)
        if shown is None:
            shown = free_name("order", {*outputs, *hidden})
            hidden[shown] = typed
            if tree.args.get("distinct"):
                raise scope.error("ORDER BY a column that SELECT DISTINCT gives", expression)
        keys.append(key.replaced(column=shown))
    builder = relation.builder
    if not _is_the_same(builder.plan().output_type, outputs, hidden):
        builder.project({**outputs, **hidden})
    columns = tuple(Column("", name, name) for name in outputs)
    if distinct := tree.args.get("distinct"):
        context.refuse_others(distinct, "DISTINCT")
        for item in items:
            if not is_comparable(outputs[item.name].type):
                held = type_name(outputs[item.name].type)
                raise context.source.error(
                    f"DISTINCT of {item.name}, which holds {held}: leave it out", item.tree
                )
        builder.distinct()
    return Sorting(Relation(builder, columns), tuple(keys), bool(hidden))


def _filter_groups(
    condition: Expression, read: Expression, relation: Relation, scope: Scope
) -> None:
    try:
        relation.builder.filter(condition)
    except CnnBenchError as error:
        raise scope.error(str(error), read) from None


def _is_the_same(
    schema: pa.Schema, outputs: dict[str, Expression], hidden: dict[str, Expression]
) -> bool:
    """Whether the plan gives just these columns already."""
    read = [e.name if isinstance(e, FieldReference) else "" for e in outputs.values()]
    return not hidden and read == list(outputs) == schema.names


def _filtered(relation: Relation, where: exp.Where | None, context: Context) -> Relation:
    """The rows of WHERE; a value that is IN a query, and EXISTS, are joins of their own."""
    if where is None:
        return relation
    for part in _conjuncts(where.this):
        member = read_membership(relation, part, context)
        if member is not None:
            relation = member
        else:
            condition = Scope(context, relation).condition(part, "WHERE")
            relation.builder.filter(condition)
    return relation


def _conjuncts(tree: exp.Expr) -> list[exp.Expr]:
    """Conditions that are joined by AND, one filter each if one of them asks for a join."""
    parts: list[exp.Expr] = []
    stack = [tree]
    while stack:
        part = stack.pop()
        inner = part.this if isinstance(part, exp.Paren) else part
        if isinstance(inner, exp.And):
            stack += [inner.expression, inner.this]
        else:
            parts.append(part)
    has_query = any(part.find(exp.Query) for part in parts)
    return parts if has_query else [tree]


def _items(tree: exp.Select, scope: Scope) -> Iterator[_Item]:
    """The columns of the list, * written out."""
    for position, item in enumerate(tree.expressions):
        inner = item.this if isinstance(item, exp.Alias) else item
        if isinstance(inner, exp.Star) or (
            isinstance(inner, exp.Column) and isinstance(inner.this, exp.Star)
        ):
            yield from _starred(item, scope)
            continue
        expression = scope.read(inner)
        name = item.alias if isinstance(item, exp.Alias) else ""
        if not name and isinstance(inner, exp.Column):
            name = scope.column(inner.name, inner.table, inner).name
        yield _Item(name or f"_col{position}", item, expression)


def _starred(item: exp.Expr, scope: Scope) -> Iterator[_Item]:
    context = scope.context
    table = item.table if isinstance(item, exp.Column) else ""
    star = item.this if isinstance(item, exp.Column) else item
    if isinstance(item, exp.Alias):
        raise context.source.error("* has no name: name its columns", item)
    context.refuse_others(star, "*")
    found = [c for c in scope.relation.columns if table.lower() in ("", c.table.lower())]
    if not found:
        what = f"no table {table} in FROM" if table else "* of no table: add FROM"
        raise context.source.error(what, item)
    for column in found:
        yield _Item(column.name, item, FieldReference(column.field), is_starred=True)


def _distinctly_named(items: Sequence[_Item], context: Context) -> list[_Item]:
    """The items, those of * with a number where another one has their name; no others may be so."""
    named = {item.name for item in items if not item.is_starred}
    found: dict[str, _Item] = {}
    for item in items:
        name = item.name
        if item.is_starred and (name in found or name in named):
            name = free_name(name, {*found, *named})
        if name in found:
            raise context.source.error(
                f"two columns are called {name}: name one with AS", item.tree
            )
        found[name] = replace(item, name=name)
    return list(found.values())


def _number(tree: exp.Expr) -> int | None:
    is_number = isinstance(tree, exp.Literal) and not tree.args["is_string"]
    return int(tree.this) if is_number and tree.this.isdigit() else None


def _numbered(number: int, tree: exp.Expr, items: Sequence[_Item], context: Context) -> _Item:
    if not 1 <= number <= len(items):
        raise context.source.error(f"there is no column {number}: SELECT gives {len(items)}", tree)
    return items[number - 1]


def _keys(group: exp.Group | None, items: Sequence[_Item], scope: Scope) -> list[Expression]:
    """What GROUP BY names, by number or as expressions, typed, each once."""
    if group is None:
        return []
    context = scope.context
    context.refuse_others(group, "GROUP BY", "expressions")
    keys: dict[int, Expression] = {}
    for tree in group.expressions:
        if isinstance(tree, (exp.Tuple, exp.Rollup, exp.Cube, exp.GroupingSets)):
            raise context.source.error("GROUP BY takes columns and expressions only", tree)
        number = _number(tree)
        if number is None:
            key = scope.scalar(tree, "GROUP BY")
        else:
            item = _numbered(number, tree, items, context)
            if any(map(is_aggregate, topological([item.expression]))):
                raise context.source.error(f"column {number} is an aggregate", tree)
            key = scope.typed(item.expression)
        if not is_comparable(key.type):
            raise context.source.error(f"cannot group by {type_name(key.type)}", tree)
        keys[id(key)] = key
    return list(keys.values())


def _order(
    order: exp.Order | None, items: Sequence[_Item], scope: Scope
) -> Iterator[tuple[Expression | None, SortedBy, exp.Expr]]:
    """(what to sort by, None if the key names a column that SELECT gives; the key; its place)."""
    if order is None:
        return
    scope.context.refuse_others(order, "ORDER BY", "expressions")
    for tree in order.expressions:
        key = SortedBy.of(tree, scope.context)
        number = _number(tree.this)
        name = tree.this.name if isinstance(tree.this, exp.Column) and not tree.this.table else ""
        named = [item for item in items if name and item.name.lower() == name.lower()]
        if number is not None:
            found = _numbered(number, tree.this, items, scope.context)
            yield None, key.replaced(column=found.name), tree
        elif named:
            yield None, key.replaced(column=named[0].name), tree
        else:
            yield scope.read(tree.this), key, tree


class _Groups:
    """The aggregation of a query, and what expressions are over its groups."""

    def __init__(
        self, scope: Scope, keys: Sequence[Expression], read: Sequence[Expression]
    ) -> None:
        self._scope = scope
        columns: dict[str, Expression] = {}
        for key in keys:
            name = key.name if isinstance(key, FieldReference) else free_name("key", columns)
            columns[name] = key
        self._keys = {id(key): name for name, key in columns.items()}
        self._aggregates: dict[int, str] = {}
        calls: dict[tuple[str, int, bool], str] = {}
        aggregates: dict[str, Expression] = {}
        schema = scope.relation.builder.plan().output_type
        for part in topological(read):
            if not is_aggregate(part):
                continue
            assert isinstance(part, Call)
            arguments = [self._argument(part, source) for source in part.inputs]
            try:
                checked_aggregate(part.replaced(inputs=tuple(arguments)), part.function, schema)
            except CnnBenchError as error:
                raise scope.error(str(error), part) from None
            number = id(arguments[0]) if arguments else 0
            known = part.function, number, bool(part.attributes.get(DISTINCT))
            if known not in calls:
                taken = {*self._keys.values(), *aggregates}
                calls[known] = free_name(part.function, taken)
                inputs = tuple(_column_of(argument, columns) for argument in arguments)
                aggregates[calls[known]] = Call(part.function, inputs, part.attributes)
            self._aggregates[id(part)] = calls[known]
        builder = scope.relation.builder
        if any(not isinstance(column, FieldReference) for column in columns.values()):
            builder.project(columns)
        self.builder = builder.aggregate(list(self._keys.values()), aggregates)
        self._types = self.builder.plan().output_type
        self._over = Scope(scope.context, Relation(self.builder, ()))

    def _argument(self, call: Call, source: Expression) -> Expression:
        if any(map(is_aggregate, topological([source]))):
            raise self._scope.error("an aggregate of an aggregate", call)
        return self._scope.typed(source)

    def final(self, expression: Expression) -> Expression:
        """The expression over groups: keys and aggregates are columns now."""
        over_groups = self._over_groups(expression)
        try:
            return self._over.typed(over_groups)
        except CnnBenchError as error:
            raise self._scope.error(str(error), expression) from None

    def _over_groups(self, expression: Expression) -> Expression:
        if id(expression) in self._aggregates:
            return self._reference(self._aggregates[id(expression)])
        if isinstance(expression, Constant):
            return expression
        if not any(map(is_aggregate, topological([expression]))):
            key = self._keys.get(id(self._scope.typed(expression)))
            if key is not None:
                return self._reference(key)
        if isinstance(expression, FieldReference):
            raise self._scope.error(
                f"{expression.name} is neither grouped nor aggregated: add it to GROUP BY",
                expression,
            )
        if is_vector_call(expression):
            # inside a network no part is a key but its columns
            (result,) = transform(
                [expression],
                lambda e, inputs: (
                    self._over_groups(e)
                    if isinstance(e, FieldReference)
                    else with_inputs(e, inputs)
                ),
            )
            return result
        return with_inputs(expression, tuple(map(self._over_groups, expression.inputs)))

    def _reference(self, name: str) -> FieldReference:
        return FieldReference(name, self._types.field(name).type)


def _column_of(argument: Expression, columns: dict[str, Expression]) -> Expression:
    """A column of what is aggregated; it is added to the `columns` if it is not among them."""
    for name, known in columns.items():
        if known is argument:
            return FieldReference(name)
    if isinstance(argument, FieldReference):
        columns[argument.name] = argument
        return FieldReference(argument.name)
    name = free_name("argument", columns)
    columns[name] = argument
    return FieldReference(name)

"""What a query is bound in: its text, the tables and functions that it may name."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from sqlglot import exp

from columnar_nn.data.arrow_source import ArrowSource, open_source
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.sql_expression import Parameters
from columnar_nn.plan.sql_text import SqlText, given
from columnar_nn.queries.networks import Networks


@dataclass(frozen=True)
class Column:
    """A column that a query may name: `name`, of the table `table`; `field` of the plan."""

    table: str
    name: str
    field: str


@dataclass(frozen=True)
class Relation:
    """Rows that a query reads: the plan that gives them, and how their columns are called."""

    builder: PlanBuilder
    columns: tuple[Column, ...]

    def called(self, table: str) -> Relation:
        """The same under another table's name."""
        return replace(self, columns=tuple(replace(c, table=table) for c in self.columns))


@dataclass(frozen=True)
class Context:
    """The text of a query and what there is beside it.

    `tables` are opened once each, however often they are named: a stream is read once. `builder`
    gives the ids of the plan's nodes; `bind` binds a query within another; `withs` are
    those of WITH by name in lower case, each with the context that it stands in.
    """

    source: SqlText
    tables: Mapping[str, Any]
    networks: Networks
    parameters: Parameters
    builder: PlanBuilder
    bind: Callable[[exp.Expr, Context], Relation]
    withs: Mapping[str, tuple[exp.CTE, Context]]
    opened: dict[str, ArrowSource] = field(default_factory=dict)

    def table(self, name: str) -> ArrowSource:
        """The table of that name, which is there; raises as `open_source` does."""
        if name not in self.opened:
            self.opened[name] = open_source(self.tables[name])
        return self.opened[name]

    def refuse_others(self, tree: exp.Expr, what: str, *known: str) -> None:
        """Raises InvalidPlanError if a part of the query has more to it than is understood."""
        for extra in given(tree, *known):
            name = next(key for key, value in tree.args.items() if value and key not in known)
            word = name.strip("_").replace("_", " ").upper()
            raise self.source.error(f"{word} of {what} is not supported", extra)


def suggestion(name: str, known: Iterable[str]) -> str:
    """What may have been meant, and what there is."""
    names = list(known)
    close = difflib.get_close_matches(name.lower(), [n.lower() for n in names], 1)
    meant = next((n for n in names if close and n.lower() == close[0]), None)
    listed = ", ".join(names[:12]) + (" ..." if len(names) > 12 else "")
    there_is = f"there is {listed}" if names else "there is none"
    return f"did you mean {meant}? {there_is}" if meant else there_is


def free_name(name: str, taken: Container[str]) -> str:
    """The name, with a number if it is taken."""
    numbered = (f"{name} {number}" if number else name for number in count())
    return next(each for each in numbered if each not in taken)

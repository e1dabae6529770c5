"""What every plan node answers for itself, and walks over the tree that they are.

What it reads, what it computes, whether several drivers may run it, what is printed of it. Whoever
rewrites, runs or prints a plan asks these, and knows no node by its name.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import ClassVar

import pyarrow as pa

from columnar_nn.errors import InvalidPlanError
from columnar_nn.expressions.expression import Expression
from columnar_nn.record import Record
from columnar_nn.shown import Shown, line


class PlanNode(Shown, Record, ABC):
    """A node with an id that no other node of the plan has; compared by identity."""

    id: str

    name: ClassVar[str]
    """As Velox prints it."""

    reads_by_name: ClassVar[bool] = False
    """Whether it asks its source's batches for columns by name, and may find others beside them."""

    def __repr__(self) -> str:
        return line(f"{self.name}[{self.id}]", self.details)

    @property
    @abstractmethod
    def sources(self) -> tuple[PlanNode, ...]:
        """The nodes that it reads, in order."""

    @abstractmethod
    def with_sources(self, sources: Sequence[PlanNode]) -> PlanNode:
        """The node over others of the same types; itself if they are the same objects."""

    @property
    @abstractmethod
    def output_type(self) -> pa.Schema:
        """Names and types of its columns."""

    @property
    @abstractmethod
    def details(self) -> str:
        """What stands between the brackets after its id in the plan's text."""

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """Those it computes of its sources' rows, in order."""
        return ()

    def with_expressions(self, expressions: Sequence[Expression]) -> PlanNode:
        """The node with as many others, of the same types, in the order of `expressions`."""
        assert not expressions
        return self

    @property
    def parallel(self) -> bool:
        """Whether several drivers may run it, each over a share of its source's batches."""
        return False

    def gathered(self, gather: Gather) -> PlanNode:
        """The node, not `parallel`, over what `gather` makes of sources that several drivers run.

        `gather` leaves alone those that one driver runs.
        """
        return self.with_sources([gather(source) for source in self.sources])

    @property
    def serial(self) -> PlanNode:
        """What stands for it where a single driver runs everything."""
        return self

    @property
    def scans(self) -> tuple[ScanNode, ...]:
        """The leaves below it, in order."""
        return tuple(scan for source in self.sources for scan in source.scans)


class ScanNode(PlanNode):
    """A leaf: gives the columns of `schema`."""

    schema: pa.Schema

    @abstractmethod
    def read(self) -> Iterator[pa.RecordBatch]:
        """Starts reading its batches; they may have other columns beside."""

    @property
    def output_type(self) -> pa.Schema:
        """Its `schema`."""
        return self.schema

    @property
    def sources(self) -> tuple[PlanNode, ...]:
        """None."""
        return ()

    def with_sources(self, sources: Sequence[PlanNode]) -> PlanNode:
        """Itself."""
        assert not sources
        return self

    @property
    def parallel(self) -> bool:
        """Drivers take its batches in turn."""
        return True

    @property
    def scans(self) -> tuple[ScanNode, ...]:
        """Itself."""
        return (self,)


class UnaryNode(PlanNode):
    """A node that reads one other; its columns are those unless it says otherwise."""

    source: PlanNode

    @property
    def sources(self) -> tuple[PlanNode, ...]:
        """The one it reads."""
        return (self.source,)

    def with_sources(self, sources: Sequence[PlanNode]) -> PlanNode:
        """The node over another one."""
        (source,) = sources
        return self if source is self.source else self.replaced(source=source)

    @property
    def output_type(self) -> pa.Schema:
        """That of its source."""
        return self.source.output_type


def checked_plan(given: PlanNode, where: str) -> PlanNode:
    """`given`; raises InvalidPlanError if it is no plan, such as a builder of one."""
    if not isinstance(given, PlanNode):
        raise InvalidPlanError(
            f"{where} needs a plan, not {type(given).__name__}: see plan() of a PlanBuilder"
        )
    return given


Gather = Callable[[PlanNode], PlanNode]
"""Puts the rows of a plan that several drivers run into one stream."""


def nodes(plan: PlanNode) -> Iterator[PlanNode]:
    """The plan's nodes as its text lists them: each before its sources."""
    yield plan
    for source in plan.sources:
        yield from nodes(source)


def transform_up(plan: PlanNode, change: Callable[[PlanNode], PlanNode]) -> PlanNode:
    """The plan with every node replaced by what `change` makes of it, sources first."""
    return change(plan.with_sources([transform_up(source, change) for source in plan.sources]))

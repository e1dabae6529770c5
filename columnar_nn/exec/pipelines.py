"""A plan cut into pipelines (velox/exec/LocalPlanner.cpp)."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, cast

from columnar_nn.exec.operators.base import (
    DriverContext,
    Operator,
    SinkOperator,
    SourceOperator,
)
from columnar_nn.exec.operators.registry import operator_class, sink_class
from columnar_nn.plan.plan_node import PlanNode
from columnar_nn.record import Record

if TYPE_CHECKING:
    from columnar_nn.exec.driver import Driver
    from columnar_nn.exec.trace import Trace


class Pipeline(Record):
    """Nodes that each driver runs from the first, a source, to the last.

    What leaves the last one feeds source `position` of `consumer`, a node of another pipeline; if
    that is None it is the plan's output. `feeding` numbers the pipelines that feed this one's
    nodes, in the order in which they are read.
    """

    nodes: tuple[PlanNode, ...]
    consumer: PlanNode | None
    position: int
    feeding: tuple[int, ...]

    @cached_property
    def parallel(self) -> bool:
        """Whether several drivers may run it."""
        return all(node.parallel for node in self.nodes)

    @cached_property
    def sink(self) -> type[SinkOperator] | None:
        """What its drivers end with if it feeds another."""
        return None if self.consumer is None else sink_class(self.consumer)

    @cached_property
    def _operators(self) -> list[tuple[type[Operator], PlanNode]]:
        return [(operator_class(node), node) for node in self.nodes]

    @cached_property
    def _row_bytes(self) -> list[int]:
        from columnar_nn.exec.stats import fixed_row_bytes  # of tasks, not of calls

        ends = () if self.consumer is None else (self.nodes[-1],)
        return [fixed_row_bytes(node.output_type) for node in (*self.nodes, *ends)]

    def driver(self, number: int, context: DriverContext, trace: Trace | None) -> Driver:
        """A new driver of this pipeline, the plan's `number`-th."""
        from columnar_nn.exec.driver import Driver  # of tasks, not of calls

        operators = [make(node, context) for make, node in self._operators]
        if self.sink is not None and self.consumer is not None:
            source = cast(SourceOperator, operators[0])
            operators.append(self.sink(self.consumer, context, source))
        return Driver(number, operators, self._row_bytes, context.profile, trace)


def cut(plan: PlanNode) -> tuple[Pipeline, ...]:
    """The plan's pipelines, each after those that feed it: the last one gives the output.

    A node's first source is run by its own pipeline, unless its operator starts one; the others
    are run by pipelines of their own.
    """
    found: list[Pipeline] = []
    _cut(plan, None, 0, found)
    return tuple(found)


def _cut(last: PlanNode, consumer: PlanNode | None, position: int, found: list[Pipeline]) -> int:
    """Adds the pipeline that ends with `last`, after those that feed it; returns its number."""
    nodes, feeding = [last], []
    while True:
        node = nodes[0]
        own = 0 if operator_class(node).starts_pipeline else 1
        for index, source in enumerate(node.sources[own:], start=own):
            feeding.append(_cut(source, node, index, found))
        if not node.sources[:own]:
            break
        nodes.insert(0, node.sources[0])
    found.append(Pipeline(tuple(nodes), consumer, position, tuple(feeding)))
    return len(found) - 1

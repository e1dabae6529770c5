"""A plan node is a node and an operator: nothing else has to know of it."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import cast

import pyarrow as pa

from columnar_nn.exec.executable import prepare
from columnar_nn.exec.operators.base import (
    Bridge,
    DriverContext,
    Operator,
    SinkOperator,
    SourceOperator,
)
from columnar_nn.exec.operators.registry import feeds, runs
from columnar_nn.plan import aggregation, nodes, order, unnest
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.hash_join import HashJoinNode
from columnar_nn.plan.nested_loop_join import NestedLoopJoinNode
from columnar_nn.plan.plan_node import PlanNode, ScanNode, UnaryNode
from columnar_nn.plan.text import to_text

BATCH = pa.record_batch({"id": pa.array(range(4), pa.int64())})


def scan() -> PlanBuilder:
    return PlanBuilder().values([BATCH])


def join() -> PlanBuilder:
    """With a filter, an expression of both sides."""
    builder = scan()
    right = builder.new_builder().values([BATCH]).project(["id AS other"]).plan()
    return builder.hash_join(["id"], ["other"], right, ["id"], "other < 4")


def loop() -> PlanBuilder:
    builder = scan()
    right = builder.new_builder().values([BATCH]).project(["id AS other"]).plan()
    return builder.nested_loop_join(right, ["id"], "id = other")


def unnested() -> PlanBuilder:
    """Of one element each."""
    lists = pa.record_batch({"id": BATCH.column("id"), "xs": pa.array([[0]] * 4)})
    return PlanBuilder().values([lists]).unnest(["id"], ["xs"])


BUILT = [
    scan(),
    PlanBuilder().table_scan(BATCH),
    scan().filter("id < 4"),
    scan().project(["id"]),
    scan().aggregate(["id"], []),
    scan().limit(4),
    scan().order_by(["id"]),
    scan().top_n(["id"], 4),
    scan().local_partition(),
    join(),
    loop(),
    unnested(),
]


def test_every_node_can_be_built_printed_and_run(threads: int) -> None:
    modules = (nodes, aggregation, order, unnest)
    classes = {found for m in modules for found in vars(m).values() if hasattr(found, "sources")}
    classes -= {PlanNode, ScanNode, UnaryNode}
    assert {type(builder.plan()) for builder in BUILT} == classes | {
        HashJoinNode,
        NestedLoopJoinNode,
    }
    for builder in BUILT:
        plan = builder.plan()
        assert to_text(plan).startswith(f"-- {plan.name}[{plan.id}][{plan.details}] -> id:BIGINT")
        assert plan.with_sources(plan.sources) is plan
        copy = plan.with_expressions(plan.expressions)
        assert (copy.expressions, copy.output_type) == (plan.expressions, plan.output_type)
        with prepare(plan, threads) as executable:
            found = executable.run().to_table().column("id").to_pylist()
        assert sorted(found) == [0, 1, 2, 3]


class EveryOtherNode(UnaryNode):
    """Every other row of each batch."""

    name = "EveryOther"

    @property
    def parallel(self) -> bool:
        return True

    @property
    def details(self) -> str:
        return "even"


@runs(EveryOtherNode)
class EveryOther(Operator):
    operator_type = "EveryOther"

    def __init__(self, node: EveryOtherNode, context: DriverContext) -> None:
        super().__init__(node, context)
        self._batch: pa.RecordBatch | None = None

    def needs_input(self) -> bool:
        return self._batch is None and not self._no_more_input

    def add_input(self, batch: pa.RecordBatch) -> None:
        self._batch = batch.take(pa.array(range(0, batch.num_rows, 2)))

    def get_output(self) -> pa.RecordBatch | None:
        batch, self._batch = self._batch, None
        return batch

    def is_finished(self) -> bool:
        return self._no_more_input and self._batch is None


def numbered(count: int, rows: int = 4) -> list[pa.RecordBatch]:
    return [
        pa.record_batch({"id": pa.array(range(rows * i, rows * (i + 1)), pa.int64())})
        for i in range(count)
    ]


def test_a_node_of_ones_own(threads: int) -> None:
    plan = EveryOtherNode("mine", PlanBuilder().values(numbered(60)).plan())
    assert to_text(plan).startswith("-- EveryOther[mine][even] -> id:BIGINT\n  -- Values[0]")
    with prepare(plan, threads) as executable:
        task = executable.run()
        assert task.to_table().column("id").to_pylist() == [*range(0, 240, 2)]
        assert task.stats().plan_node_stats()["mine"].input_rows == 240


class SemiJoinNode(PlanNode):
    """Rows of `probe` whose id some row of `build` has."""

    probe: PlanNode
    build: PlanNode
    name = "SemiJoin"
    details = "id"

    @property
    def sources(self) -> tuple[PlanNode, ...]:
        return (self.probe, self.build)

    def with_sources(self, sources: Sequence[PlanNode]) -> PlanNode:
        return SemiJoinNode(self.id, *sources)

    @property
    def output_type(self) -> pa.Schema:
        return self.probe.output_type

    @property
    def parallel(self) -> bool:
        return True


class Ids(Bridge):
    """What the build side found, once all of its drivers have ended."""

    def __init__(self, num_builders: int, changed: threading.Condition) -> None:
        self.changed = changed
        self.ids: list[int] = []
        self.builders = num_builders
        self.closed = False

    def close(self) -> None:
        with self.changed:
            self.closed = True
            self.changed.notify_all()


@feeds(SemiJoinNode)
class IdBuild(SinkOperator):
    operator_type = "IdBuild"

    def __init__(self, node: SemiJoinNode, context: DriverContext, source: SourceOperator) -> None:
        super().__init__(node, context, source)
        self._bridge = cast(Ids, context.bridges[node.id])
        self._ended = False
        assert context.position == 1

    @staticmethod
    def make_bridge(num_drivers: Sequence[int], changed: threading.Condition) -> Ids:
        return Ids(sum(num_drivers), changed)

    def needs_input(self) -> bool:
        return not self._no_more_input

    def add_input(self, batch: pa.RecordBatch) -> None:
        with self._bridge.changed:
            self._bridge.ids += batch.column("id").to_pylist()

    def is_finished(self) -> bool:
        return self._no_more_input or self._bridge.closed

    def close(self) -> None:
        with self._bridge.changed:
            self._bridge.builders -= not self._ended
            self._bridge.changed.notify_all()
        self._ended = True


@runs(SemiJoinNode)
class IdProbe(EveryOther):
    operator_type = "IdProbe"

    def __init__(self, node: SemiJoinNode, context: DriverContext) -> None:
        Operator.__init__(self, node, context)
        self._batch = None
        self._bridge = cast(Ids, context.bridges[node.id])

    def is_blocked(self) -> bool:
        return self._bridge.builders > 0 and not self._bridge.closed

    def add_input(self, batch: pa.RecordBatch) -> None:
        kept = batch.filter(pa.array([i in self._bridge.ids for i in batch[0].to_pylist()]))
        self._batch = kept if kept.num_rows else None


def test_a_pipeline_may_build_what_another_probes(threads: int) -> None:
    """As HashJoin does: the task knows of neither."""
    builder = PlanBuilder()
    probe = builder.new_builder().values(numbered(200))
    build = builder.new_builder().values(numbered(50, 16)).filter("id % 3 = 0 and id < 700")
    plan = SemiJoinNode("join", probe.plan(), build.plan())
    with prepare(plan, threads) as executable:
        for _ in range(3):
            task = executable.run()
            assert task.to_table().column("id").to_pylist() == [*range(0, 700, 3)]
        stats = task.stats().plan_node_stats()["join"]
        assert stats.operator_types == ("IdBuild", "IdProbe")
        assert (stats.input_rows, stats.output_rows) == (234 + 800, 234)
        held = iter(executable.run())
        next(held)
        del held
        assert executable.run().to_table().num_rows == 234

"""A network runs the same kernels, and is profiled alike, wherever its expression stands."""

from __future__ import annotations

import numpy as np
import pytest
from exec.networks import expected, images, residual_network

from columnar_nn.exec.executable import prepare
from columnar_nn.exec.step_stats import StepStats
from columnar_nn.expressions.expression import Call, Constant, argmax
from columnar_nn.functions.resolve import resolve
from columnar_nn.lowering.network import network
from columnar_nn.plan.aggregation import Aggregate, AggregationNode
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.plan_node import PlanNode
from columnar_nn.plan.rewrites import FUSIONS

BATCHES = [images(300, seed=3), images(41, seed=4)]
(LOGITS,) = zip(*(expected(residual_network(), batch, "logits") for batch in BATCHES), strict=True)
BEST = np.concatenate(LOGITS).argmax(axis=1)
CLASS = int(np.bincount(BEST).argmax())


def best() -> Call:
    return argmax(network(residual_network()))


def projecting() -> PlanNode:
    return PlanBuilder().values(BATCHES).project({"best": best()}).plan()


def filtering() -> PlanNode:
    condition = Call("eq", (best(), Constant(CLASS)))
    return PlanBuilder().values(BATCHES).filter(condition).project(["id"]).plan()


def aggregating() -> PlanNode:
    source = PlanBuilder().values(BATCHES).plan()
    (argument,) = resolve([best()], source.output_type)
    aggregate = Aggregate("total", "sum", argument, argument.type)
    return AggregationNode("1", source, "SINGLE", (), (aggregate,))


PLANS = {"project": projecting, "filter": filtering, "aggregate": aggregating}


def kernels(steps: tuple[StepStats, ...]) -> list[tuple[str, str, int]]:
    return [(step.label, step.kernel, step.multiply_adds) for step in steps]


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("algorithm", ["auto", "direct", "winograd", "textbook"])
def test_the_kernels_are_those_of_a_projection(fusion: str, algorithm: str) -> None:
    found = {
        name: kernels(prepare(plan(), fusion=fusion, algorithm=algorithm).steps)
        for name, plan in PLANS.items()
    }
    assert found["filter"] == found["aggregate"] == found["project"]
    labels = [label for label, _, _ in found["filter"]]
    assert ("conv1+relu1" in labels) == (fusion != "none")


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("threads", [1, 2])
def test_the_profile_has_their_times_and_rows(name: str, threads: int) -> None:
    with prepare(PLANS[name](), threads) as executable:
        for profile in (True, False):
            task = executable.run(profile=profile)
            task.to_table()
            steps = task.stats().steps
            assert kernels(steps) == kernels(executable.steps)
            assert all((step.nanoseconds > 0) == profile for step in steps)
            assert {step.rows for step in steps} == {len(BEST)}
            (node_id,) = {step.plan_node_id for step in steps}
            node = task.stats().plan_node_stats()[node_id]
            assert node.steps == steps
            assert node.peak_memory_bytes > 20 * 9 * 7 * 4  # a tensor between two kernels
            if profile:
                assert sum(step.nanoseconds for step in steps) <= node.wall_nanos


@pytest.mark.parametrize("name", PLANS)
def test_the_timeline_has_their_times(name: str) -> None:
    with prepare(PLANS[name]()) as executable:
        task = executable.run(trace=True)
        task.to_table()
    assert task.trace is not None
    spans = [event for event in task.trace.events() if event.get("cat") == "kernel"]
    assert {event["name"] for event in spans} == {step.label for step in executable.steps}
    for step in executable.steps:
        assert sum(e["args"]["rows"] for e in spans if e["name"] == step.label) == len(BEST)


def test_the_rows_are_those_of_the_reference(threads: int) -> None:
    ids = np.concatenate([batch.column("id").to_numpy() for batch in BATCHES])
    results = {name: prepare(plan(), threads).run().to_table() for name, plan in PLANS.items()}
    assert results["project"].column("best").to_pylist() == BEST.tolist()
    assert results["filter"].column("id").to_pylist() == ids[BEST == CLASS].tolist()
    assert results["aggregate"].to_pylist() == [{"total": int(BEST.sum())}]

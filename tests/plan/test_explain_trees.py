"""What explain makes of plans that are no chains, and of networks outside projections."""

from __future__ import annotations

import pytest
from exec.networks import images, residual_network

from bench.explain import columnar
from bench.explain import text as explain_text
from columnar_nn.exec.executable import Executable, prepare
from columnar_nn.expressions.expression import Call, Constant, argmax
from columnar_nn.lowering.network import network
from columnar_nn.plan.builder import PlanBuilder

GRAPH = residual_network()
LABELS = ["pixels_to_float", "conv1+relu1", "conv2+norm+add+relu2", "pool", "dense", "argmax"]


@pytest.fixture(scope="module")
def executable() -> Executable:
    """Two sources, the network in a filter of the second and in a projection above."""
    best = argmax(network(GRAPH))
    builder = PlanBuilder()
    first = builder.new_builder().values([images(3)]).plan()
    second = builder.new_builder().values([images(5)]).filter(Call("eq", (best, Constant(1))))
    return prepare(builder.local_partition([first, second.plan()]).project({"best": best}).plan())


def test_the_document_nests_every_source(executable: Executable) -> None:
    (project,) = columnar.document(GRAPH, executable, None)["children"]
    (union,) = project["children"]
    first, second = union["children"]
    (values,) = second["children"]
    names = [node["operator_name"] for node in (project, union, first, second, values)]
    assert names == ["Project[4]", "LocalPartition[3]", "Values[0]", "Filter[2]", "Values[1]"]
    for node in (project, second):
        labels = [kernel["operator_name"] for kernel in node["kernels"]]
        assert [label for label in labels if label != "output"] == LABELS
    assert [node["kernels"] for node in (union, first, values)] == [[]] * 3


def test_the_text_lists_every_source_and_all_kernels(executable: Executable) -> None:
    lines = explain_text.text(executable, None, None).splitlines()
    names = [line.partition("[")[0] for line in lines[:5]]
    assert names == [
        "-- Project",
        "  -- LocalPartition",
        "    -- Values",
        "    -- Filter",
        "      -- Values",
    ]
    assert sum(line.startswith("conv1+relu1 ") for line in lines) == 2

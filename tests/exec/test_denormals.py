"""Denormals are flushed, or kept, on every thread that takes part in a task."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from exec.networks import column

from columnar_nn.data import tensor_column
from columnar_nn.exec.executable import prepare
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.plan.builder import PlanBuilder


@pytest.mark.parametrize("keep_denormals", [False, True])
@pytest.mark.parametrize("rows", [1, 7, 2000])
def test_every_thread_of_a_task_does_the_same(
    rows: int, keep_denormals: bool, threads: int
) -> None:
    """Of rows taken apart, of one shared by a team, and of a stream that drivers share."""
    weights = {"w": np.full((32, 3, 3, 3), 1e-20, np.float32)}
    window = {"kernel_shape": [3, 3], "strides": [1, 1], "dilations": [1, 1], "pads": [0, 0, 0, 0]}
    node = Node("conv", "Conv", ("image", "w"), ("y",), {**window, "group": 1})
    spec, output = TensorSpec("image", (None, 3, 5, 5)), TensorSpec("y", (None, 32, 3, 3))
    graph = Graph("products", (node,), (spec,), (output,), weights)
    batch = pa.record_batch(
        {"image": tensor_column.from_numpy(np.full((rows, 3, 5, 5), 1e-20, np.float32))}
    )
    plan = PlanBuilder().values([batch]).project(network_outputs(graph, "image")).plan()
    with prepare(plan, threads, keep_denormals=keep_denormals) as executable:
        outputs = column(executable.run().to_table(), "y")
    assert (outputs != 0).all() if keep_denormals else not outputs.any()

"""fuse_bottlenecks: layers between which much lies are one call, and give the same."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pyarrow as pa
import pytest
from closeness import assert_close
from exec.networks import column
from generated import normal

from adapters.base import Settings
from adapters.columnar_backend import ColumnarBackend
from columnar_nn.data import tensor_column
from columnar_nn.exec.executable import Executable, prepare
from columnar_nn.expressions.expression import Call, topological
from columnar_nn.kernels import bfloat16, bottleneck
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder
from columnar_nn.model.networks.inverted_residual import Excitation, inverted_residual
from columnar_nn.plan.builder import PlanBuilder
from reference.evaluate import evaluate

IMAGES = normal(1, 3, 5, 9, 11)


def network(excited: bool = False, stride: int = 1, branch: bool = False) -> Graph:
    made = NetworkBuilder("block", IMAGES.shape[1:], 0)
    tensor = made.relu6("stem.act", made.conv("stem", "image", 20, 1, bias=True))
    excitation = Excitation(6, NetworkBuilder.relu, NetworkBuilder.hard_sigmoid)
    tensor = inverted_residual(
        made,
        "block",
        tensor,
        expanded=40,
        filters=20,
        kernel=3,
        stride=stride,
        activation=NetworkBuilder.hard_swish,
        excitation=excitation if excited else None,
    )
    if branch:
        tensor = made.add("again", tensor, tensor)
    tensor = made.flatten("flatten", made.global_average_pool("pool", tensor))
    return made.graph(made.dense("dense", tensor, 10, output="logits"))


def executable(graph: Graph, **options: object) -> Executable:
    batch = pa.record_batch({"image": tensor_column.from_numpy(IMAGES)})
    plan = PlanBuilder().values([batch]).project(network_outputs(graph, "image")).plan()
    return prepare(plan, **options)  # type: ignore[arg-type]


def functions(made: Executable) -> Counter[str]:
    calls = topological(made.plan.expressions)
    return Counter(call.function for call in calls if isinstance(call, Call))


@pytest.mark.parametrize(
    ("options", "layers"),
    [
        ({}, 1),  # the stem
        ({"stride": 2}, 1),
        ({"excited": True}, 4),  # stem, two in the excitation, and the projection, which is scaled
        ({"branch": True}, 1),
    ],
    ids=str,
)
def test_layers_are_one_call(
    options: dict[str, bool | int], layers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bottleneck, "CACHED_BYTES", 0)
    graph = network(**options)  # type: ignore[arg-type]
    made = executable(graph)
    found = functions(made)
    assert (found["inverted_bottleneck"], found["conv_layer"]) == (1, layers)
    truth = evaluate(graph.nodes, graph.weights, {"image": IMAGES}, ["logits"])["logits"]
    actual = column(made.run().to_table(), "logits")
    assert_close(actual, truth, rtol=0, atol=1e-5 * float(np.abs(truth).max()))
    apart = executable(graph, without={"fuse_bottlenecks"})
    np.testing.assert_array_equal(column(apart.run().to_table(), "logits"), actual)


@pytest.mark.parametrize("excited", [False, True])
def test_in_bfloat16_they_are_one_call_however_small(
    excited: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if bfloat16.tile_kind() == "amx":  # whose tiles take each layer
        monkeypatch.setattr(bfloat16, "tile_kind", lambda: "emulated")
    graph = network(excited)
    made = executable(graph, precision="bfloat16")
    text = made.explain()
    assert "precision=bfloat16" in text[text.index("layers=activation=hard_swish") :]
    steps = [step.kernel for step in made.steps]
    assert steps.count("inverted_bottleneck_bfloat16_3x3") == 1
    assert not any(name.startswith("conv2d_direct") for name in steps)
    note = ColumnarBackend(graph, Settings("bfloat16", 1, 2)).describe().notes[0]
    assert "inverted bottlenecks, depthwise layers in float32: 1; changes" in note
    truth = evaluate(graph.nodes, graph.weights, {"image": IMAGES}, ["logits"])["logits"]
    actual = column(made.run().to_table(), "logits")
    assert_close(actual, truth, rtol=0, atol=0.02 * float(np.abs(truth).max()))


def test_what_stays_in_the_cache_is_left_alone() -> None:
    assert functions(executable(network()))["inverted_bottleneck"] == 0


def test_no_textbook_layer_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bottleneck, "CACHED_BYTES", 0)
    found = functions(executable(network(), algorithm="textbook"))
    assert found["inverted_bottleneck"] == 0


def test_the_text_names_each_layers_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bottleneck, "CACHED_BYTES", 0)
    text = executable(network(stride=2)).explain()
    assert "layers=activation=hard_swish;" in text
    assert "strides=[2, 2]" in text

"""Each rewrite rule alone and left out: what it does to the calls, and that values stay."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from closeness import assert_close
from exec.networks import column, expected, images, residual_network

from columnar_nn.data import tensor_column
from columnar_nn.errors import UsageError
from columnar_nn.exec.executable import Executable, prepare
from columnar_nn.expressions.expression import Call, topological
from columnar_nn.kernels.bfloat16 import multiplies_matrix, tile_kind
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model import rewrites as graph_rewrites
from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.model.operators import OPERATORS
from columnar_nn.plan import rewrites
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.rewrites.gather_drivers import gather_drivers
from columnar_nn.plan.text import to_text
from reference.evaluate import evaluate

BATCH = images(5)
PLAN = PlanBuilder().values([BATCH]).project(network_outputs(residual_network(), "image")).plan()


def calls(executable: Executable) -> Counter[str]:
    """How often each function is called in the plan that runs."""
    expressions = topological(executable.plan.expressions)
    return Counter(e.function for e in expressions if isinstance(e, Call))


def check(executable: Executable) -> None:
    (truth,) = expected(residual_network(), BATCH, "logits")
    actual = column(executable.run().to_table(), "logits")
    assert_close(actual, truth, rtol=0, atol=2e-5 * float(np.abs(truth).max()))


def test_a_fusion_level_is_the_rules_it_names() -> None:
    for fusion, names in rewrites.FUSIONS.items():
        left_out = set(rewrites.RULES) - set(names)
        assert calls(prepare(PLAN, fusion=fusion)) == calls(prepare(PLAN, without=left_out))


@pytest.mark.parametrize("rule", rewrites.RULES)
def test_each_rule_alone(rule: str) -> None:
    others = set(rewrites.RULES) - {rule}
    plain, executable = prepare(PLAN, fusion="none"), prepare(PLAN, without=others)
    made, gone = calls(executable) - calls(plain), calls(plain) - calls(executable)
    changes = {
        "fold_batch_norm": ({"vec_scal_add": 1}, {"batch_norm": 1}),
        "fuse_normalizations": ({}, {}),
        "fuse_activations": ({}, {}),  # the network has none of several nodes
        "activate_early": ({}, {}),
        "fuse_layers": (
            {"conv_layer": 2, "dense_layer": 1},
            {"conv2d": 2, "mat_mul": 1, "vec_scal_add": 1, "mat_add": 1, "relu": 1},
        ),
        "fuse_bottlenecks": ({}, {}),  # nor one: tests/plan/test_fuse_bottlenecks.py
        "pipeline_networks": ({"pipeline": 1}, {}),
    }
    assert (dict(made), dict(gone)) == changes[rule]
    check(executable)


@pytest.mark.parametrize("rule", rewrites.RULES)
def test_each_rule_left_out(rule: str) -> None:
    executable = prepare(PLAN, without={rule})
    kept = {"fold_batch_norm": "batch_norm", "fuse_layers": "mat_add"}
    found = calls(executable)
    assert found["pipeline"] == (rule != "pipeline_networks")
    assert all(bool(found[function]) == (name == rule) for name, function in kept.items())
    check(executable)


@pytest.mark.parametrize(("kernel", "layers"), [(2, 1), (3, 4)])
def test_an_activation_after_moved_elements_is_a_part_of_layers(kernel: int, layers: int) -> None:
    """A transposed convolution of stride 2: one layer, or four where some see fewer pixels."""
    filters, bias = np.float32(np.arange(3 * 2 * kernel**2) - 9), np.ones(2, np.float32)
    weights = {"w": filters.reshape(3, 2, kernel, kernel), "b": bias}
    attributes = {
        **{"kernel_shape": [kernel] * 2, "strides": [2, 2], "dilations": [1, 1]},
        **{"pads": [0] * 4, "output_padding": [0, 0]},
    }
    made = Node("up", "ConvTranspose", ("image", "w", "b"), ("up",), attributes)
    nodes = (made, Node("relu", "Relu", ("up",), ("y",)))
    image = TensorSpec("image", (None, 3, 4, 5))
    graph = Graph("up", nodes, (image,), (TensorSpec("y", (None,)),), weights)
    nodes = graph.nodes  # with every attribute
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5), np.float32)
    batch = pa.record_batch({"image": tensor_column.from_numpy(x)})
    plan = PlanBuilder().values([batch]).project(network_outputs(graph, "image")).plan()
    executable = prepare(plan, fusion="layer")
    found = calls(executable)
    assert (found["conv_layer"], found["relu"]) == (layers, 0)
    assert calls(prepare(plan, fusion="layer", without={"activate_early"}))["relu"] == 1
    truth = evaluate(nodes, weights, {"image": x}, ["y"])["y"]
    assert_close(column(executable.run().to_table(), "y"), truth, rtol=1e-5, atol=1e-4)


def rewritten(plan: PlanBuilder) -> list[str]:
    """Names of a plan's nodes once drivers are gathered, as its text lists them."""
    text = to_text(gather_drivers(plan.plan()), detailed=False)
    return [line.replace("-- ", "").partition("[")[0] for line in text.splitlines()]


def scan() -> PlanBuilder:
    return PlanBuilder().values([BATCH])


def test_drivers_are_gathered_below_whatever_needs_a_single_one() -> None:
    assert rewritten(scan()) == ["LocalPartition", "  Values"]
    limited = ["LocalPartition", "  Limit", "    LocalPartition", "      Filter", "        Values"]
    below = [line.removeprefix("  ") for line in limited[1:]]
    assert rewritten(scan().filter("label < 3").limit(1)) == below
    assert rewritten(scan().filter("label < 3").limit(1).local_partition()) == limited
    assert rewritten(scan().local_partition()) == ["LocalPartition", "  Values"]
    assert rewritten(scan().limit(3).filter("label < 3").order_by(["id"])) == [
        "OrderBy",
        "  Filter",
        "    Limit",
        "      LocalPartition",
        "        Values",
    ]


def test_every_source_is_gathered_by_itself() -> None:
    builder = PlanBuilder()
    parts = [builder.new_builder().values([BATCH]) for _ in range(3)]
    parts[0].aggregate([], ["count() AS id"])
    parts[1].project(["id"])
    parts[2].project(["id"]).limit(2)
    builder.local_partition([part.plan() for part in parts]).aggregate([], ["sum(id)"])
    assert rewritten(builder) == [
        "Aggregation",
        "  LocalPartition",
        "    Aggregation",
        "      LocalPartition",
        "        Aggregation",
        "          Values",
        "    Project",
        "      Values",
        "    Limit",
        "      LocalPartition",
        "        Project",
        "          Values",
    ]


def explain(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "cnn_bench", "explain", "plain9", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_explain_leaves_out_the_rules_it_is_told_to() -> None:
    assert "conv_layer" in explain().stdout
    fused = explain("--without", "fuse_layers", "--without", "pipeline_networks").stdout
    assert "conv_layer" not in fused
    assert "pipeline" not in fused


def test_explain_lists_the_rules() -> None:
    names = ", ".join((*graph_rewrites.NAMES, *rewrites.PLAN_RULES, *rewrites.RULES))
    error = explain("--without", "fuse").stderr
    assert error == f"cnn-bench: error: --without 'fuse': choose from {names}\n"
    described = " ".join(explain("--help").stdout.replace("│", " ").split())
    assert f"{names}." in described


def test_layers_in_bfloat16_stand_between_changes_of_precision() -> None:
    """Depthwise convolutions, pools and functions of an element stay in float32."""
    random = np.random.default_rng(0)
    weights = {
        "first": random.standard_normal((8, 3, 3, 3), dtype=np.float32),
        "depthwise": random.standard_normal((8, 1, 3, 3), dtype=np.float32),
        "last": random.standard_normal((20, 8, 1, 1), dtype=np.float32),
        "matrix": random.standard_normal((5, 20), dtype=np.float32),
    }
    groups = {"group": 8}
    nodes = (
        Node("a", "Conv", ("image", "first"), ("a",), {"kernel_shape": (3, 3)}),
        Node("b", "Conv", ("a", "depthwise"), ("b",), {"kernel_shape": (3, 3), **groups}),
        Node("c", "Conv", ("b", "last"), ("c",), {"kernel_shape": (1, 1)}),
        Node("d", "Sigmoid", ("c",), ("d",)),
        Node("e", "GlobalAveragePool", ("d",), ("e",)),
        Node("f", "Flatten", ("e",), ("f",)),
        Node("g", "Gemm", ("f", "matrix"), ("y",), {"transB": 1}),
    )
    nodes = tuple(
        replace(n, attributes={**OPERATORS[n.op_type].defaults, **n.attributes}) for n in nodes
    )
    graph = Graph(
        name="mixed",
        nodes=nodes,
        weights=weights,
        inputs=(TensorSpec("image", (None, 3, 9, 8)),),
        outputs=(TensorSpec("y", (None, 5)),),
    )
    batch = images(4, (3, 9, 8))
    plan = PlanBuilder().values([batch]).project(network_outputs(graph, "image")).plan()
    executable = prepare(plan, precision="bfloat16")
    assert "compute_in_bfloat16" in executable.rules
    text = executable.explain()
    assert text.count("precision=bfloat16") == 3
    assert [step.kernel for step in executable.steps] == [
        *("pixels_to_float", "to_bfloat16", "conv2d_bfloat16", "to_float32"),
        *("conv2d_direct_3x3", "to_bfloat16", "conv2d_bfloat16", "to_float32", "sigmoid"),
        *("global_average_pool", "to_bfloat16", "dense_bfloat16"),
    ]
    (truth,) = expected(graph, batch, "y")
    actual = column(executable.run().to_table(), "y")
    assert_close(actual, truth, rtol=0, atol=0.02 * float(np.abs(truth).max()))
    with pytest.raises(UsageError, match="no precision 'float16': use float32, bfloat16"):
        prepare(plan, precision="float16")


def test_products_of_tokens_are_in_bfloat16_where_they_have_a_kernel() -> None:
    """With a constant, by vectors of pairs; that of two computed factors is not."""
    matrix = np.random.default_rng(0).standard_normal((32, 40), dtype=np.float32)
    graph = Graph(
        name="tokens",
        nodes=(
            Node("a", "MatMul", ("tokens", "matrix"), ("a",)),
            Node("b", "Relu", ("a",), ("b",)),
            Node("c", "Transpose", ("b",), ("c",), {"perm": (0, 2, 1)}),
            Node("d", "MatMul", ("b", "c"), ("y",)),
        ),
        weights={"matrix": matrix},
        inputs=(TensorSpec("tokens", (None, 9, 32)),),
        outputs=(TensorSpec("y", (None, 9, 9)),),
    )
    tokens = np.random.default_rng(1).standard_normal((3, 9, 32), dtype=np.float32)
    batch = pa.record_batch({"tokens": tensor_column.from_numpy(tokens)})
    plan = PlanBuilder().values([batch]).project(network_outputs(graph, "tokens")).plan()
    executable = prepare(plan, precision="bfloat16")
    narrow = [step.kernel for step in executable.steps].count("matrix_product_bfloat16")
    assert narrow == multiplies_matrix(matrix) == (tile_kind() == "vectors")
    truth = evaluate(graph.nodes, graph.weights, {"tokens": tokens}, ["y"])["y"]
    actual = column(executable.run().to_table(), "y")
    assert_close(actual, truth, rtol=0, atol=0.02 * float(np.abs(truth).max()))

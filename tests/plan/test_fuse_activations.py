"""fuse_activations: what exporters write as several nodes is one function, and gives the same."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from closeness import assert_close
from exec.networks import column
from generated import normal

from columnar_nn.data import tensor_column
from columnar_nn.exec.executable import Executable, prepare
from columnar_nn.expressions.expression import Call, topological
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.plan.builder import PlanBuilder
from reference.evaluate import evaluate

IMAGES = normal(1, 5, 3, 6, 7) * np.float32(3)
FILTERS = normal(2, 8, 3, 3, 3)
CUBE, SLOPE = 0.044715, math.sqrt(2 / math.pi)
ROOT, HALF, ONE, THREE, SIX = math.sqrt(2), 0.5, 1.0, 3.0, 6.0

Step = tuple[Any, ...]
"""An operator, its operands (an integer is the result of that step, -1 the convolution's)."""

WRITTEN: dict[str, tuple[str, list[Step]]] = {
    "silu": ("silu", [("Sigmoid", -1), ("Mul", -1, 0)]),
    "silu, gate first": ("silu", [("Sigmoid", -1), ("Mul", 0, -1)]),
    "mish": ("mish", [("Softplus", -1), ("Tanh", 0), ("Mul", -1, 1)]),
    "gelu of PyTorch": (
        "gelu",
        [("Div", -1, ROOT), ("Erf", 0), ("Add", 1, ONE), ("Mul", -1, 2), ("Mul", 3, HALF)],
    ),
    "gelu, half of x first": (
        "gelu",
        [("Mul", -1, 1 / ROOT), ("Erf", 0), ("Add", 1, ONE), ("Mul", -1, HALF), ("Mul", 3, 2)],
    ),
    "gelu, half of the gate": (
        "gelu",
        [("Div", -1, ROOT), ("Erf", 0), ("Add", ONE, 1), ("Mul", HALF, 2), ("Mul", -1, 3)],
    ),
    "gelu by tanh": (
        "gelu_tanh",
        [
            *(("Pow", -1, THREE), ("Mul", 0, CUBE), ("Add", -1, 1), ("Mul", 2, SLOPE)),
            *(("Tanh", 3), ("Add", 4, ONE), ("Mul", -1, 5), ("Mul", 6, HALF)),
        ],
    ),
    "gelu by tanh, x apart": (
        "gelu_tanh",
        [
            *(("Mul", -1, -1), ("Mul", 0, CUBE), ("Add", 1, ONE), ("Mul", -1, SLOPE)),
            *(("Mul", 3, 2), ("Tanh", 4), ("Add", ONE, 5), ("Mul", -1, HALF), ("Mul", 7, 6)),
        ],
    ),
    "hard_swish": ("hard_swish", [("HardSigmoid", -1), ("Mul", -1, 0)]),
    "hard_swish by ReLU6": (
        "hard_swish",
        [("Add", -1, THREE), ("Clip", 0, 0.0, SIX), ("Mul", -1, 1), ("Div", 2, SIX)],
    ),
    "hard_swish by ReLU6 over 6": (
        "hard_swish",
        [("Add", -1, THREE), ("Clip", 0, 0.0, SIX), ("Div", 1, SIX), ("Mul", -1, 2)],
    ),
}
OTHERWISE: dict[str, list[Step]] = {
    "of another x": [("Relu", -1), ("Sigmoid", 0), ("Mul", -1, 1)],
    "by another number": [("Sigmoid", -1), ("Mul", -1, HALF), ("Mul", 1, 0)],
    "half of no gelu": [
        ("Div", -1, 2.0),
        ("Erf", 0),
        ("Add", 1, ONE),
        ("Mul", -1, 2),
        ("Mul", 3, HALF),
    ],
    "by another slope": [
        *(("Pow", -1, THREE), ("Mul", 0, CUBE), ("Add", -1, 1), ("Mul", 2, HALF)),
        *(("Tanh", 3), ("Add", 4, ONE), ("Mul", -1, 5), ("Mul", 6, HALF)),
    ],
    "with a square for a cube": [
        *(("Mul", -1, -1), ("Mul", 0, CUBE), ("Add", -1, 1), ("Mul", 2, SLOPE)),
        *(("Tanh", 3), ("Add", 4, ONE), ("Mul", -1, 5), ("Mul", 6, HALF)),
    ],
    "its inside read elsewhere": [
        *(("Div", -1, ROOT), ("Erf", 0), ("Add", 1, ONE), ("Mul", -1, 2)),
        *(("Mul", 3, HALF), ("Add", 4, 0)),
    ],
    "read elsewhere": [("Sigmoid", -1), ("Mul", -1, 0), ("Add", 1, 0)],
}


def executable(steps: list[Step], **options: Any) -> tuple[Executable, Graph]:
    """A convolution and the steps, prepared."""
    weights = {"filters": FILTERS}
    nodes = [Node("conv", "Conv", ("image", "filters"), ("c",), {"kernel_shape": [3, 3]})]
    for number, (op_type, *operands) in enumerate(steps):
        names = []
        for place, operand in enumerate(operands):
            if isinstance(operand, int):
                names.append("c" if operand < 0 else f"t{operand}")
            else:
                names.append(f"w{number}.{place}")
                weights[names[-1]] = np.array(operand, np.float32)
        more = {"alpha": 1 / 6} if op_type == "HardSigmoid" else {}
        nodes.append(Node(f"n{number}", op_type, tuple(names), (f"t{number}",), more))
    output = TensorSpec(f"t{len(steps) - 1}", (None, 8, 4, 5))
    image = TensorSpec("image", (None, 3, 6, 7))
    graph = Graph("written", tuple(nodes), (image,), (output,), weights)
    batch = pa.record_batch({"image": tensor_column.from_numpy(IMAGES)})
    plan = PlanBuilder().values([batch]).project(network_outputs(graph, "image")).plan()
    return prepare(plan, **options), graph


def functions(made: Executable) -> list[str]:
    expressions = topological(made.plan.expressions)
    return [e.function for e in expressions if isinstance(e, Call)]


def check(made: Executable, graph: Graph) -> None:
    name = graph.outputs[0].name
    truth = evaluate(graph.nodes, graph.weights, {"image": IMAGES}, [name])[name]
    assert_close(column(made.run().to_table(), name), truth, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("case", WRITTEN)
def test_it_is_one_function_and_the_layer_applies_it(case: str) -> None:
    function, steps = WRITTEN[case]
    made, graph = executable(steps, fusion="layer")
    assert functions(made) == ["conv_layer"]
    (layer,) = (e for e in topological(made.plan.expressions) if isinstance(e, Call))
    assert str(layer.attributes["activation"]) == function
    assert layer.nodes == tuple(node.name for node in graph.nodes)
    check(made, graph)


@pytest.mark.parametrize("case", OTHERWISE)
def test_others_stay(case: str) -> None:
    made, graph = executable(OTHERWISE[case], fusion="layer", without={"fuse_layers"})
    apart, _ = executable(OTHERWISE[case], fusion="none")
    assert functions(made) == functions(apart)
    check(made, graph)

"""reference/evaluate.py on whole networks."""

from __future__ import annotations

import weakref
from dataclasses import dataclass, field
from typing import Any

import ml_dtypes
import numpy as np
import pytest
from closeness import assert_close
from generated import normal
from onnx.reference import ReferenceEvaluator

from columnar_nn.model import onnx_io, zoo
from reference.evaluate import evaluate
from reference.operators import OPERATORS


@dataclass
class Step:
    name: str
    op_type: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any] = field(default_factory=dict)


@pytest.mark.parametrize("name", ["plain9", "resnet20"])
def test_network_matches_onnx(name: str) -> None:
    graph = zoo.build(name)
    image = np.random.default_rng(3).random((3, 3, 32, 32), np.float32)
    actual = evaluate(graph.nodes, graph.weights, {"image": image}, ["logits"])["logits"]
    (expected,) = ReferenceEvaluator(onnx_io.to_proto(graph)).run(None, {"image": image})
    assert_close(actual, expected, rtol=1e-4, atol=1e-5)


def test_any_tensor_can_be_asked_for() -> None:
    graph = zoo.build("plain9")
    image = np.random.default_rng(3).random((2, 3, 32, 32), np.float32)
    names = ["image", "relu3", "conv1.bias", "logits"]
    results = evaluate(graph.nodes, graph.weights, {"image": image}, names)
    assert list(results) == names
    assert results["relu3"].shape == (2, 32, 26, 26)
    assert (results["relu3"] >= 0).all()


def test_tensors_are_dropped_after_their_last_use(monkeypatch: pytest.MonkeyPatch) -> None:
    alive: dict[str, weakref.ref[np.ndarray]] = {}
    counts = []

    def double(x: np.ndarray) -> np.ndarray:
        counts.append(sum(reference() is not None for reference in alive.values()))
        result = x * 2
        alive[str(len(alive))] = weakref.ref(result)
        return result

    monkeypatch.setitem(OPERATORS, "Identity", double)
    steps = [Step(f"s{i}", "Identity", (f"t{i}",), (f"t{i + 1}",)) for i in range(6)]
    result = evaluate(steps, {}, {"t0": normal(0, 3)}, ["t6"])
    assert_close(result["t6"], 64 * normal(0, 3), rtol=0, atol=0)
    assert max(counts) == 1


def test_unknown_operators_are_all_named() -> None:
    steps = [Step("a", "Foo", ("x",), ("y",)), Step("b", "Relu", ("y",), ("z",)),
             Step("c", "Bar", ("z",), ("w",))]  # fmt: skip
    with pytest.raises(NotImplementedError, match=r"a \(Foo\), c \(Bar\)"):
        evaluate(steps, {}, {"x": normal(0, 3)}, ["w"])


def test_infinities_pass_through_without_a_warning() -> None:
    steps = [Step("n", "Sub", ("x", "x"), ("y",)), Step("d", "Div", ("x", "z"), ("w",))]
    inputs = {"x": np.array([np.inf, 1], np.float32), "z": np.zeros(2, np.float32)}
    results = evaluate(steps, {}, inputs, ["y", "w"])
    assert_close(results["y"], np.array([np.nan, 0], np.float32), rtol=0, atol=0)
    assert_close(results["w"], np.array([np.inf, np.inf], np.float32), rtol=0, atol=0)


def test_float32_is_calculated_in_when_asked_for() -> None:
    """Each sum as float32 adds it, one product after another; outside it, float64 again."""
    random = np.random.default_rng(3)
    a, b = random.standard_normal((2, 40, 40)).astype(np.float32)
    node = Step("product", "MatMul", ("a", "b"), ("c",))
    single = evaluate([node], {}, {"a": a, "b": b}, ["c"], calculation=np.float32)["c"]
    sums = np.zeros((40, 40), np.float32)
    for k in range(40):
        sums += np.outer(a[:, k], b[k])
    np.testing.assert_array_equal(single, sums)
    exact = (a.astype(np.float64) @ b.astype(np.float64)).astype(np.float32)
    np.testing.assert_array_equal(evaluate([node], {}, {"a": a, "b": b}, ["c"])["c"], exact)
    assert (single != exact).any()


def test_factors_are_rounded_to_bfloat16_where_that_is_asked() -> None:
    """By ml_dtypes. Nothing else is rounded."""
    x, w = normal(0, 2, 3, 5, 6), normal(1, 4, 3, 2, 2)
    matrix, bias = normal(2, 80, 3), normal(3, 4)
    steps = [
        Step("conv", "Conv", ("x", "w", "b"), ("c",), {"group": 1}),
        Step("flat", "Flatten", ("c",), ("f",), {"axis": 1}),
        Step("product", "MatMul", ("f", "m"), ("y",)),
    ]
    weights = {"w": w, "b": bias, "m": matrix}
    actual = evaluate(
        *(steps, weights, {"x": x}, ["c", "y"]), calculation=np.float32, bfloat16_factors=True
    )

    def narrow(values: np.ndarray) -> np.ndarray:
        return values.astype(ml_dtypes.bfloat16).astype(np.float32)

    known = evaluate(steps, {**weights, "w": narrow(w)}, {"x": narrow(x)}, ["c"])["c"]
    assert_close(actual["c"], known, rtol=1e-5, atol=1e-5)
    product = narrow(actual["c"].reshape(2, 80)).astype(np.float64) @ narrow(matrix)
    assert_close(actual["y"], product.astype(np.float32), rtol=1e-5, atol=1e-4)

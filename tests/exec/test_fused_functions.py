"""Functions of an element after a convolution or dense layer: a part of it, bit for bit."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

import numpy as np
import pyarrow as pa
import pytest
from exec import declared

import columnar_nn as cnn
from columnar_nn.expressions.expression import Call, Expression, Weight
from columnar_nn.functions.registry import VECTOR_FUNCTIONS

RNG = np.random.default_rng(1)
IMAGES = RNG.normal(size=(5, 3, 9, 8)).astype(np.float32)
FILTERS = Weight("filters", RNG.normal(size=(20, 3, 3, 3)).astype(np.float32))
OFFSETS = Weight("offsets", RNG.normal(size=20).astype(np.float32))
MATRIX = Weight("matrix", RNG.normal(size=(7, 3 * 72)).astype(np.float32) / 8)
COLUMNS = Weight("columns", RNG.normal(size=(8, 7)).astype(np.float32))
BIAS = Weight("bias", RNG.normal(size=7).astype(np.float32))

FUNCTIONS: dict[str, dict[str, float]] = {
    "lisht": {},
    "hard_shrink": {"lambd": 0.75},
    "celu": {"alpha": 0.5},
    "clip": {"min": -0.5, "max": 0.75},
    "elu": {"alpha": 0.5},
    "leaky_relu": {"alpha": 0.2},
    "thresholded_relu": {"alpha": 0.3},
}
PLAIN = """
abs ceil erf exp floor gelu gelu_tanh hard_sigmoid hard_swish log mish neg reciprocal relu round
selu sigmoid sign silu softplus softsign sqrt tanh
"""
FUNCTIONS |= {name: {} for name in PLAIN.split()}
"""Two of the user's, the second of which is on numbers, and every built-in one."""


@pytest.fixture(autouse=True)
def own_functions() -> Iterator[None]:
    with declared.own_tables():
        cnn.vector_function("lisht")(declared.lisht)
        cnn.vector_function("hard_shrink", lambd=0.5)(declared.hard_shrink)
        yield


def convolution(image: Expression) -> Call:
    layer = Call("conv2d", (image, FILTERS), {"pads": (1, 1, 1, 1)})
    return Call("vec_scal_add", (layer, OFFSETS))


def dense(image: Expression) -> Call:
    features = Call("flatten", (image,))
    return Call("mat_add", (Call("mat_mul", (features, MATRIX)), BIAS))


def product(image: Expression) -> Call:
    """Of each row of each image, and a bias written as ONNX's Add of one is."""
    layer = Call("matrix_product", (image, COLUMNS))
    return Call("vec_add", (layer, Weight("bias", np.tile(BIAS.array, (3, 9, 1)))))


def projected(plan: cnn.PlanBuilder, threads: int, fusion: str) -> tuple[np.ndarray, str]:
    executable = cnn.prepare(plan.plan(), threads=threads, fusion=fusion)
    result = executable.run().to_table()["y"].combine_chunks()
    return cnn.to_numpy(result), cnn.to_text(executable.plan)


def scan() -> cnn.PlanBuilder:
    return cnn.PlanBuilder().table_scan(pa.table({"x": cnn.from_numpy(IMAGES)}))


def test_every_function_of_an_element_is_here() -> None:
    fused = {name for name, function in VECTOR_FUNCTIONS.items() if function.activation}
    assert fused == FUNCTIONS.keys()


@pytest.mark.parametrize(("threads", "fusion"), [(1, "layer"), (1, "pipeline"), (2, "pipeline")])
@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("layer", [convolution, dense, product])
def test_a_layer_applies_it(
    layer: Callable[[Expression], Call], function: str, threads: int, fusion: str
) -> None:
    attributes = FUNCTIONS[function]
    call = cnn.call(function, layer(cnn.column("x")), **attributes)
    fused, text = projected(scan().project({"y": call}), threads, fusion)
    assert f"activation={function}" in text
    assert len(re.findall(rf"\b{function}\b", text)) == 1
    before = scan().project({"layer": layer(cnn.column("x"))})
    plan = before.project({"y": cnn.call(function, "layer", **attributes)})
    apart, text = projected(plan, threads, fusion)
    assert "activation" not in text
    np.testing.assert_array_equal(fused.view(np.uint32), apart.view(np.uint32))


def test_a_textbook_convolution_leaves_it_to_its_own_kernel() -> None:
    layer = Call("conv2d", (cnn.column("x"), FILTERS), {"algorithm": "textbook"})
    made, text = projected(scan().project({"y": cnn.call("lisht", layer)}), 1, "pipeline")
    assert "activation" not in text
    apart, _ = projected(scan().project({"z": layer}).project({"y": "lisht(z)"}), 1, "none")
    np.testing.assert_array_equal(made.view(np.uint32), apart.view(np.uint32))


def test_its_attributes_are_in_the_plan() -> None:
    call = cnn.call("hard_shrink", convolution(cnn.column("x")), lambd=0.75)
    _, text = projected(scan().project({"y": call}), 1, "layer")
    assert "activation=hard_shrink(lambd=0.75)" in text


def test_what_is_read_elsewhere_is_not_swallowed() -> None:
    layer = convolution(cnn.column("x"))
    plan = scan().project({"y": cnn.call("sigmoid", layer), "before": layer})
    assert "activation" not in projected(plan, 1, "pipeline")[1]


def test_a_product_of_matrices_takes_its_bias_and_a_residual() -> None:
    x = cnn.column("x")
    square = Weight("square", RNG.normal(size=(8, 8)).astype(np.float32))
    bias = Weight("bias", np.tile(np.arange(8, dtype=np.float32), (3, 9, 1)))
    added = Call("vec_add", (x, Call("vec_add", (Call("matrix_product", (x, square)), bias))))
    found, text = projected(scan().project({"y": Call("relu", (added,))}), 1, "layer")
    assert "matrix_layer" in text
    assert "vec_add" not in text
    truth = np.matmul(IMAGES.astype(np.float64), square.array) + bias.array + IMAGES
    np.testing.assert_allclose(found, truth.clip(0), rtol=1e-5, atol=1e-5)


def test_a_product_of_matrices_takes_nothing_else() -> None:
    x, weight = cnn.column("x"), RNG.normal(size=(3, 9, 7)).astype(np.float32)
    made = Call("matrix_product", (x, COLUMNS))
    for y, others in (
        (Call("vec_add", (made, Weight("by_row", weight))), {}),
        (Call("vec_scal_add", (made, Weight("by_matrix", weight[:, 0, 0].copy()))), {}),
        (Call("relu", (made,)), {"made": made}),
    ):
        text = projected(scan().project({"y": y, **others}), 1, "layer")[1]
        assert f"{y.function}(" in text
        assert "activation" not in text
    other = Call("transpose", (x,), {"perm": [0, 2, 1]})
    _, text = projected(scan().project({"y": Call("matrix_product", (x, other))}), 1, "layer")
    assert "matrix_layer" not in text


def whole(x: float) -> float:
    """Fails at zero, which the lanes past the last channel hold."""
    return 60 // int(x)


@pytest.mark.parametrize("algorithm", ["direct", "winograd_f4"])
@pytest.mark.parametrize("fusion", ["none", "pipeline"])
@pytest.mark.parametrize("filters", [2, 20])
def test_what_is_no_element_is_not_computed(filters: int, fusion: str, algorithm: str) -> None:
    cnn.vector_function("whole")(whole)
    image = Call("relu", (cnn.column("x"),))
    weight = Weight("w", np.abs(RNG.normal(size=(filters, 3, 3, 3))).astype(np.float32))
    offsets = Weight("o", np.full(filters, 2, np.float32))
    layer = Call("vec_scal_add", (Call("conv2d", (image, weight)), offsets))
    plan = scan().project({"y": cnn.call("whole", layer)}).plan()
    result = cnn.prepare(plan, fusion=fusion, algorithm=algorithm).run().to_table()["y"]
    x = np.maximum(IMAGES, 0).astype(np.float64)
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))
    sums = np.einsum("ncyxij,fcij->nfyx", windows, weight.array.astype(np.float64)) + 2
    near = np.abs(sums - np.rint(sums)) < 1e-4  # which float32 may round to the other side
    found = cnn.to_numpy(result.combine_chunks())
    assert near.mean() < 0.01
    np.testing.assert_array_equal(found[~near], (60 // np.trunc(sums))[~near])


def test_nor_are_outputs_of_a_dense_layer_that_are_none() -> None:
    cnn.vector_function("whole")(whole)
    layer = dense(cnn.column("x"))
    values = np.arange(2, 9, dtype=np.float32)
    offsets = Weight("o", values)
    zeros = Weight("m", np.zeros_like(MATRIX.array))
    layer = Call("mat_add", (Call("mat_mul", (layer.inputs[0].inputs[0], zeros)), offsets))
    found, _ = projected(scan().project({"y": cnn.call("whole", layer)}), 1, "layer")
    np.testing.assert_array_equal(found, np.broadcast_to(60 // values, found.shape))

"""Single operators of ONNX on generated shapes, by the engine at one fusion level, and reference.

Every network starts with a convolution or comes straight from the column, so that functions are
met with images in both layouts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from closeness import assert_close
from generated import SEEDS, SIZES, normal, quick, windows
from hypothesis import given
from hypothesis import strategies as st

from columnar_nn.data import tensor_column
from columnar_nn.errors import UnsupportedOperatorError
from columnar_nn.exec.executable import prepare
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.model.shapes import infer_shapes
from columnar_nn.plan.builder import PlanBuilder
from reference.evaluate import evaluate

IMAGES = st.tuples(st.integers(1, 20), SIZES, SIZES)
ROWS = st.lists(st.integers(1, 5), min_size=1, max_size=4).map(tuple)


Operator = tuple[str, Sequence[Any], dict[str, Any]]
"""Its type, its inputs (names of tensors, and arrays for constants), its attributes."""


def check(
    row: Sequence[int],
    operators: Sequence[Operator],
    seed: int,
    after_convolution: bool = False,
    tolerance: float = 0.0,
) -> None:
    """Fails unless engine and reference agree; the operators are a chain of named tensors.

    An input "x" is the image, or a pointwise convolution of it; an integer in a string is the
    output of the operator of that number.
    """
    weights: dict[str, np.ndarray] = {}
    nodes = []
    if after_convolution:
        weights["filters"] = normal(seed + 1, row[0], row[0], 1, 1)
        nodes.append(Node("conv", "Conv", ("image", "filters"), ("x",)))
    else:
        nodes.append(Node("identity", "Identity", ("image",), ("x",)))
    for number, (op_type, inputs, attributes) in enumerate(operators):
        names = []
        for index, value in enumerate(inputs):
            names.append(value if isinstance(value, str) else f"{number}.{index}")
            if not isinstance(value, str):
                weights[names[-1]] = value
        nodes.append(Node(f"node{number}", op_type, tuple(names), (str(number),), attributes))
    last = nodes[-1].outputs[0]
    image = TensorSpec("image", (None, *row))
    graph = Graph("generated", tuple(nodes), (image,), (TensorSpec(last, (None,)),), weights)
    graph = graph.with_outputs([TensorSpec(last, infer_shapes(graph)[last])])
    x = normal(seed, 3, *row)
    batch = pa.record_batch({"image": tensor_column.from_numpy(x)})
    plan = PlanBuilder().values([batch]).project(network_outputs(graph, "image")).plan()
    table = prepare(plan).run().to_table()
    actual = tensor_column.to_numpy(table.column(last).combine_chunks())
    expected = evaluate(graph.nodes, weights, {"image": x}, [last])[last]
    if after_convolution:
        tolerance += 1e-5
    largest = np.abs(expected[np.isfinite(expected)]).max(initial=0.0)
    assert_close(actual, expected, rtol=tolerance, atol=tolerance * largest)


def integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


@quick
@given(ROWS, st.data(), SEEDS)
def test_transpose(row: tuple[int, ...], data: st.DataObject, seed: int) -> None:
    order = data.draw(st.permutations(range(1, len(row) + 1)))
    check(row, [("Transpose", ["x"], {"perm": [0, *order]})], seed)


@quick
@given(ROWS, st.data(), SEEDS)
def test_slice(row: tuple[int, ...], data: st.DataObject, seed: int) -> None:
    starts, ends, steps = [], [], []
    for size in row:
        first = data.draw(st.integers(0, size - 1))
        last = data.draw(st.integers(0, size - 1))
        steps.append(data.draw(st.integers(1, 3)) * (1 if last >= first else -1))
        starts.append(data.draw(st.sampled_from([first, first - size])))
        beyond = last + 1 if last >= first else last - 1
        ends.append(beyond if beyond >= 0 else -size - 1)
    axes = integers(*range(1, len(row) + 1))
    inputs = ["x", integers(*starts), integers(*ends), axes, integers(*steps)]
    check(row, [("Slice", inputs, {})], seed)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "wrap"])
@quick
@given(ROWS, st.data(), SEEDS)
def test_pad(mode: str, row: tuple[int, ...], data: st.DataObject, seed: int) -> None:
    lowest = -1 if mode == "constant" else 0
    widths = [
        [data.draw(st.integers(lowest if size > 2 else 0, min(2, size - 1))) for size in row]
        for _ in range(2)
    ]
    value = np.array(1.5, np.float32)
    pads = integers(0, *widths[0], 0, *widths[1])
    check(row, [("Pad", ["x", pads, value], {"mode": mode})], seed)


@quick
@given(ROWS, st.data(), SEEDS)
def test_concat(row: tuple[int, ...], data: st.DataObject, seed: int) -> None:
    axis = data.draw(st.integers(1, len(row)))
    part = ["x", integers(0), integers(1), integers(axis)]
    check(row, [("Slice", part, {}), ("Concat", ["x", "0", "x"], {"axis": axis})], seed)


@quick
@given(IMAGES, st.integers(2, 3), SEEDS)
def test_channel_shuffle(image: tuple[int, int, int], groups: int, seed: int) -> None:
    channels, height, width = image[0] * groups, *image[1:]
    apart = integers(0, groups, image[0], height, width)
    operators: list[Operator] = [
        ("Reshape", ["x", apart], {}),
        ("Transpose", ["0"], {"perm": [0, 2, 1, 3, 4]}),
        ("Reshape", ["1", integers(0, channels, height, width)], {}),
    ]
    check((channels, height, width), operators, seed, after_convolution=True)


@quick
@given(IMAGES, st.sets(st.integers(1, 3), min_size=1), st.booleans(), SEEDS)
def test_reduce_mean(
    image: tuple[int, int, int], axes: set[int], keepdims: bool, seed: int
) -> None:
    kept = keepdims or len(axes) == 3
    operator = ("ReduceMean", ["x", integers(*axes)], {"keepdims": int(kept)})
    check(image, [operator], seed, after_convolution=True)


@quick
@given(ROWS, st.data(), st.sampled_from(["Softmax", "LogSoftmax"]), SEEDS)
def test_softmax(row: tuple[int, ...], data: st.DataObject, op_type: str, seed: int) -> None:
    axis = data.draw(st.integers(1, len(row)))
    check(row, [(op_type, ["x"], {"axis": axis})], seed, tolerance=5e-6)


@quick
@given(IMAGES, st.integers(1, 6), SEEDS)
def test_local_response_normalization(image: tuple[int, int, int], size: int, seed: int) -> None:
    attributes = {"size": size, "alpha": 0.1, "beta": 0.75, "bias": 1.0}
    check(image, [("LRN", ["x"], attributes)], seed, after_convolution=True)


@quick
@given(IMAGES, st.data(), st.sampled_from(["Add", "Sub", "Mul", "Div"]), st.booleans(), SEEDS)
def test_arithmetic_with_a_constant(
    image: tuple[int, int, int], data: st.DataObject, op_type: str, left: bool, seed: int
) -> None:
    shape = [data.draw(st.sampled_from([1, size])) for size in image]
    constant = np.abs(normal(seed + 2, *shape[data.draw(st.integers(0, 3)) :])) + np.float32(0.5)
    inputs: list[str | np.ndarray] = ["x", constant]
    if left and op_type == "Div":
        inputs = ["0", constant]  # away from zero
        operators = [("HardSigmoid", ["x"], {"alpha": 0.1, "beta": 0.5})]
        check(image, [*operators, (op_type, inputs[::-1], {})], seed, True)
        return
    check(image, [(op_type, inputs[::-1] if left else inputs, {})], seed, True)


@quick
@given(IMAGES, st.data(), st.sampled_from(["Add", "Sub", "Mul"]), st.booleans(), SEEDS)
def test_arithmetic_that_broadcasts(
    image: tuple[int, int, int], data: st.DataObject, op_type: str, left: bool, seed: int
) -> None:
    axes = data.draw(st.sets(st.integers(1, 3), min_size=1))
    means = ("ReduceMean", ["x", integers(*axes)], {"keepdims": 1})
    inputs = ["0", "x"] if left else ["x", "0"]
    check(image, [means, (op_type, inputs, {})], seed, after_convolution=True)


@quick
@given(IMAGES, st.data(), SEEDS)
def test_prelu(image: tuple[int, int, int], data: st.DataObject, seed: int) -> None:
    shape = [data.draw(st.sampled_from([1, size])) for size in image]
    check(image, [("PRelu", ["x", normal(seed + 2, *shape)], {})], seed, after_convolution=True)


@quick
@given(ROWS, SEEDS)
def test_batch_normalization(row: tuple[int, ...], seed: int) -> None:
    scale, bias, mean = (normal(seed + number, row[0]) for number in (2, 3, 4))
    inputs = ["x", scale, bias, mean, np.abs(normal(seed + 5, row[0])) + np.float32(0.5)]
    check(row, [("BatchNormalization", inputs, {"epsilon": 1e-3})], seed, tolerance=1e-5)


@quick
@given(st.integers(1, 20), st.integers(3, 12), st.integers(1, 3), st.integers(1, 2), SEEDS)
def test_signals(channels: int, length: int, kernel: int, stride: int, seed: int) -> None:
    window = {"strides": [stride], "pads": [kernel // 2, (kernel - 1) // 2], "dilations": [1]}
    filters = normal(seed + 2, 5, channels, kernel)
    conv = ("Conv", ["x", filters, normal(seed + 3, 5)], {**window, "group": 1})
    pool = ("MaxPool", ["0"], {**window, "kernel_shape": [kernel], "ceil_mode": 0})
    operators = [conv, ("Relu", ["0"], {}), pool, ("GlobalAveragePool", ["2"], {})]
    check((channels, length), operators, seed, tolerance=1e-5)


@quick
@given(windows(most_padding=lambda k: k), st.integers(0, 2), st.booleans(), st.booleans(), SEEDS)
def test_windows_over_signals_images_and_volumes(
    window: dict[str, Any], group: int, ceil_mode: bool, counted: bool, seed: int
) -> None:
    row = (2, *window.pop("size"))
    filters = normal(seed + 2, 2 * group or 3, 1 if group else 2, *window["kernel_shape"])
    bias = normal(seed + 3, len(filters))
    conv = ("Conv", ["x", filters, bias], {**window, "group": 2 if group else 1})
    check(row, [conv], seed, tolerance=1e-5)
    window["ceil_mode"] = int(ceil_mode)
    check(row, [("MaxPool", ["x"], window)], seed)
    mean = ("AveragePool", ["x"], {**window, "count_include_pad": int(counted)})
    check(row, [mean, ("GlobalAveragePool", ["0"], {})], seed, tolerance=1e-5)


@pytest.mark.parametrize(
    "inputs",
    [
        ["x", "0"],
        ["x", normal(1, 6, 21)],
        ["x", normal(2, 1, 3, 6, 17)],
        [normal(3, 9, 4), "x"],
        [normal(4, 1, 2, 4, 4), "x"],
        ["x", normal(5, 6)],
        [normal(6, 4), "x"],
    ],
    ids=["two tensors", "matrix", "stack", "left", "broadcast", "vector", "left vector"],
)
def test_products_of_matrices(inputs: list[str | np.ndarray]) -> None:
    operators: list[Operator] = [
        ("Transpose", ["x"], {"perm": [0, 1, 3, 2]}),
        ("MatMul", inputs, {}),
    ]
    row = (3, 4, 6)
    if isinstance(inputs[0], np.ndarray) and inputs[0].ndim == 4:
        row = (1, 4, 6)
    check(row, operators, 1, after_convolution=True)


@pytest.mark.parametrize("channels", [3, 16, 37])
def test_channels_behind_their_pixels_and_back(channels: int) -> None:
    """As networks do that normalize channels; of a reshaped image too."""
    scale, row = normal(1, channels), (channels, 4, 5)
    last: list[Operator] = [
        ("Transpose", ["x"], {"perm": [0, 2, 3, 1]}),
        ("LayerNormalization", ["0", scale, normal(2, channels)], {"epsilon": 0.5}),
    ]
    back: list[Operator] = [("Transpose", ["1"], {"perm": [0, 3, 1, 2]}), ("Relu", ["2"], {})]
    check(row, [*last, *back, ("Add", ["3", "x"], {})], 1, after_convolution=True)
    flat = ("Reshape", ["x", integers(0, channels, 20)], {})
    check(row, [flat, ("Transpose", ["0"], {"perm": [0, 2, 1]})], 1, after_convolution=True)


@pytest.mark.parametrize("columns", [1, 5])
def test_gemm_with_a_computed_addend(columns: int) -> None:
    addend = ("Gemm", ["x", normal(1, 7, columns)], {"alpha": 0.5})
    product = ("Gemm", ["x", normal(2, 5, 7), "0"], {"transB": 1, "beta": 0.3})
    check((7,), [addend, product], 1, tolerance=1e-5)


@pytest.mark.parametrize(
    ("op_type", "inputs", "attributes"),
    [
        ("Slice", ["x", integers(1), integers(2), integers(0)], {}),
        ("Pad", ["x", integers(1, 0, 0, 0)], {}),
        ("Transpose", ["x"], {"perm": [1, 0]}),
        ("Concat", ["x", "x"], {"axis": 0}),
        ("ReduceMean", ["x", integers(0)], {}),
        ("Softmax", ["x"], {"axis": 0}),
        ("Add", ["x", np.ones((2, 4), np.float32)], {}),
        ("Gemm", ["x", "x"], {"transB": 1}),
        ("MatMul", [np.ones((3, 2), np.float32), "x"], {}),
        ("MatMul", ["x", np.ones((2, 4, 3), np.float32)], {}),
    ],
)
def test_rows_are_not_mixed(
    op_type: str, inputs: list[str | np.ndarray], attributes: dict[str, Any]
) -> None:
    """For a batch of a fixed size, which shape inference lets mix its rows."""
    weights = {str(i): value for i, value in enumerate(inputs) if isinstance(value, np.ndarray)}
    names = tuple(i if isinstance(i, str) else str(n) for n, i in enumerate(inputs))
    nodes = (Node("node", op_type, names, ("y",), attributes),)
    x = TensorSpec("x", (2, 4))
    graph = Graph("mixing", nodes, (x,), (TensorSpec("y", (None,)),), weights)
    with pytest.raises(UnsupportedOperatorError, match=op_type):
        network_outputs(graph, "x")


@pytest.mark.parametrize("row", [(4,), (3, 2, 5)])
@pytest.mark.parametrize("op_type", ["Softmax", "LogSoftmax", "Hardmax"])
def test_along_a_batch_of_one_each_element_is_alone(op_type: str, row: tuple[int, ...]) -> None:
    nodes = (Node("node", op_type, ("x",), ("y",), {"axis": 0}),)
    graph = Graph("one", nodes, (TensorSpec("x", (1, *row)),), (TensorSpec("y", (None,)),), {})
    image = normal(1, 1, *row)
    image.flat[1] = np.inf
    batch = pa.record_batch({"image": tensor_column.from_numpy(image)})
    plan = PlanBuilder().values([batch]).project(network_outputs(graph, "image")).plan()
    found = prepare(plan).run().to_table().column("y").combine_chunks()
    expected = evaluate(graph.nodes, {}, {"x": image}, ["y"])["y"]
    assert_close(tensor_column.to_numpy(found), expected, rtol=0, atol=0)

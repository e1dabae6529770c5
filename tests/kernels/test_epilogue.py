"""Functions that layers apply to what they store, bit for bit what a kernel of its own gives."""

from __future__ import annotations

import numpy as np
import pytest
from exec import declared
from kernels.convolutions import CASES, Case
from kernels.images import normal, run

from columnar_nn.functions import activations
from columnar_nn.kernels import (
    NO_ACTIVATION,
    Activation,
    BoundKernel,
    Layout,
    PythonFunction,
    conv2d,
    dense,
    matrix_product,
    unary,
)

SHRINK = Activation(function=PythonFunction("shrink", declared.hard_shrink), constants=(0.5,))
"""Branches: on numbers, one by one."""

SIGMOID = Activation(function=PythonFunction("sigmoid", activations.sigmoid))
"""On blocks; not zero at zero, as the lanes past the last channel have to be."""


def apart(layer: BoundKernel, activation: Activation, *inputs: np.ndarray) -> np.ndarray:
    assert activation.function is not None
    between = run(layer, *inputs)
    kernel = unary(layer.output_layout, activation.function, *activation.constants)
    return run(kernel, between)


def same_bits(a: np.ndarray, b: np.ndarray) -> None:
    np.testing.assert_array_equal(a.view(np.uint32), b.view(np.uint32))


@pytest.mark.parametrize("activation", [SHRINK, SIGMOID], ids=["numbers", "blocks"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_of_convolutions(case: Case, activation: Activation) -> None:
    inputs = [normal(1, 2, case.channels, *case.size)]
    inputs[0].flat[5] = np.nan
    weight, bias = normal(2, *case.weight_shape), normal(3, case.filters)

    def layer(algorithm: str, applied: Activation) -> BoundKernel:
        return conv2d(
            case.layout,
            weight,
            bias,
            groups=case.groups,
            activation=applied,
            algorithm=algorithm,
            residual=case.residual,
            **case.attributes,
        )

    if case.residual:
        inputs.append(normal(4, 2, *layer("direct", NO_ACTIVATION).output_layout.shape))
    for algorithm in case.algorithms():
        if algorithm == "textbook":
            continue  # it only clamps
        expected = apart(layer(algorithm, NO_ACTIVATION), activation, *inputs)
        same_bits(run(layer(algorithm, activation), *inputs), expected)


@pytest.mark.parametrize("activation", [SHRINK, SIGMOID], ids=["numbers", "blocks"])
@pytest.mark.parametrize("kind", ["planar", "nchw16c"])
def test_of_dense_layers(kind: str, activation: Activation) -> None:
    layout = Layout(kind, (17, 3, 2))
    image, matrix, bias = normal(1, 3, 17, 3, 2), normal(2, 21, 102), normal(3, 21)
    expected = apart(dense(layout, matrix, bias), activation, image)
    same_bits(run(dense(layout, matrix, bias, activation), image), expected)


@pytest.mark.parametrize("activation", [SHRINK, SIGMOID], ids=["numbers", "blocks"])
@pytest.mark.parametrize("columns", [5, 16, 23, 64, 75])
def test_of_products_of_matrices(columns: int, activation: Activation) -> None:
    """The last panels of columns overlap: their shared columns are not changed twice."""
    layout, matrix, bias = Layout("planar", (3, 7, 9)), normal(2, 9, columns), normal(3, columns)
    inputs = normal(1, 2, 3, 7, 9), normal(4, 2, 3, 7, columns)
    expected = apart(matrix_product(layout, matrix, bias, residual=True), activation, *inputs)
    found = run(matrix_product(layout, matrix, bias, activation, residual=True), *inputs)
    same_bits(found, expected)


def test_it_is_code_of_its_own() -> None:
    """One kernel serves all functions: a layer is not compiled again for each."""
    layout, matrix = Layout("planar", (8,)), normal(1, 4, 8)
    kernels = [dense(layout, matrix, activation=which) for which in (SHRINK, SIGMOID)]
    assert kernels[0].function == kernels[1].function == dense(layout, matrix).function
    assert [kernel.user_functions for kernel in kernels] == [["shrink"], []]

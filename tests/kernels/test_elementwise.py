"""kernels/elementwise.py against the reference."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from closeness import assert_close
from kernels.images import normal, run

from columnar_nn.errors import InvalidModelError, UsageError
from columnar_nn.functions import activations as functions
from columnar_nn.functions import clamps
from columnar_nn.functions.arithmetic import OPERATIONS
from columnar_nn.functions.ieee import in_ieee
from columnar_nn.functions.registry import VECTOR_FUNCTIONS
from columnar_nn.kernels import Layout, PythonFunction, binary, pixels_to_float, scale_add, unary
from columnar_nn.kernels.jit import ARGUMENTS
from reference import activations, arithmetic, elementary

SHAPES = [
    Layout("nchw16c", (17, 5, 7)),
    Layout("nchw16c", (16, 3, 3)),
    Layout("planar", (3, 9, 5)),
    Layout("planar", (37,)),
    Layout("planar", (1,)),
]


UNARY: list[tuple[str, tuple[float, ...], Callable[[np.ndarray], np.ndarray]]] = [
    ("relu", (), activations.relu),
    ("leaky_relu", (0.2,), lambda x: activations.leaky_relu(x, alpha=0.2)),
    ("celu", (0.7,), lambda x: activations.celu(x, alpha=0.7)),
    ("elu", (0.7,), lambda x: activations.elu(x, alpha=0.7)),
    ("clip", (-1.0, 2.0), lambda x: activations.clip(x, np.float32(-1), np.float32(2))),
    ("sigmoid", (), activations.sigmoid),
    ("tanh", (), activations.tanh),
    ("gelu", (), lambda x: activations.gelu(x, approximate="none")),
    ("gelu_tanh", (), lambda x: activations.gelu(x, approximate="tanh")),
    ("hard_sigmoid", (0.2, 0.5), lambda x: activations.hard_sigmoid(x, alpha=0.2, beta=0.5)),
    ("hard_swish", (), activations.hard_swish),
    ("mish", (), activations.mish),
    ("selu", (1.6, 1.1), lambda x: activations.selu(x, alpha=1.6, gamma=1.1)),
    ("silu", (), lambda x: arithmetic.mul(x, activations.sigmoid(x))),
    ("softplus", (), activations.softplus),
    ("softsign", (), activations.softsign),
    ("thresholded_relu", (0.7,), lambda x: activations.thresholded_relu(x, alpha=0.7)),
    ("abs", (), elementary.magnitude),
    ("ceil", (), elementary.ceil),
    ("erf", (), elementary.erf),
    ("exp", (), elementary.exp),
    ("floor", (), elementary.floor),
    ("log", (), elementary.log),
    ("neg", (), elementary.neg),
    ("reciprocal", (), elementary.reciprocal),
    ("round", (), elementary.nearest_integer),
    ("sign", (), elementary.sign),
    ("sqrt", (), elementary.sqrt),
]


def _function(name: str) -> PythonFunction:
    """That of the vector function, or, of one that clamps, what it is declared by."""
    activation = VECTOR_FUNCTIONS[name].activation
    assert activation is not None
    return activation({}).function or PythonFunction.of(name, getattr(clamps, name))


FUNCTIONS = {name: _function(name) for name, _, _ in UNARY}


def _values(layout: Layout, seed: int = 1) -> np.ndarray:
    return normal(seed, 3, *layout.shape) * 4


@pytest.mark.parametrize("layout", SHAPES, ids=str)
@pytest.mark.parametrize(("name", "constants", "expected"), UNARY, ids=lambda v: str(v)[:12])
def test_unary(
    layout: Layout,
    name: str,
    constants: tuple[float, ...],
    expected: Callable[[np.ndarray], np.ndarray],
) -> None:
    x = _values(layout)
    x.flat[0] = np.nan
    actual = run(unary(layout, FUNCTIONS[name], *constants), x)
    with np.errstate(invalid="ignore"):
        assert_close(actual, expected(x), rtol=2e-6, atol=2e-7)


def test_halves_go_to_the_even_integer() -> None:
    x = np.array([[-2.5, -1.5, -0.5, 0.5, 1.5, 2.5, 8388609.0, -16777216.0, 3e38]], np.float32)
    layout = Layout("planar", x.shape[1:])
    assert_close(run(unary(layout, FUNCTIONS["round"]), x), np.rint(x), rtol=0, atol=0)


ACCURATE: list[tuple[str, Callable[[np.ndarray], np.ndarray], float, float]] = [
    ("exp", np.exp, -87.0, 88.0),
    ("log", np.log, 1e-30, 1e-28),
    ("log", np.log, 0.5, 2.0),
    ("log", np.log, 1e30, 3e38),
    ("erf", np.vectorize(math.erf), -4.5, 4.5),
]


@pytest.mark.parametrize(("name", "truth", "low", "high"), ACCURATE)
def test_float32_holds_no_better(
    name: str, truth: Callable[[np.ndarray], np.ndarray], low: float, high: float
) -> None:
    """At most 2 units in the last place off, anywhere."""
    x = np.linspace(low, high, 50_000, dtype=np.float32)[np.newaxis]
    actual = run(unary(Layout("planar", x.shape[1:]), FUNCTIONS[name]), x)
    expected = truth(x.astype(np.float64))
    units = np.abs(actual - expected) / np.spacing(np.abs(expected.astype(np.float32)))
    assert units.max() < 2


EXTREME = ("relu", "clip", "sigmoid", "tanh", "hard_sigmoid", "gelu", "mish", "silu", "softplus")


@pytest.mark.parametrize("name", [*EXTREME, "abs", "ceil", "erf", "exp", "log", "round", "sqrt"])
def test_extremes(name: str) -> None:
    x = np.array([[np.inf, -np.inf, np.nan, 1e30, -1e30, 0.0, -0.0, 1e-30, 100.0]], np.float32)
    expected = {name: function for name, _, function in UNARY}[name]
    constants = {name: constants for name, constants, _ in UNARY}[name]
    with np.errstate(all="ignore"):
        truth = expected(x)
    assert_close(
        run(unary(Layout("planar", (9,)), FUNCTIONS[name], *constants), x),
        truth,
        rtol=2e-6,
        atol=1e-37,
    )


@pytest.mark.parametrize("layout", SHAPES[:4], ids=str)
def test_constants_by_channel(layout: Layout) -> None:
    x = _values(layout)
    channels = layout.shape[0]
    one_each = (channels, *[1] * (len(layout.shape) - 1))
    slope, offset = normal(5, channels), normal(6, channels)
    actual = run(unary(layout, functions.PRELU, slope), x)
    assert_close(actual, activations.prelu(x, slope.reshape(one_each)), rtol=2e-6, atol=0)
    truth = x.astype(np.float64) * slope.reshape(one_each) + offset.reshape(one_each)
    actual = run(scale_add(layout, slope, offset), x)
    assert_close(actual, truth.astype(np.float32), rtol=2e-6, atol=1e-6)
    assert_close(run(scale_add(layout, None, None), x), x, rtol=0, atol=0)


@pytest.mark.parametrize("layout", SHAPES, ids=str)
@pytest.mark.parametrize(
    ("name", "expected"),
    [
        *(("add", np.add), ("sub", np.subtract), ("mul", np.multiply), ("div", np.divide)),
        *(("max", np.maximum), ("min", np.minimum), ("less", np.less), ("greater", np.greater)),
        *(("less_or_equal", np.less_equal), ("greater_or_equal", np.greater_equal)),
        *(("equal", np.equal), ("keep", lambda x, y: np.where(y > 0.5, x, 0))),
        ("drop", lambda x, y: np.where(y > 0.5, 0, x)),
    ],
)
def test_binary(layout: Layout, name: str, expected: Callable[..., np.ndarray]) -> None:
    x, y = _values(layout), _values(layout, seed=2)
    x.flat[: x.size // 3], y.flat[x.size // 4 :] = 0.25, 0.25
    x.flat[0], y.flat[-1] = np.nan, np.nan
    truth = expected(x, y).astype(np.float32)
    # float32 arithmetic of one operation is correctly rounded by both
    assert_close(run(binary(layout, layout, OPERATIONS[name]), x, y), truth, rtol=0, atol=0)


def test_binary_with_a_value_a_channel() -> None:
    layout, scale = Layout("nchw16c", (17, 5, 7)), Layout("nchw16c", (17, 1, 1))
    x, y = _values(layout), _values(scale, seed=2)
    assert_close(run(binary(layout, scale, OPERATIONS["mul"]), x, y), x * y, rtol=0, atol=0)


@pytest.mark.parametrize("shape", [(5, 3, 7), (40, 48), (3, 5, 16), (9, 65), (6,), (2, 3, 5)])
def test_binary_with_constants_along_the_end(shape: tuple[int, ...]) -> None:
    layout = Layout("planar", shape)
    x = _values(layout)
    for rank in range(1, len(shape) + 1):
        constant = normal(2, *shape[-rank:])
        actual = run(binary(layout, constant, OPERATIONS["div"]), x)
        assert_close(actual, x / constant, rtol=0, atol=0)


def test_pixels() -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (2, 3, 7, 5), dtype=np.uint8)
    actual = run(pixels_to_float(Layout("uint8", (3, 7, 5))), pixels)
    assert_close(actual, (pixels / 255.0).astype(np.float32), rtol=2e-7, atol=0)


def test_wrong_arguments_are_named() -> None:
    layout = Layout("planar", (4,))
    with pytest.raises(UsageError, match="hard_sigmoid takes 2 constants, not 1"):
        unary(layout, FUNCTIONS["hard_sigmoid"], 0.2)
    with pytest.raises(InvalidModelError, match="differ"):
        binary(layout, Layout("planar", (5,)), OPERATIONS["add"])
    with pytest.raises(InvalidModelError, match="and constants"):
        binary(layout, np.ones(2, np.float32), OPERATIONS["add"])
    with pytest.raises(InvalidModelError, match="3 constants for 4 channels"):
        scale_add(layout, np.ones(3, np.float32), None)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_built_in_functions_are_vector_code(name: str) -> None:
    """What does not type on blocks would be compiled on numbers, several times as slow."""
    from columnar_nn.kernels.jitted import entry, python_function

    python_function.make_callable(FUNCTIONS[name])
    constants = (FUNCTIONS[name].function, FUNCTIONS[name].num_constants)
    made = entry.kernel_function("elementwise", "of_blocks", constants)
    assert entry.joined("kernel", ARGUMENTS, made).get_function("kernel")


@pytest.mark.parametrize(("name", "constants", "expected"), UNARY, ids=lambda v: str(v)[:12])
def test_as_python_they_are_what_the_reference_says(
    name: str, constants: tuple[float, ...], expected: Callable[[np.ndarray], np.ndarray]
) -> None:
    x = _values(Layout("planar", (37,)))
    function = in_ieee(FUNCTIONS[name].function)
    with np.errstate(invalid="ignore"):
        python = np.array([function(float(value), *constants) for value in x.reshape(-1)])
        truth = expected(x)
    np.testing.assert_allclose(python.reshape(x.shape), truth, rtol=1e-6, atol=1e-7)

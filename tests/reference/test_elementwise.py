"""Activations, arithmetic, normalisation and softmax against PyTorch in float64."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from closeness import assert_close
from generated import SEEDS, SIZES, normal, quick
from hypothesis import given
from hypothesis import strategies as st
from onnx_oracle import onnx_result

from reference import activations, arithmetic, elementary
from reference.batch_normalization import batch_normalization
from reference.lrn import lrn
from reference.softmax import log_softmax, softmax

functional = torch.nn.functional

ACTIVATIONS: dict[str, tuple[Callable[..., np.ndarray], Callable[..., torch.Tensor]]] = {
    "relu": (activations.relu, functional.relu),
    "leaky_relu": (
        lambda x: activations.leaky_relu(x, alpha=0.3),
        lambda x: functional.leaky_relu(x, 0.3),
    ),
    "elu": (
        lambda x: activations.elu(x, alpha=0.7),
        lambda x: functional.elu(x, 0.7),
    ),
    "selu": (
        lambda x: activations.selu(x, alpha=1.5, gamma=0.8),
        lambda x: 0.8 * functional.elu(x, 1.5),
    ),
    "celu": (lambda x: activations.celu(x, alpha=0.7), lambda x: functional.celu(x, 0.7)),
    "gelu": (lambda x: activations.gelu(x, approximate="none"), functional.gelu),
    "gelu_tanh": (
        lambda x: activations.gelu(x, approximate="tanh"),
        lambda x: functional.gelu(x, approximate="tanh"),
    ),
    "mish": (activations.mish, functional.mish),
    "softplus": (activations.softplus, lambda x: functional.softplus(x, threshold=800.0)),
    "softsign": (activations.softsign, functional.softsign),
    "thresholded_relu": (
        lambda x: activations.thresholded_relu(x, alpha=0.7),
        lambda x: functional.threshold(x, 0.7, 0.0),
    ),
    "abs": (elementary.magnitude, torch.abs),
    "ceil": (elementary.ceil, torch.ceil),
    "erf": (elementary.erf, torch.erf),
    "exp": (elementary.exp, torch.exp),
    "floor": (elementary.floor, torch.floor),
    "log": (elementary.log, torch.log),
    "neg": (elementary.neg, torch.neg),
    "reciprocal": (elementary.reciprocal, torch.reciprocal),
    "round": (elementary.nearest_integer, torch.round),
    "sign": (elementary.sign, lambda x: torch.where(x.isnan(), x, torch.sign(x))),
    "sqrt": (elementary.sqrt, torch.sqrt),
    "sigmoid": (activations.sigmoid, torch.sigmoid),
    "hard_sigmoid": (
        lambda x: activations.hard_sigmoid(x, alpha=1 / 6, beta=0.5),
        functional.hardsigmoid,
    ),
    "hard_swish": (activations.hard_swish, functional.hardswish),
    "tanh": (activations.tanh, torch.tanh),
    "relu6": (
        lambda x: activations.clip(x, np.float32(0), np.float32(6)),
        functional.relu6,
    ),
}
EXTREMES = np.array(
    [0.0, -0.0, 3.0, -3.0, 6.0, 88.0, -104.0, 1e30, -1e30, np.inf, -np.inf, np.nan], np.float32
)


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name: str) -> None:
    ours, theirs = ACTIVATIONS[name]
    x = np.concatenate([5 * normal(7, 500), EXTREMES])
    with np.errstate(all="ignore"):
        actual = ours(x)
    expected = theirs(torch.from_numpy(x).double()).float().numpy()
    cancelled = 2e-15 if name.startswith("gelu") else 1e-44  # by 1 + erf, in float64
    assert_close(actual, expected, rtol=2e-7, atol=cancelled)


@pytest.mark.parametrize("bounds", [(-1.0, None), (None, 1.0), (-1.0, 1.0), (2.0, 1.0)])
def test_clip(bounds: tuple[float | None, float | None]) -> None:
    x = 3 * normal(1, 50)
    arrays = [None if bound is None else np.array(bound, np.float32) for bound in bounds]
    expected = torch.clamp(torch.from_numpy(x), *bounds).numpy()
    assert_close(activations.clip(x, *arrays), expected, rtol=0, atol=0)


def test_prelu_has_a_slope_for_each_channel() -> None:
    x, slope = normal(1, 2, 3, 4, 4), normal(2, 3)
    expected = functional.prelu(*(torch.from_numpy(a).double() for a in (x, slope)))
    actual = activations.prelu(x, slope.reshape(3, 1, 1))
    assert_close(actual, expected.float().numpy(), rtol=2e-7, atol=0)


@st.composite
def broadcast_pair(draw: st.DrawFn) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Two shapes that broadcast together."""
    shape = draw(st.lists(SIZES, min_size=0, max_size=4))
    pair = []
    for _ in range(2):
        kept = [d if draw(st.booleans()) else 1 for d in shape]
        pair.append(tuple(kept[draw(st.integers(0, len(kept))) :]))
    return pair[0], pair[1]


@pytest.mark.parametrize("operator", ["add", "sub", "mul", "div"])
@quick
@given(shapes=broadcast_pair(), seed=SEEDS)
def test_arithmetic_broadcasts(
    operator: str, shapes: tuple[tuple[int, ...], tuple[int, ...]], seed: int
) -> None:
    a, b = normal(seed, *shapes[0]), normal(seed + 1, *shapes[1])
    theirs = getattr(torch, operator)
    expected = theirs(*(torch.from_numpy(np.asarray(v)).double() for v in (a, b)))
    actual = getattr(arithmetic, operator)(a, b)
    assert_close(actual, expected.float().numpy(), rtol=2e-7, atol=0)


@quick
@given(st.lists(SIZES, min_size=2, max_size=5), SEEDS)
def test_batch_normalization(shape: list[int], seed: int) -> None:
    x = normal(seed, *shape)
    scale, bias, mean = (normal(seed + i, shape[1]) for i in (1, 2, 3))
    variance = np.abs(normal(seed + 4, shape[1]))
    expected = functional.batch_norm(
        *(torch.from_numpy(a).double() for a in (x, mean, variance, scale, bias)), eps=1e-3
    )
    actual = batch_normalization(x, scale, bias, mean, variance, epsilon=1e-3)
    assert_close(actual, expected.float().numpy(), rtol=2e-7, atol=1e-12)


@pytest.mark.parametrize(
    ("ours", "theirs"), [(softmax, torch.softmax), (log_softmax, torch.log_softmax)]
)
@quick
@given(shape=st.lists(SIZES, min_size=1, max_size=4), data=st.data(), seed=SEEDS)
def test_softmax(
    ours: Callable[..., np.ndarray],
    theirs: Callable[..., torch.Tensor],
    shape: list[int],
    data: st.DataObject,
    seed: int,
) -> None:
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    x = 200 * normal(seed, *shape)
    expected = theirs(torch.from_numpy(x).double(), dim=axis)
    assert_close(ours(x, axis=axis), expected.float().numpy(), rtol=2e-7, atol=1e-44)


@quick
@given(st.integers(1, 8), st.integers(1, 6), SEEDS)
def test_lrn(channels: int, size: int, seed: int) -> None:
    # As many images as channels: ONNX's evaluator runs its loop over the wrong one.
    x = 3 * normal(seed, channels, channels, 3, 2)
    attributes = {"size": size, "alpha": 0.3, "beta": 0.75, "bias": 1.5}
    actual = lrn(x, **attributes)
    assert_close(actual, onnx_result("LRN", [x], attributes), rtol=2e-7, atol=0)
    if size % 2:  # PyTorch centres an even window differently
        expected = functional.local_response_norm(
            torch.from_numpy(x).double(), size, alpha=0.3, beta=0.75, k=1.5
        )
        assert_close(actual, expected.float().numpy(), rtol=2e-7, atol=0)

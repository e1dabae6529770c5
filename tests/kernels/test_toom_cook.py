"""kernels/toom_cook.py against the definition of a filter, in exact fractions."""

from __future__ import annotations

import random
from fractions import Fraction

import numpy as np
import pytest

from columnar_nn.kernels.toom_cook import TAPS, transform


@pytest.mark.parametrize("m", [2, 4, 5, 6])
def test_transforms_are_exact(m: int) -> None:
    matrices = transform(m, Fraction)
    draw = random.Random(m)
    inputs = [Fraction(draw.randint(-99, 99), 7) for _ in range(m + TAPS - 1)]
    taps = [Fraction(draw.randint(-99, 99), 5) for _ in range(TAPS)]

    def times(matrix: tuple[tuple[Fraction, ...], ...], vector: list[Fraction]) -> list[Fraction]:
        return [
            sum((a * b for a, b in zip(row, vector, strict=True)), Fraction()) for row in matrix
        ]

    pairs = zip(times(matrices.filters, taps), times(matrices.inputs, inputs), strict=True)
    outputs = times(matrices.outputs, [a * b for a, b in pairs])
    assert outputs == [sum(inputs[i + k] * taps[k] for k in range(TAPS)) for i in range(m)]


@pytest.mark.parametrize("m", [2, 4, 5, 6])
def test_the_transforms_of_images_are_exact_in_float32(m: int) -> None:
    for row in (*transform(m, Fraction).inputs, *transform(m, Fraction).outputs):
        assert all(Fraction(float(np.float32(float(element)))) == element for element in row)


@pytest.mark.parametrize("m", [2, 4, 5, 6])
def test_floats_are_the_fractions_rounded_once(m: int) -> None:
    exact, floats = transform(m, Fraction), transform(m, float)
    for name in ("inputs", "filters", "outputs"):
        for row, rounded in zip(getattr(exact, name), getattr(floats, name), strict=True):
            assert [*map(float, row)] == [*rounded]

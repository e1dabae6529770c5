"""Rounding is told from another network, in every column, whatever its scale."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from bench.model.output_difference import difference

ROWS = 4
SCALES = {
    "plain": lambda y: y,
    "offset": lambda y: y + 30_000,
    "mixed": lambda y: y * np.geomspace(1e-6, 1e6, y.shape[1]).reshape(-1, *[1] * (y.ndim - 2)),
    "tiny": lambda y: y * 1e-29,
    "huge": lambda y: y * 1e36,
    "zeros": lambda y: y * (np.arange(y.shape[1]) > 2).reshape(-1, *[1] * (y.ndim - 2)),
}
Array = np.ndarray


def evaluations(shape: tuple[int, ...], scale: str) -> list[Array]:
    """Of one network, each with errors of its own: of 1e-6 times a column, and of a last bit."""
    random = np.random.default_rng(8)
    true = SCALES[scale](random.standard_normal((ROWS, *shape)))
    size = np.abs(true).max(axis=0)
    return [(true + size * random.normal(0, 1e-6, true.shape)).astype(np.float32) for _ in range(4)]


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("shape", [(10,), (6, 5, 5)], ids=str)
def test_evaluations_of_one_network_are_equal(shape: tuple[int, ...], scale: str) -> None:
    file, imported, *others = evaluations(shape, scale)
    found = difference("y", file, imported, others)
    assert (found.reason, found.says_something) == ("", True)
    assert found.shape == (ROWS, *shape)
    assert 0 < found.difference < 1e-4
    assert found.allowed < 0.5


MISREADINGS: dict[str, Callable[[Array], Array]] = {
    "3% off": lambda y: y * np.float32(1.03),
    "0.1% off": lambda y: y * np.float32(1.001),
    "columns rolled": lambda y: np.roll(y, 1, axis=1),
    "rows reversed": lambda y: y[::-1].copy(),
    "one column off": lambda y: np.where(np.arange(y.shape[1]) == 4, y * np.float32(0.97), y),
    "one row off": lambda y: np.where(np.arange(ROWS)[:, None] == 2, y * np.float32(0.97), y),
}


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("misreading", MISREADINGS)
def test_another_network_is_not(misreading: str, scale: str) -> None:
    file, imported, *others = evaluations((10,), scale)
    found = difference("y", file, MISREADINGS[misreading](imported), others)
    assert found.reason.startswith("it differs by"), found
    assert found.allowed > 1


@pytest.mark.parametrize("scale", [1.0, 1e-29, 1e36])
def test_three_percent_are_another_network_however_much_rounding_is_amplified(scale: float) -> None:
    random = np.random.default_rng(9)
    file = (random.standard_normal((ROWS, 10)) * scale).astype(np.float32)
    chaotic = file * np.float32(1.2)
    assert difference("y", file, file * np.float32(1.03), [chaotic]).reason


def test_values_that_are_not_finite() -> None:
    file, imported, *others = evaluations((10,), "plain")
    for array in (file, imported, *others):
        array[1, 3], array[2, 4] = np.nan, -np.inf
    assert difference("y", file, imported, others).reason == ""
    for value in (0.0, np.inf):
        wrong = imported.copy()
        wrong[2, 4] = value
        assert "NaN or infinity is at 1 other" in difference("y", file, wrong, others).reason
    # Where the file's own evaluations disagree about NaN, nobody can be wrong.
    others[0][0, 0] = np.nan
    imported[0, 0] = np.nan
    assert difference("y", file, imported, others).reason == ""


def test_another_shape_is_another_network() -> None:
    file = np.zeros((ROWS, 10), np.float32)
    found = difference("y", file, np.zeros((ROWS, 5, 2), np.float32), [])
    assert found.reason == "its shape is 4x5x2, in the file 4x10"


@pytest.mark.parametrize(
    "output",
    [np.float32(3), np.ones(4, np.float32), np.zeros((4, 0), np.float32), np.ones((4, 3))],
    ids=["scalar", "vector", "empty", "constant"],
)
def test_what_does_not_vary_is_equal_and_says_nothing(output: Array) -> None:
    found = difference("y", np.asarray(output), np.asarray(output), [np.asarray(output)])
    assert (found.reason, found.difference, found.says_something) == ("", 0.0, False)

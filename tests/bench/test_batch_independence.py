"""bench/model/batch_independence.py: rows that depend on each other are found, by any backend."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import fake_backends
import numpy as np
import pytest

from bench.model.batch_independence import MixedRow, mixed_row, reference_run
from columnar_nn.model.graph import Graph, Node, TensorSpec

IMAGES = np.random.default_rng(3).standard_normal((3, 3, 32, 32)).astype(np.float32)


def softmax(axis: int) -> Graph:
    nodes = (Node("softmax", "Softmax", ("x",), ("y",), {"axis": axis}),)
    shape = (None, 3, 32, 32)
    return Graph("g", nodes, (TensorSpec("x", shape),), (TensorSpec("y", shape),), {})


def test_rows_that_are_the_same_alone() -> None:
    assert mixed_row(reference_run(fake_backends.tiny_graph()), IMAGES) is None
    assert mixed_row(reference_run(softmax(1)), IMAGES) is None


def test_a_softmax_over_the_batch() -> None:
    found = mixed_row(reference_run(softmax(0)), IMAGES)
    assert found is not None
    assert found.output == "y"
    assert found.difference > 0.5
    assert str(found).startswith(f"output 'y' of image {found.row} depends on the images run with")


def outputs(together: np.ndarray, alone: np.ndarray) -> Callable[..., Mapping[str, np.ndarray]]:
    """A backend that gives `together` for several images, and row by row `alone`."""
    calls = iter([together, *(row[np.newaxis] for row in alone)])
    return lambda images: {"y": next(calls)}


PLAIN = np.array([[1, 2], [3, 100]], np.float32)


@pytest.mark.parametrize(
    ("together", "row", "difference"),
    [
        (PLAIN + np.float32([[0, 0], [0.005, 0]]), None, 0),
        (PLAIN + np.float32([[0, 0], [0.02, 0]]), 1, 2e-4),
        (PLAIN[::-1].copy(), 0, 0.98),
        (PLAIN[:1], 1, np.inf),
        (np.float32([[1, np.nan], [3, 100]]), 0, np.inf),
        (np.zeros((2, 2), np.float32), 0, np.inf),
        (PLAIN[:, :1], 0, np.inf),
    ],
)
def test_how_much_a_row_may_differ(
    together: np.ndarray, row: int | None, difference: float
) -> None:
    found = mixed_row(outputs(together, PLAIN), IMAGES[:2])
    if row is None:
        assert found is None
    else:
        assert found == MixedRow("y", row, pytest.approx(difference, rel=1e-3))


def test_what_is_not_finite_in_both_is_the_same() -> None:
    odd = np.float32([[np.nan, np.inf], [-np.inf, 1]])
    assert mixed_row(outputs(odd, odd), IMAGES[:2]) is None

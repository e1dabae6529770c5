"""Denormal weights are found, and said in one line."""

from __future__ import annotations

import numpy as np

from columnar_nn.model.denormals import denormal_weights, denormals_note
from columnar_nn.model.graph import Graph
from columnar_nn.model.zoo import build

SMALLEST = np.finfo(np.float32).smallest_normal


def graph(**weights: np.ndarray) -> Graph:
    return Graph("weights", (), (), (), weights)


def test_only_denormal_float32_count() -> None:
    edges = np.array([SMALLEST, -SMALLEST, 0, -0.0, 1, np.nan, np.inf, -np.inf], np.float32)
    below = np.nextafter(edges[:2], np.float32(0))
    found = graph(
        none=edges,
        two=np.concatenate([below, edges]).reshape(2, 5),
        least=np.array(1e-45, np.float32),
        integers=np.array([1, 2]),
        empty=np.zeros((0, 3), np.float32),
    )
    assert denormal_weights(found) == {"two": 2, "least": 1}


def test_the_note_names_those_with_the_most() -> None:
    def some(count: int) -> np.ndarray:
        return np.full(count, 1e-39, np.float32)

    weights = {"a\n": some(1), "b": some(3000), "c": some(2), "d": some(7)}
    note = denormals_note(graph(**weights))
    assert note.startswith("3,010 weights are denormal (below 1.2e-38): 3,000 in 'b', 7 in 'd', ")
    assert "2 in 'c', 1 in others" in note
    assert "'a\\n'" in denormals_note(graph(**{"a\n": some(1)}))


def test_the_networks_built_in_have_none() -> None:
    for name in ("plain9", "resnet20"):
        assert denormals_note(build(name)) == ""

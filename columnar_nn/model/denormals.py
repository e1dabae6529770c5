"""Weights that are denormal: on many processors arithmetic with them takes 100 times as long."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from columnar_nn.model.graph import Graph

SMALLEST_NORMAL = float(np.finfo(np.float32).smallest_normal)
"""1.18e-38: float32 below it are denormal, down to 1.4e-45."""

_NAMED = 3


def denormal_weights(graph: Graph) -> dict[str, int]:
    """How many denormals each float32 weight that has any holds."""
    return {
        name: count
        for name, array in graph.weights.items()
        if array.dtype == np.float32 and (count := _count(array))
    }


def _count(array: np.ndarray) -> int:
    sizes = np.abs(array)
    return int(np.count_nonzero(sizes < SMALLEST_NORMAL) - np.count_nonzero(sizes == 0))


def denormals_note(graph: Graph) -> str:
    """One line on the denormal weights of a network; empty if it has none."""
    counts = denormal_weights(graph)
    if not counts:
        return ""
    return (
        f"{sum(counts.values()):,} weights are denormal (below 1.2e-38): {_where(counts)}; "
        "engines that do not flush them to zero may be 100 times slower"
    )


def _where(counts: Mapping[str, int]) -> str:
    """The tensors with the most of them by name, the others by their number."""
    largest = sorted(counts, key=lambda name: -counts[name])
    texts = [f"{counts[name]:,} in {name!r}" for name in largest[:_NAMED]]
    if len(largest) > _NAMED:
        texts.append(f"{sum(counts[name] for name in largest[_NAMED:]):,} in others")
    return ", ".join(texts)

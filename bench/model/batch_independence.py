"""Whether a network that takes any batch gives each image what it would get alone, tried out.

    mixed = mixed_row(reference_run(graph), images)     # MixedRow, or None if all rows are the same

`RunImages` stands for a backend: float32 images [rows, ...] in, or the numbers of rows of several
inputs; outputs [rows, ...] by name out.
`images` are at least two, and differ. A network that is tied to a batch size (`Graph.batch`)
cannot be tried.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from columnar_nn.model.graph import Graph
from reference.evaluate import evaluate

RunImages = Callable[[np.ndarray], Mapping[str, np.ndarray]]

MAX_DIFFERENCE = 1e-4
"""Share of an output's largest value by which a row may differ: backends sum in another order
when a batch has another size. Mixed images differ by far more."""


@dataclass(frozen=True)
class MixedRow:
    """The image, by its row, whose output differs most, and by what share of the largest value.

    `difference` is infinite where the shape, or what is not finite, is another one.
    """

    output: str
    row: int
    difference: float

    def __str__(self) -> str:
        return (
            f"output {self.output!r} of image {self.row} depends on the images run with it: it "
            f"differs by {self.difference:.2g} of the largest value from what it is alone"
        )


def mixed_row(run: RunImages, images: np.ndarray) -> MixedRow | None:
    """The worst row that is another one when its image runs alone; None if there is none.

    Raises whatever `run` does.
    """
    together = run(images)
    found: list[MixedRow] = []
    for row in range(len(images)):
        for output, alone in run(images[row : row + 1]).items():
            difference = _difference(together[output], row, alone)
            if difference > MAX_DIFFERENCE:
                found.append(MixedRow(output, row, difference))
    return max(found, key=lambda mixed: mixed.difference, default=None)


def _difference(together: np.ndarray, row: int, alone: np.ndarray) -> float:
    """The largest difference of a row, in share of the largest finite value of all rows."""
    if row >= len(together) or alone.shape != together[row : row + 1].shape:
        return np.inf
    expected, found = alone[0].astype(np.float64), together[row].astype(np.float64)
    same = (expected == found) | (np.isnan(expected) & np.isnan(found))
    with np.errstate(invalid="ignore"):
        error = np.where(same, 0.0, np.abs(found - expected))
    worst = float(np.nan_to_num(error, nan=np.inf, posinf=np.inf).max(initial=0.0))
    largest = float(np.abs(together).max(where=np.isfinite(together), initial=0.0))
    if not worst:
        return 0.0
    return worst / largest if largest else np.inf


def reference_run(graph: Graph) -> RunImages:
    """The network in the float64 reference: for small ones, as it takes its time."""
    names = [spec.name for spec in graph.outputs]

    def run(images: np.ndarray) -> Mapping[str, np.ndarray]:
        return evaluate(graph.nodes, graph.weights, {graph.inputs[0].name: images}, names)

    return run

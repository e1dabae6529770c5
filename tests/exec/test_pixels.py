"""uint8 pixels become float32 pixel / 255 where they enter a network, whatever passes them on."""

from __future__ import annotations

import numpy as np
import pytest
from closeness import assert_close
from conformance.columnar_runner import run_columnar

from columnar_nn.model.graph import Graph, Node, TensorSpec

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 3, 5, 4), dtype=np.uint8)
X = TensorSpec("x", (None, 3, 5, 4))
Y = TensorSpec("y", (None, 3, 5, 4))
FLAT = TensorSpec("y", (None, 60))


@pytest.mark.parametrize(
    ("nodes", "outputs"),
    [
        ((), (X,)),
        ((Node("n", "Identity", ("x",), ("y",)),), (Y,)),
        ((Node("n", "Dropout", ("x",), ("y",)),), (Y,)),
        ((Node("n", "Identity", ("x",), ("y",)),), (X, Y)),
        ((Node("n", "Relu", ("x",), ("y",)),), (Y, X)),
        ((Node("n", "Flatten", ("x",), ("y",), {"axis": 1}),), (FLAT, X)),
    ],
    ids=["the input", "Identity", "Dropout", "both", "Relu and the input", "Flatten and the input"],
)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_pixels_pass_through_as_floats(
    nodes: tuple[Node, ...], outputs: tuple[TensorSpec, ...], dtype: str
) -> None:
    graph = Graph("made", nodes, (X,), outputs, {})
    expected = IMAGES.astype(np.float64) / 255
    images = IMAGES if dtype == "uint8" else expected.astype(np.float32)
    for spec, result in zip(outputs, run_columnar(graph, {"x": images}), strict=True):
        truth = expected.reshape(3, -1) if spec is FLAT else expected
        assert_close(result, truth.astype(np.float32), rtol=1e-6, atol=0)

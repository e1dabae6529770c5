"""columnar_nn/lowering/rows_first.py: the engine runs what moves the images about, and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from closeness import assert_close
from conformance.columnar_runner import run_columnar
from model.batch_cases import APART
from model.batched_networks import ints, noise, original, step, write
from model.parted_cases import PARTED_ELSEWHERE

from columnar_nn.errors import UnsupportedOperatorError
from columnar_nn.lowering.network import network_outputs
from columnar_nn.lowering.rows_first import rows_first
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.model.shapes import infer_shapes

CASES = APART | PARTED_ELSEWHERE

OTHERWISE = {
    "pooling with the batch as channels",
    "gemm of a transposed tensor",
    "gemm with the batch on the right",
    "product of two dimensions",
    "vector times the batch behind",
}
"""What has no form on images in front."""


@pytest.mark.parametrize("name", CASES)
def test_images_come_first(name: str, tmp_path: Path) -> None:
    image, steps = CASES[name]
    path = write(tmp_path / "m.onnx", image, steps, 1)
    graph = zoo.resolve(path)
    images = np.random.default_rng(1).standard_normal((3, *image)).astype(np.float32)
    if name in OTHERWISE:
        with pytest.raises(UnsupportedOperatorError, match="images are not along the first axis"):
            run_columnar(graph, {"x": images})
        return
    moved = rows_first(graph, infer_shapes(graph))
    assert all(None not in shape[1:] for shape in infer_shapes(moved).values())
    (found,) = run_columnar(graph, {"x": images})
    run = original(path)
    expected = np.concatenate([run(one[np.newaxis]) for one in images])
    assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_tensors_of_other_ranks_and_constants_are_moved(tmp_path: Path) -> None:
    """Images [batch, 4, 6] as [4, batch, 6]: beside their sums, and beside constants."""
    steps = [
        step("Transpose", "x", perm=[1, 0, 2]),
        step("ReduceSum", "0", ints(0), keepdims=0),
        step("Sub", "0", "1"),
        step("Mul", "2", noise(4, 1, 1)),
        step("Greater", noise(1, 6), "3"),
        step("Where", "4", noise(4, 1, 6), "3"),
        step("Concat", "5", "3", axis=0),
        step("MatMul", "6", noise(6, 5)),
        step("LayerNormalization", "7", noise(5), axis=-1),
        step("Softmax", "8", axis=0),
        step("Slice", "9", ints(-1), ints(-9), ints(0), ints(-2)),
        step("Gather", "10", ints(2, 0), axis=0),
        step("Transpose", "11", perm=[1, 2, 0]),
    ]
    path = write(tmp_path / "m.onnx", (4, 6), steps, 1)
    graph, run = zoo.resolve(path), original(path)
    assert graph.batch is None
    images = np.random.default_rng(1).standard_normal((3, 4, 6)).astype(np.float32)
    (found,) = run_columnar(graph, {"x": images})
    expected = np.concatenate([run(one[np.newaxis]) for one in images])
    assert_close(found, expected, rtol=1e-4, atol=1e-5)


def test_an_output_with_its_images_elsewhere_is_refused() -> None:
    nodes = (Node("turn", "Transpose", ("x",), ("y",), {"perm": [1, 0]}),)
    outputs = (TensorSpec("y", (4, None)),)
    graph = Graph("turned", nodes, (TensorSpec("x", (None, 4)),), outputs, {})
    with pytest.raises(UnsupportedOperatorError, match=r"turn \(Transpose\): the images are not"):
        network_outputs(graph, "x")

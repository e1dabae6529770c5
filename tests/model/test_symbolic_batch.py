"""columnar_nn/model/symbolic_batch.py."""

from __future__ import annotations

import numpy as np

from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.model.symbolic_batch import with_symbolic_batch


def reshaped(shape: tuple[int, ...], *targets: tuple[int, ...], allowzero: int = 0) -> Graph:
    """A network of one Reshape after the other."""
    weights = {f"w{i}": np.array(target, np.int64) for i, target in enumerate(targets)}
    nodes = tuple(
        Node(f"n{i}", "Reshape", (f"t{i}", f"w{i}"), (f"t{i + 1}",), {"allowzero": allowzero})
        for i in range(len(targets))
    )
    output = TensorSpec(f"t{len(targets)}", targets[-1])
    return Graph("g", nodes, (TensorSpec("t0", shape),), (output,), weights)


def test_reshapes_that_name_the_batch_copy_it() -> None:
    graph = reshaped((2, 6, 4), (2, 2, 3, 4), (2, -1), allowzero=1)
    freed = with_symbolic_batch(graph)
    assert freed.inputs[0].shape == (None, 6, 4)
    assert freed.outputs[0].shape == (None, 24)
    assert [freed.weights[n.inputs[1]].tolist() for n in freed.nodes] == [[0, 2, 3, 4], [0, -1]]
    assert graph.weights["w0"].tolist() == [2, 2, 3, 4]


def test_a_network_that_mixes_images_stays_as_it_was() -> None:
    graph = reshaped((2, 6, 4), (4, 12))
    assert with_symbolic_batch(graph) is graph


def test_a_symbolic_batch_is_left_alone() -> None:
    graph = with_symbolic_batch(reshaped((2, 6), (2, 3, 2)))
    assert with_symbolic_batch(graph) is graph

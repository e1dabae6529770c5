"""columnar_nn/model/symbolic_batch.py."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from closeness import assert_close
from judged_networks import small
from model.batched_networks import ANY, Step, ints, noise, original, step, write

from bench.model.batch_independence import mixed_row, reference_run
from columnar_nn.errors import CnnBenchError, InvalidModelError
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.model.symbolic_batch import tie, with_symbolic_batch


def reshaped(shape: tuple[int, ...], *targets: tuple[int, ...], allowzero: int = 0) -> Graph:
    """A network of one Reshape after the other."""
    weights = {f"w{i}": np.array(target, np.int64) for i, target in enumerate(targets)}
    nodes = tuple(
        Node(f"n{i}", "Reshape", (f"t{i}", f"w{i}"), (f"t{i + 1}",), {"allowzero": allowzero})
        for i in range(len(targets))
    )
    output = TensorSpec(f"t{len(targets)}", targets[-1])
    return Graph("g", nodes, (TensorSpec("t0", shape),), (output,), weights)


def targets(graph: Graph) -> list[list[int]]:
    return [graph.weights[node.inputs[1]].tolist() for node in graph.nodes]


def test_reshapes_that_name_the_batch_copy_it() -> None:
    graph = reshaped((2, 6, 4), (2, 2, 3, 4), (2, -1), allowzero=1)
    freed = with_symbolic_batch(graph)
    assert freed.batch is None
    assert freed.inputs[0].shape == (None, 6, 4)
    assert freed.outputs[0].shape == (None, 24)
    assert targets(freed) == [[0, 2, 3, 4], [0, 24]]
    assert targets(graph) == [[2, 2, 3, 4], [2, -1]]


def test_reshapes_that_name_no_batch_stay() -> None:
    graph = reshaped((2, 6, 4), (0, 24), (-1, 2, 12), (0, 24))
    assert targets(with_symbolic_batch(graph)) == [[0, 24], [0, 2, 12], [0, 24]]


def test_a_network_that_mixes_images_stays_as_it_was() -> None:
    graph = reshaped((2, 6, 4), (3, 16), (2, 24))
    assert with_symbolic_batch(graph) is graph
    assert graph.batch == 2
    assert tie(graph) == (
        "node n0 (Reshape): it leaves the batch no dimension of its own: (2, 6, 4) becomes (3, 16)"
    )


def test_several_rows_an_image_are_a_dimension_behind_the_batch() -> None:
    freed = with_symbolic_batch(reshaped((2, 6, 4), (12, 4), (4, 12), (2, 24)))
    assert targets(freed) == [[0, 6, 4], [0, 2, 12], [0, 24]]


def test_an_output_of_several_rows_an_image_is_named() -> None:
    assert tie(reshaped((2, 6), (6, 2))) == "node n0 (Reshape): it ends with 3 rows of an image"


def test_a_symbolic_batch_is_left_alone() -> None:
    graph = with_symbolic_batch(reshaped((2, 6), (2, 3, 2)))
    assert with_symbolic_batch(graph) is graph


def test_a_new_target_takes_no_name_of_the_file() -> None:
    graph = reshaped((2, 6), (2, 3, 2))
    graph = replace(graph, weights=graph.weights | {"n0.any_batch": np.zeros(1, np.float32)})
    assert targets(with_symbolic_batch(graph)) == [[0, 3, 2]]


@pytest.mark.parametrize("name", zoo.BUILDERS)
def test_the_networks_of_the_zoo_are_freed(name: str) -> None:
    graph = zoo.build(small(name))
    (image,) = graph.inputs
    for batch in (1, 64):
        fixed = replace(graph, inputs=(replace(image, shape=(batch, *image.shape[1:])),))
        freed = with_symbolic_batch(fixed)
        assert freed.nodes == graph.nodes
        assert freed.outputs == graph.outputs


def test_inputs_need_one_batch() -> None:
    inputs = (TensorSpec("a", (2, 3)), TensorSpec("b", (1, 3)))
    nodes = (Node("n", "Add", ("a", "b"), ("y",)),)
    graph = Graph("g", nodes, inputs, (TensorSpec("y", (2, 3)),), {})
    with pytest.raises(InvalidModelError, match=r"a \(2, 3\) and b \(1, 3\); export all with"):
        with_symbolic_batch(graph)


OUTPUTS: dict[str, tuple[list[Step], int | str]] = {
    "the batch last": ([step("Transpose", "x", perm=[1, 0])], ANY),
    "a fixed batch last": ([step("Transpose", "x", perm=[1, 0])], 4),
    "behind a 1": ([step("Unsqueeze", "x", ints(0))], ANY),
    "rows multiplied": ([step("Reshape", "x", ints(8, 1))], 2),
    "no rows": ([step("Squeeze", "x", ints(0))], 1),
    "mixed, and without rows": ([step("ReduceMean", "x", ints(0), keepdims=0)], 2),
}


@pytest.mark.parametrize("name", OUTPUTS)
def test_an_output_has_the_batch_first(name: str, tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", (4,), *OUTPUTS[name])
    with pytest.raises(InvalidModelError, match=r"output '0'.* first dimension is not the batch"):
        zoo.resolve(str(path))


def test_an_output_depends_on_the_image() -> None:
    nodes = (Node("n", "Relu", ("x",), ("y",)), Node("m", "Relu", ("w",), ("v",)))
    outputs = (TensorSpec("y", (1, 3)), TensorSpec("v", (1, 3)))
    weights = {"w": np.ones((1, 3), np.float32)}
    graph = Graph("g", nodes, (TensorSpec("x", (1, 3)),), outputs, weights)
    with pytest.raises(InvalidModelError, match="output 'v' does not depend on the image"):
        with_symbolic_batch(graph)


SHAPE = [step("Shape", "x"), step("Gather", "0", ints(0), axis=0)]


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ([step("Mul", "1", ints(4))], r"n2 \(Mul\).*the batch size is multiplied"),
        ([step("Add", ints(3), "1")], r"n2 \(Add\).*the batch size is added to"),
        ([step("Sub", ints(3), "1")], r"n2 \(Sub\).*the batch size is subtracted"),
        ([step("Div", "1", ints(2))], r"n2 \(Div\).*the batch size is divided"),
    ],
)
def test_a_calculation_with_the_batch_size_is_named(
    steps: list[Step], message: str, tmp_path: Path
) -> None:
    steps = [*SHAPE, *steps, step("Concat", "2", ints(-1), axis=0), step("Reshape", "x", "3")]
    path = write(tmp_path / "m.onnx", (4,), steps, ANY)
    with pytest.raises(CnnBenchError, match=message):
        zoo.resolve(str(path))


def random_step(generator: np.random.Generator, shapes: list[tuple[int, ...]]) -> Step:
    """Any operator on the latest tensor, or on it and another one of its shape."""
    latest = len(shapes) - 2
    name, shape = "x" if latest < 0 else str(latest), shapes[-1]
    rank, axis = len(shape), int(generator.integers(len(shape)))
    alike = [i for i, other in enumerate(shapes) if other == shape]
    other = int(generator.choice(alike)) - 1
    second = "x" if other < 0 else str(other)

    def parted() -> Step:
        """A Reshape: a dimension split in two, or two joined."""
        if rank > 1 and generator.random() < 0.5:
            at = int(generator.integers(rank - 1))
            return step(
                "Reshape", name, ints(*shape[:at], shape[at] * shape[at + 1], *shape[at + 2 :])
            )
        by = int(generator.choice([d for d in range(1, shape[axis] + 1) if not shape[axis] % d]))
        return step("Reshape", name, ints(*shape[:axis], by, shape[axis] // by, *shape[axis + 1 :]))

    choices: list[Callable[[], Step]] = [
        parted,
        parted,
        lambda: step("Transpose", name, perm=generator.permutation(rank).tolist()),
        lambda: step("Transpose", name, perm=generator.permutation(rank).tolist()),
        lambda: step("Softmax", name, axis=axis),
        lambda: step("Add", name, second),
        lambda: step("Mul", name, noise(*(d if generator.random() < 0.3 else 1 for d in shape))),
        lambda: step("ReduceMean", name, ints(axis), keepdims=int(rank < 3)),
        lambda: step("MatMul", name, noise(shape[-1], 3)),
        lambda: step("Concat", name, second, axis=axis),
        lambda: step("Unsqueeze", name, ints(axis)),
        lambda: step("Slice", name, ints(0), ints(max(1, shape[axis] - 1)), ints(axis)),
        lambda: step("Flatten", name, axis=axis),
    ]
    return choices[generator.integers(len(choices))]()


def test_whatever_is_freed_keeps_images_apart(tmp_path: Path) -> None:
    """Random networks: each freed one gives an image what the file gives a batch of it."""
    generator = np.random.default_rng(20)
    freed = tied = refused = 0
    for _ in range(250):
        batch = int(generator.choice([1, 2, 4]))
        image = tuple(int(d) for d in generator.choice([1, 2, 3, 4], generator.integers(1, 4)))
        steps: list[Step] = []
        shapes: list[tuple[int, ...]] = [(batch, *image)]
        for _ in range(generator.integers(1, 6)):
            steps.append(random_step(generator, shapes))
            run = original(write(tmp_path / "m.onnx", image, steps, batch))
            shapes.append(run(np.zeros((batch, *image), np.float32)).shape)
        try:
            graph = zoo.resolve(str(tmp_path / "m.onnx"))
        except InvalidModelError as error:
            assert "first dimension is not the batch" in str(error)  # noqa: PT017
            refused += 1
            continue
        images = generator.standard_normal((3, *image)).astype(np.float32)
        if graph.batch is not None:
            tied += 1
            continue
        freed += 1
        assert mixed_row(reference_run(graph), images) is None
        (outputs,) = reference_run(graph)(images).values()
        for output, one in zip(outputs, images, strict=True):
            for expected in run(np.stack([one] * batch)):
                assert_close(output, expected, rtol=1e-4, atol=1e-5)
    assert freed > 80
    assert tied > 30
    assert refused > 30

"""columnar_nn/model/batch_axis.py: rows through every operator, against ONNX Runtime.

Each network is run as its file says, on different images together and on copies of one image. If
the images are kept apart it makes no difference; if the import frees the network it must not.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from closeness import assert_close
from conformance.columnar_runner import run_columnar
from model.batch_cases import APART, BY_PLACE, MIXED, MIXED_WHEN_FIXED, TIED, Case
from model.batched_networks import ANY, Step, ints, noise, original, step, write
from model.parted_cases import PARTED, PARTED_ELSEWHERE
from onnx import TensorProto, helper, numpy_helper

from bench.model.batch_independence import mixed_row, reference_run
from columnar_nn.errors import CnnBenchError, InvalidModelError
from columnar_nn.model import zoo
from columnar_nn.model.symbolic_batch import tie

SEVERAL_ROWS = PARTED | PARTED_ELSEWHERE


def images(count: int, image: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(7).standard_normal((count, *image)).astype(np.float32) * 2


def keeps_apart(path: Path, image: tuple[int, ...], batch: int) -> bool:
    """Whether the file gives every image the same, whatever its place and the others are."""
    run, some = original(path), images(batch, image)
    together = run(some)
    if len(together) != batch:
        return False
    return all(
        np.allclose(row, alike, rtol=1e-5, atol=1e-5)
        for row, one in zip(together, some, strict=True)
        for alike in run(np.stack([one] * batch))
    )


def check_freed(path: Path, image: tuple[int, ...], batch: int) -> None:
    """The freed network gives each of three images what the file gives a batch of it."""
    graph = zoo.resolve(str(path))
    assert graph.batch is None
    assert tie(graph) == ""
    assert graph.inputs[0].shape == (None, *image)
    assert graph.outputs[0].shape[0] is None
    assert None not in graph.outputs[0].shape[1:]
    some, run = images(3, image), original(path)
    outputs = reference_run(graph)(some)[graph.outputs[0].name]
    assert mixed_row(reference_run(graph), some) is None
    for output, one in zip(outputs, some, strict=True):
        for expected in run(np.stack([one] * batch)):
            assert_close(output, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("case", [*APART.items(), *SEVERAL_ROWS.items()], ids=lambda case: case[0])
def test_a_fixed_batch_kept_apart_is_freed(
    case: tuple[str, Case], batch: int, tmp_path: Path
) -> None:
    _, (image, steps) = case
    path = write(tmp_path / "m.onnx", image, steps, batch)
    assert keeps_apart(path, image, batch)
    check_freed(path, image, batch)


@pytest.mark.parametrize("name", APART)
def test_a_free_batch_kept_apart_is_taken(name: str, tmp_path: Path) -> None:
    image, steps = APART[name]
    check_freed(write(tmp_path / "m.onnx", image, steps, ANY), image, 3)


@pytest.mark.parametrize("batch", [2, 4])
@pytest.mark.parametrize("name", MIXED | MIXED_WHEN_FIXED)
def test_a_fixed_batch_that_mixes_stays(name: str, batch: int, tmp_path: Path) -> None:
    image, steps = (MIXED | MIXED_WHEN_FIXED)[name]
    path = write(tmp_path / "m.onnx", image, steps, batch)
    assert not keeps_apart(path, image, batch)
    graph = zoo.resolve(str(path))
    assert graph.batch == batch
    assert "node n" in tie(graph)
    some = images(batch, image)
    (output,) = reference_run(graph)(some).values()
    assert_close(output, original(path)(some), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", MIXED)
def test_a_batch_of_one_that_would_mix_stays(name: str, tmp_path: Path) -> None:
    image, steps = MIXED[name]
    graph = zoo.resolve(str(write(tmp_path / "m.onnx", image, steps, 1)))
    assert graph.batch == 1
    assert "node n" in tie(graph)


@pytest.mark.parametrize("name", PARTED)
def test_the_columnar_engine_runs_parted_rows(name: str, tmp_path: Path) -> None:
    image, steps = PARTED[name]
    path = write(tmp_path / "m.onnx", image, steps, 1)
    some = images(3, image)
    (output,) = run_columnar(zoo.resolve(str(path)), {"x": some})
    alone = np.concatenate([original(path)(one[np.newaxis]) for one in some])
    assert_close(output, alone, rtol=1e-5, atol=1e-5)


MULTIPLIED = [
    step("Shape", "x"),
    step("Gather", "0", ints(0)),
    step("Mul", "1", ints(3)),
    step("Concat", "2", ints(2, 4), axis=0),
    step("Reshape", "x", "3"),
]


@pytest.mark.parametrize("merged", [[step("Reshape", "x", ints(-1, 2, 4))], MULTIPLIED])
def test_a_free_batch_of_several_rows_an_image_is_taken(merged: list[Step], tmp_path: Path) -> None:
    last = str(len(merged) - 1)
    steps = [*merged, step("Softmax", last), step("Reshape", str(len(merged)), ints(-1, 24))]
    path = write(tmp_path / "m.onnx", (6, 4), steps, ANY)
    check_freed(path, (6, 4), 3)
    assert zoo.from_bytes(path.read_bytes()).batch is None


BY_SIZE = {
    "times it": [step("Cast", "1", to=1), step("Mul", "x", "2")],
    "its remainder": [step("Mod", "1", ints(2)), step("Cast", "2", to=1), step("Add", "x", "3")],
    "places": [
        step("Range", np.array(0), "1", np.array(1)),
        step("Cast", "2", to=1),
        step("ReduceMax", "3"),
        step("Mul", "x", "4"),
    ],
}


@pytest.mark.parametrize("name", BY_SIZE)
def test_what_depends_on_the_size_of_a_free_batch_is_refused(name: str, tmp_path: Path) -> None:
    shape = [step("Shape", "x"), step("Gather", "0", np.array(0), axis=0)]
    path = write(tmp_path / "m.onnx", (4,), [*shape, *BY_SIZE[name]], ANY)
    with pytest.raises(InvalidModelError, match=r"n\d \(.*the batch size is given to .*fixed"):
        zoo.resolve(path)


def branch(op_type: str, name: str) -> onnx.GraphProto:
    made = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
    return helper.make_graph([helper.make_node(op_type, ["x"], [name])], name, [], [made])


def test_a_branch_for_one_image_is_not_taken_for_all(tmp_path: Path) -> None:
    steps = [
        step("Shape", "x"),
        step("Gather", "0", np.array(0), axis=0),
        step("Equal", "1", np.array(1)),
        step("If", "2", then_branch=branch("Neg", "t"), else_branch=branch("Relu", "e")),
    ]
    with pytest.raises(InvalidModelError, match=r"n2 \(Equal\): the batch size .*fixed"):
        zoo.resolve(write(tmp_path / "m.onnx", (4,), steps, ANY))


def test_a_squeeze_without_axes_keeps_a_free_batch(tmp_path: Path) -> None:
    """That of one image too, which the file drops."""
    steps = [step("Squeeze", "x"), step("Relu", "0"), step("Squeeze", "1"), step("Neg", "2")]
    path = write(tmp_path / "m.onnx", (3, 1), steps, ANY)
    assert original(path)(images(1, (3, 1))).shape == (3,)
    check_freed(path, (3, 1), 2)
    graph = zoo.resolve(path)
    assert [node.op_type for node in graph.nodes] == ["Squeeze", "Relu", "Neg"]
    assert graph.weights[graph.nodes[0].inputs[1]].tolist() == [2]


def test_a_free_batch_whose_size_does_not_matter_is_taken(tmp_path: Path) -> None:
    """As timm's MViTv2 writes its biases: to each place of each image, listed by Range."""
    steps = [
        step("Shape", "x"),
        step("Gather", "0", np.array(0), axis=0),
        step("Range", np.array(0), "1", np.array(1)),
        step("Unsqueeze", "2", ints(1, 2)),
        step("Add", "3", ints(0, 0, 0).reshape(1, 3, 1)),
        step("Add", "3", ints(0, 1, 2).reshape(1, 3, 1)),
        step("Sub", "5", "4"),
        step("Concat", "4", "6", axis=2),
        step("Tanh", "x"),
        step("ScatterND", "x", "7", "8"),
    ]
    check_freed(write(tmp_path / "m.onnx", (3, 2), steps, ANY), (3, 2), 3)


@pytest.mark.parametrize("name", MIXED)
def test_a_free_batch_that_mixes_is_refused(name: str, tmp_path: Path) -> None:
    image, steps = MIXED[name]
    path = write(tmp_path / "m.onnx", image, steps, ANY)
    assert not keeps_apart(path, image, 3)
    with pytest.raises(CnnBenchError, match=r"n\d \(.*fixed") as caught:
        zoo.resolve(str(path))
    assert "\n" not in str(caught.value)


ALIKE = [
    step("Add", "x", lambda batch: noise(1, 6, 1).repeat(batch, axis=0)),
    step("Transpose", "0", perm=[1, 0, 2]),
    step("Where", np.array([True, False]).repeat(2), "1", lambda batch: noise(batch, 1) * 0 + 3),
    step("Transpose", "2", perm=[1, 0, 2]),
]


@pytest.mark.parametrize("batch", [2, 4])
def test_rows_of_a_weight_that_are_alike_are_one(batch: int, tmp_path: Path) -> None:
    path = write(tmp_path / "m.onnx", (6, 4), ALIKE, batch)
    assert keeps_apart(path, (6, 4), batch)
    check_freed(path, (6, 4), batch)


def test_positions_that_are_computed_for_each_image_are_alike(tmp_path: Path) -> None:
    """As EdgeNeXt's are, of as many zeros as there are images."""
    steps = [
        step("Shape", "x"),
        step("ConstantOfShape", "0", value=numpy_helper.from_array(np.ones(1, np.float32))),
        step("CumSum", "1", ints(1).reshape(())),
        step("Sin", "2"),
        step("Mul", "x", "3"),
    ]
    path = write(tmp_path / "m.onnx", (6, 4), steps, ANY)
    check_freed(path, (6, 4), 3)


@pytest.mark.parametrize("name", BY_PLACE)
def test_weights_of_a_row_for_each_image(name: str, tmp_path: Path) -> None:
    image, steps = BY_PLACE[name]
    for batch in (2, 4):
        path = write(tmp_path / "m.onnx", image, steps, batch)
        assert not keeps_apart(path, image, batch)
        assert zoo.resolve(str(path)).batch == batch
    check_freed(write(tmp_path / "m.onnx", image, steps, 1), image, 1)


@pytest.mark.parametrize("batch", [1, 2, 4])
@pytest.mark.parametrize("name", TIED)
def test_what_only_looks_like_the_batch_stays(name: str, batch: int, tmp_path: Path) -> None:
    image, steps = TIED[name]
    assert zoo.resolve(str(write(tmp_path / "m.onnx", image, steps, batch))).batch == batch

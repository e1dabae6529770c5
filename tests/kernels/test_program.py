"""kernels/program.py: orders, shared buffers, threads, times, and plain9's error bound."""

from __future__ import annotations

import threading

import numpy as np
import pytest
from kernels.images import error, normal

from columnar_nn.errors import InvalidDataError, InvalidPlanError
from columnar_nn.functions import activations, clamps
from columnar_nn.kernels import RELU as CLAMPED
from columnar_nn.kernels import (
    Layout,
    Program,
    PythonFunction,
    Step,
    conv2d,
    dense,
    pixels_to_float,
    unary,
)
from columnar_nn.model import zoo
from reference.evaluate import evaluate

RELU = PythonFunction("relu", clamps.relu)
LEAKY_RELU = PythonFunction("leaky_relu", activations.leaky_relu)


def plain9_program(algorithm: str) -> Program:
    """plain9 from pixels to logits, with its weights of seed 0."""
    weights = zoo.plain9().weights
    pixels = pixels_to_float(Layout("uint8", (3, 32, 32)))
    steps = [Step(pixels, (0,), 1)]
    for index in range(1, 8):
        kernel = conv2d(
            steps[-1].kernel.output_layout,
            weights[f"conv{index}.weight"],
            weights[f"conv{index}.bias"],
            activation=CLAMPED,
            algorithm=algorithm,
        )
        steps.append(Step(kernel, (index,), index + 1))
    classifier = dense(
        steps[-1].kernel.output_layout, weights["dense.weight"], weights["dense.bias"]
    )
    steps.append(Step(classifier, (8,), 9))
    return Program(tuple(steps), (0,), (9,))


def pictures(count: int) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 256, (count, 3, 32, 32), dtype=np.uint8)


def logits_of(program: Program, images: np.ndarray, order: str = "image") -> np.ndarray:
    logits = np.full((len(images), 10), np.nan, np.float32)
    program.run([images], [logits], order)
    return logits


@pytest.mark.parametrize(("algorithm", "bound"), [("direct", 1e-5), ("winograd", 5e-5)])
def test_plain9_within_its_documented_error(algorithm: str, bound: float) -> None:
    images = pictures(8)
    graph = zoo.plain9()
    scaled = (images / np.float64(255)).astype(np.float32)
    outputs = evaluate(graph.nodes, graph.weights, {"image": scaled}, ["logits"])
    expected = outputs["logits"]
    assert error(logits_of(plain9_program(algorithm), images), expected) < bound


def test_order_and_batch_change_no_bit() -> None:
    program, images = plain9_program("auto"), pictures(7)
    expected = logits_of(program, images)
    np.testing.assert_array_equal(logits_of(program, images, "step"), expected)
    singly = np.concatenate([logits_of(program, images[i : i + 1]) for i in range(7)])
    np.testing.assert_array_equal(singly, expected)


def test_read_only_unaligned_memory() -> None:
    program, images = plain9_program("auto"), pictures(3)
    memory = np.zeros(images.size + 1, np.uint8)
    memory[1:] = images.reshape(-1)
    memory.flags.writeable = False
    shifted = memory[1:].reshape(images.shape)
    np.testing.assert_array_equal(logits_of(program, shifted), logits_of(program, images))


def test_several_threads_at_once() -> None:
    program, images = plain9_program("auto"), pictures(24)
    expected = logits_of(program, images)
    actual = np.zeros_like(expected)

    def work(start: int) -> None:
        for row in range(start, 24, 4):
            program.run([images[row : row + 1]], [actual[row : row + 1]])

    threads = [threading.Thread(target=work, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("order", ["image", "step"])
def test_times_are_added_to_each_step(order: str) -> None:
    program, images = plain9_program("auto"), pictures(4)
    times = np.zeros(len(program.steps), np.int64)
    logits = np.zeros((4, 10), np.float32)
    program.run([images], [logits], order, times)
    once = times.copy()
    assert (once > 0).all()
    program.run([images], [logits], order, times)
    assert (times > once).all()


def test_buffers_are_shared_but_not_while_they_live() -> None:
    layout = Layout("planar", (100,))
    kernel = unary(layout, LEAKY_RELU, 0.5)
    chain = Program(tuple(Step(kernel, (i,), i + 1) for i in range(6)), (0,), (6,))
    assert chain.scratch_bytes("image", 1) < 3 * 512
    x = -np.abs(normal(1, 2, 100))
    y = np.zeros_like(x)
    chain.run([x], [y])
    np.testing.assert_array_equal(y, x / 64)
    assert chain.scratch_bytes("step", 10) > 9 * 2 * 400


def test_an_output_may_be_read_by_later_steps() -> None:
    layout = Layout("planar", (5,))
    kernel = unary(layout, LEAKY_RELU, 0.5)
    program = Program((Step(kernel, (0,), 1), Step(kernel, (1,), 2)), (0,), (1, 2))
    x = np.full((1, 5), -8, np.float32)
    first, second = np.zeros_like(x), np.zeros_like(x)
    program.run([x], [first, second])
    assert (first == -4).all()
    assert (second == -2).all()


def test_wrong_programs_and_arrays_are_named() -> None:
    small, large = Layout("planar", (5,)), Layout("planar", (6,))
    step = Step(unary(small, RELU), (0,), 1)
    with pytest.raises(InvalidPlanError, match="unwritten"):
        Program((Step(unary(small, RELU), (7,), 1),), (0,), (1,))
    with pytest.raises(InvalidPlanError, match="insert a reorder"):
        Program((step, Step(unary(large, RELU), (1,), 2)), (0,), (2,))
    with pytest.raises(InvalidPlanError, match="input of the program"):
        Program((step, Step(unary(small, RELU), (1,), 0)), (0,), (1,))
    program = Program((step,), (0,), (1,))
    good = np.zeros((2, 5), np.float32)
    for bad in (good.astype(np.float64), np.zeros((2, 6), np.float32), good[:, ::-1]):
        with pytest.raises(InvalidDataError, match="buffer 0"):
            program.run([bad], [good])

"""kernels/team.py: a small batch shared by threads that spin, sleep and are woken again."""

from __future__ import annotations

import threading
import time
from typing import Any

import numpy as np
import pytest
from exec import declared
from kernels.images import normal, stored
from kernels.test_program import RELU, logits_of, pictures, plain9_program

from columnar_nn.kernels import (
    Layout,
    Program,
    PythonFunction,
    Step,
    Team,
    TeamProgram,
    Threads,
    conv2d,
    of_row,
    team,
    unary,
    useful_parts,
)
from columnar_nn.kernels.parameters import address
from columnar_nn.kernels.reorder import reorder
from columnar_nn.kernels.tables import HEADER

SIZES = [1, 2, 3]


@pytest.fixture(params=SIZES)
def threads(request: pytest.FixtureRequest) -> Team:
    return Team(request.param, Threads(4))


def shared(program: Program, threads: Team, images: np.ndarray, order: str = "image") -> np.ndarray:
    logits = np.full((len(images), 10), np.nan, np.float32)
    runs = TeamProgram(program, threads, threads.size)
    runs.run_at([address(images), address(logits)], len(images), order)
    return logits


@pytest.mark.parametrize("rows", [1, 2, 3, 7])
@pytest.mark.parametrize("order", ["image", "step"])
@pytest.mark.parametrize("algorithm", ["direct", "winograd"])
def test_a_team_computes_what_one_thread_does(
    threads: Team, algorithm: str, order: str, rows: int
) -> None:
    program, images = plain9_program(algorithm), pictures(rows)
    expected = logits_of(program, images)
    np.testing.assert_allclose(
        shared(program, threads, images, order), expected, rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("order", ["image", "step"])
@pytest.mark.parametrize("spoiled", [0, 3, 6])
def test_any_member_tells_of_what_winograd_cannot_compute(
    threads: Team, order: str, spoiled: int
) -> None:
    layout = Layout("nchw16c", (16, 12, 12))
    kernel = conv2d(layout, normal(1, 16, 16, 3, 3), algorithm="winograd_f4")
    program = Program((Step(kernel, (0,), 1),), (0,), (1,))
    images = stored(normal(2, 7, 16, 12, 12), layout)
    beyond = images.copy()
    beyond[spoiled, 5] = np.inf
    output = np.empty((7, kernel.output_layout.num_items), np.float32)
    runs = TeamProgram(program, threads, threads.size)
    for given in (images, beyond, images):
        told = runs.run_at([address(given), address(output)], 7, order)
        assert told == (given is images)


@pytest.mark.parametrize(("side", "padding"), [(6, 0), (6, 1), (12, 1), (28, 0)])
def test_no_pixel_of_an_image_that_members_share_is_overlooked(
    threads: Team, side: int, padding: int
) -> None:
    layout = Layout("nchw16c", (16, side, side))
    weight = normal(1, 16, 16, 3, 3)
    kernel = conv2d(layout, weight, pads=[padding] * 4, algorithm="winograd_f4")
    program = Program((Step(kernel, (0,), 1),), (0,), (1,))
    image = stored(normal(2, 1, 16, side, side), layout)
    output = np.empty((1, kernel.output_layout.num_items), np.float32)
    runs = TeamProgram(program, threads, threads.size)
    addresses = [address(image), address(output)]
    assert runs.run_at(addresses, 1, "image")
    flat = image.reshape(-1)
    for pixel in range(0, side * side * 16, 16):
        kept, flat[pixel] = flat[pixel], np.nan
        assert not runs.run_at(addresses, 1, "image"), divmod(pixel // 16, side)
        flat[pixel] = kept
    assert runs.run_at(addresses, 1, "image")


def test_batches_of_changing_sizes_one_after_another(threads: Team) -> None:
    program = plain9_program("auto")
    runs = TeamProgram(program, threads, threads.size)
    for rows in (5, 1, 8, 2, 1, 1, 6):
        images = pictures(rows)
        logits = np.full((rows, 10), np.nan, np.float32)
        runs.run_at([address(images), address(logits)], rows, "step")
        np.testing.assert_allclose(logits, logits_of(program, images), rtol=1e-4, atol=1e-5)


def test_only_members_with_work_are_called() -> None:
    program = plain9_program("auto")
    pool = Threads(3)
    runs = TeamProgram(program, Team(4, pool), 2)
    for rows in (1, 3, 1, 9, 2, 4, 1, 6, 1):
        images = pictures(rows)
        logits = np.full((rows, 10), np.nan, np.float32)
        runs.run_at([address(images), address(logits)], rows, "image")
        np.testing.assert_allclose(logits, logits_of(program, images), rtol=1e-4, atol=1e-5)


def test_members_who_share_an_image_have_enough_to_do() -> None:
    pool = Threads(1)
    few, many = Team(2, pool), Team(64, pool)
    small, large = plain9_program("auto"), plain9_program("direct")
    assert useful_parts(small, few) == useful_parts(large, few) == 2
    assert 2 < useful_parts(small, many) < useful_parts(large, many) < 64
    nothing = unary(Layout("planar", (3,)), RELU)
    assert useful_parts(Program((Step(nothing, (0,), 1),), (0,), (1,)), few) == 1


@pytest.mark.parametrize("order", ["image", "step"])
def test_rows_of_a_users_function_go_to_all_members(threads: Team, order: str) -> None:
    """One row is one member's work, whatever else is split; several rows are several members'."""
    layout = Layout("nchw16c", (16, 6, 6))
    conv = conv2d(layout, normal(1, 20, 16, 3, 3))
    planar = reorder(conv.output_layout, "planar")
    sums = of_row(planar.output_layout, (20,), PythonFunction("s", declared.channel_sums), 2, 0.5)
    program = Program((Step(conv, (0,), 1), Step(planar, (1,), 2), Step(sums, (2,), 3)), (0,), (3,))
    images = stored(normal(2, 7, 16, 6, 6), layout)
    expected, found = np.empty((2, 7, 20), np.float32)
    program.run([images], [expected])
    assert useful_parts(program, threads) == 1
    for parts in (1, threads.size):
        runs = TeamProgram(program, threads, parts)
        for rows in (1, 2, 7):
            found[:] = np.nan
            runs.run_at([address(images), address(found)], rows, order)
            np.testing.assert_array_equal(found[:rows], expected[:rows])
        alone = runs._alone[order].tables[HEADER.rows]
        if parts == 1 and order == "step":
            assert sum(alone) == 7
            assert min(alone) >= 7 // threads.size
        elif parts == 1:  # each claims rows until one is past the last
            assert runs._claims[0] == 7 + threads.size


def test_helpers_leave_the_pool_when_idle_and_come_back() -> None:
    program, images = plain9_program("auto"), pictures(1)
    expected = logits_of(program, images)
    pool = Threads(1)
    threads = Team(2, pool)
    for _ in range(3):
        np.testing.assert_allclose(shared(program, threads, images), expected, rtol=1e-4, atol=1e-5)
        free = threading.Event()
        pool.submit(free.set)
        assert free.wait(timeout=10)


def test_runs_with_pauses_around_the_helpers_patience() -> None:
    program, images = plain9_program("auto"), pictures(1)
    expected = logits_of(program, images)
    pool = Threads(2)
    threads = Team(3, pool)
    for step in range(40):
        np.testing.assert_allclose(shared(program, threads, images), expected, rtol=1e-4, atol=1e-5)
        time.sleep(team.PATIENCE_NANOSECONDS / 1e9 * step / 20)


class InterruptedThreads(Threads):
    """Threads of which a submission is interrupted, before it is done or after."""

    when = ""

    def submit(self, *arguments: Any) -> None:
        when, self.when = self.when, ""
        if when == "before":
            raise KeyboardInterrupt
        super().submit(*arguments)
        if when == "after":
            raise KeyboardInterrupt


@pytest.mark.timeout(60)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("rows", [1, 7])
def test_an_interrupt_leaves_no_helper_waiting(when: str, rows: int) -> None:
    """Whether the members share one image, in step with each other, or take several."""
    program, images = plain9_program("auto"), pictures(rows)
    expected = logits_of(program, images)
    pool = InterruptedThreads(2)
    helped = Team(3, pool)
    for _ in range(10):
        pool.when = when
        with pytest.raises(KeyboardInterrupt):
            shared(program, helped, images)
        np.testing.assert_allclose(shared(program, helped, images), expected, rtol=1e-4, atol=1e-5)
        while len(helped._absent) < 2:  # helpers must be called again
            time.sleep(team.PATIENCE_NANOSECONDS / 1e9)


TEAM_LAYERS = {
    "low image": ((40, 8, 8), (72, 40, 3, 3), {"pads": (1, 1, 1, 1), "algorithm": "winograd_f4"}),
    "high image": ((16, 40, 40), (40, 16, 3, 3), {"algorithm": "winograd_f4"}),
    "pointwise": ((40, 7, 7), (72, 40, 1, 1), {}),
    "strided": ((16, 15, 15), (40, 16, 3, 3), {"strides": (2, 2), "algorithm": "direct"}),
    "groups": ((32, 9, 9), (48, 16, 3, 3), {"groups": 2, "pads": (1, 1, 1, 1)}),
    "depthwise": ((40, 7, 7), (40, 1, 3, 3), {"groups": 40, "pads": (1, 1, 1, 1)}),
    "one filter": ((32, 7, 7), (1, 32, 3, 3), {}),
    "textbook": ((5, 7, 7), (11, 5, 3, 3), {"algorithm": "textbook"}),
    "textbook, groups": ((12, 7, 7), (18, 2, 3, 3), {"algorithm": "textbook", "groups": 6}),
}
"""Input shape, weight shape and options of convolutions that are shared out in different ways."""


@pytest.mark.parametrize("parts", [2, 3, 5])
@pytest.mark.parametrize("layer", TEAM_LAYERS)
def test_a_team_does_all_of_a_convolution(layer: str, parts: int) -> None:
    shape, weight_shape, options = TEAM_LAYERS[layer]
    weight = normal(1, *weight_shape)
    kind = "planar" if options.get("algorithm") == "textbook" else "nchw16c"
    kernel = conv2d(Layout(kind, shape), weight, residual=True, **options)
    program = Program((Step(kernel, (0, 1), 2),), (0, 1), (2,))
    rows = [
        stored(normal(2 + number, 2, *layout.shape), layout)
        for number, layout in enumerate(kernel.input_layouts)
    ]
    expected, actual = (
        np.full((2, kernel.output_layout.num_items), np.nan, "f4") for _ in range(2)
    )
    program.run(rows, [expected])
    pool = Threads(parts)
    runs = TeamProgram(program, Team(parts, pool), parts)
    for image in range(2):
        runs.run_at([address(array[image]) for array in (*rows, actual)], 1, "image")
    np.testing.assert_array_equal(actual, expected)

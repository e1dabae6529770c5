"""kernels/rearrange.py and concatenation along any axis against NumPy's indexing."""

from __future__ import annotations

import numpy as np
import pytest
from closeness import assert_close
from generated import SEEDS, quick
from hypothesis import given
from hypothesis import strategies as st
from kernels.images import normal, run, stored

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels import Layout, Program, Step, Team, TeamProgram, Threads, concat
from columnar_nn.kernels.parameters import address
from columnar_nn.kernels.rearrange import rearrange


@st.composite
def rearrangements(draw: st.DrawFn) -> tuple[tuple[int, ...], list[int], list[np.ndarray]]:
    """Shape of a row, an order of its axes, and indices along each, -1 among them."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=5)))
    permutation = draw(st.permutations(range(len(shape))))
    indices = []
    for axis in permutation:
        size = shape[axis]
        some = st.lists(st.integers(-1, size - 1), min_size=1, max_size=6)
        whole = st.just(list(range(size)))
        indices.append(np.array(draw(st.one_of(whole, some)), np.int64))
    return shape, list(permutation), indices


@quick
@given(rearrangements(), SEEDS)
def test_rearrange(
    generated: tuple[tuple[int, ...], list[int], list[np.ndarray]], seed: int
) -> None:
    shape, permutation, indices = generated
    x = normal(seed, 2, *shape)
    moved = x.transpose(0, *(axis + 1 for axis in permutation))
    expected = moved[np.ix_(np.arange(2), *indices)]
    outside = np.zeros(expected.shape, bool)
    for axis, index in enumerate(indices, start=1):
        outside |= (index == -1).reshape(-1, *[1] * (len(indices) - axis))
    expected[outside] = 2.5
    actual = run(rearrange(Layout("planar", shape), indices, permutation, 2.5), x)
    assert_close(actual, expected, rtol=0, atol=0)


@pytest.mark.parametrize("width", [1, 15, 16, 33])
@pytest.mark.parametrize("pair", [[0, 1], [1, 0]])
def test_pixels_shuffled_in_steps_of_two(width: int, pair: list[int]) -> None:
    x = normal(width, 2, 3, 2, 2, 5, width)
    indices = [np.arange(3), np.arange(5), np.arange(2), np.arange(width), np.array(pair)]
    kernel = rearrange(Layout("planar", x.shape[1:]), indices, (0, 3, 1, 4, 2))
    expected = x.transpose(0, 1, 4, 2, 5, 3)[..., pair]
    assert_close(run(kernel, x), expected, rtol=0, atol=0)


@pytest.mark.parametrize("sizes", [(16, 16), (16, 37), (37, 16), (40, 33)])
@pytest.mark.parametrize("matrices", [1, 3])
def test_matrices_transposed(sizes: tuple[int, int], matrices: int) -> None:
    x = normal(1, 2, matrices, *sizes)
    kernel = rearrange(
        Layout("planar", x.shape[1:]), [*map(np.arange, (matrices, *sizes[::-1]))], (0, 2, 1)
    )
    assert_close(run(kernel, x), np.ascontiguousarray(x.swapaxes(2, 3)), rtol=0, atol=0)


def test_channels_moved_behind_pixels_and_back() -> None:
    x = normal(1, 2, 20, 3, 7)
    last = rearrange(Layout("planar", x.shape[1:]), [*map(np.arange, (3, 7, 20))], (1, 2, 0))
    first = rearrange(last.output_layout, [*map(np.arange, (20, 3, 7))], (2, 0, 1))
    moved = run(last, x)
    assert_close(moved, np.ascontiguousarray(x.transpose(0, 2, 3, 1)), rtol=0, atol=0)
    assert_close(run(first, moved), x, rtol=0, atol=0)


@pytest.mark.parametrize("size", [3, 4, 14, 16, 37])
def test_a_tile_of_runs(size: int) -> None:
    x = normal(size, 2, 3, 2, size)
    indices = [np.arange(3), np.array([0, 1, 0, -1]), np.tile(np.arange(size), 2)]
    expected = np.tile(x[:, :, [0, 1, 0, 1]], (1, 1, 1, 2))
    expected[:, :, 3] = 2.5
    assert_close(
        run(rearrange(Layout("planar", x.shape[1:]), indices, fill=2.5), x),
        expected,
        rtol=0,
        atol=0,
    )


@pytest.mark.parametrize("count", [1, 15, 16, 33])
def test_an_element_repeated(count: int) -> None:
    x = normal(count, 2, 3, 1)
    indices = [np.array([2, -1, 0]), np.zeros(count, np.int64)]
    expected = x[:, [2, 1, 0]].repeat(count, axis=2)
    expected[:, 1] = 2.5
    actual = run(rearrange(Layout("planar", (3, 1)), indices, fill=2.5), x)
    assert_close(actual, expected, rtol=0, atol=0)


def test_a_team_writes_every_element() -> None:
    x = normal(1, 1, 6, 5, 4)
    layout = Layout("planar", x.shape[1:])
    kernel = rearrange(layout, [np.arange(5), np.arange(6), np.arange(4)], (1, 0, 2))
    program = Program((Step(kernel, (0,), 1),), (0,), (1,))
    output = np.full((1, 5, 6, 4), np.nan, np.float32)
    team = TeamProgram(program, Team(3, Threads(2)), 3)
    team.run_at([address(x), address(output)], 1, "image")
    assert_close(output, np.ascontiguousarray(x.transpose(0, 2, 1, 3)), rtol=0, atol=0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_concat_of_planar_tensors_along_any_axis(axis: int) -> None:
    images = []
    for index, size in enumerate((3, 1, 5)):
        shape = [2, 3, 4]
        shape[axis] = size
        images.append(normal(index, 2, *shape))
    kernels = concat([Layout("planar", x.shape[1:]) for x in images], axis)
    steps = tuple(Step(kernel, (number,), 3) for number, kernel in enumerate(kernels))
    layout = kernels[0].output_layout
    rows = np.full((2, layout.num_items), np.nan, np.float32)
    arrays = [stored(x, k.input_layouts[0]) for x, k in zip(images, kernels, strict=True)]
    Program(steps, (0, 1, 2), (3,)).run(arrays, [rows])
    expected = np.concatenate(images, axis=axis + 1)
    assert_close(rows.reshape(expected.shape), expected, rtol=0, atol=0)


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(InvalidModelError, match="outside axis 0"):
        rearrange(Layout("planar", (4,)), [np.array([4])])
    with pytest.raises(InvalidModelError, match="rearrange"):
        rearrange(Layout("nchw16c", (4, 1, 1)), [np.arange(4), np.arange(1), np.arange(1)])
    with pytest.raises(InvalidModelError, match="concatenate"):
        concat([Layout("nchw16c", (4, 2, 2)), Layout("nchw16c", (4, 2, 2))], axis=1)

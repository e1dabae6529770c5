"""kernels/direct.py, winograd.py, textbook.py against the reference, in every vector width."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kernels.convolutions import CASES, RELU6, Case, check
from kernels.images import normal, run

from columnar_nn.errors import InvalidModelError, UsageError
from columnar_nn.kernels import NO_ACTIVATION, RELU, Layout, choose_algorithm, conv2d
from reference.conv import conv

ROOT = Path(__file__).parents[2]
ALGORITHMS = ("direct", "textbook", "winograd_f2", "winograd_f4", "winograd_f5", "winograd_f6")
generated = settings(derandomize=True, max_examples=60, deadline=None, database=None)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_algorithm_agrees_with_the_reference(case: Case) -> None:
    for algorithm in case.algorithms():
        check(case, algorithm)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    kernel = draw(st.sampled_from(((3, 3), (3, 3), (1, 1), (5, 5), (7, 7), (1, 3), (5, 2))))
    dilations = draw(st.sampled_from(((1, 1), (1, 1), (2, 1), (1, 3))))
    pads = draw(st.tuples(*[st.integers(0, kernel[i % 2] - 1) for i in range(4)]))
    extents = [(kernel[i] - 1) * dilations[i] + 1 for i in range(2)]
    least = [max(1, extents[i] - pads[i] - pads[i + 2]) for i in range(2)]
    planar = draw(st.booleans())
    channels = draw(st.sampled_from((1, 3) if planar else (1, 3, 10, 16, 17, 33)))
    filters = draw(st.sampled_from((1, 2, 10, 16, 17, 48)))
    groups = draw(
        st.sampled_from([g for g in range(1, 18) if channels % g == 0 and filters % g == 0])
    )
    return Case(
        channels=channels,
        filters=filters,
        size=(least[0] + draw(st.integers(0, 14)), least[1] + draw(st.integers(0, 14))),
        kernel=kernel,
        strides=draw(st.sampled_from(((1, 1), (1, 1), (2, 2), (1, 2), (3, 1)))),
        pads=pads,
        dilations=dilations,
        groups=groups,
        activation=draw(st.sampled_from((NO_ACTIVATION, RELU, RELU6))),
        residual=draw(st.booleans()),
        kind="planar" if planar else "nchw16c",
    )


@generated
@given(cases())
def test_generated_shapes_agree_with_the_reference(case: Case) -> None:
    for algorithm in case.algorithms():
        check(case, algorithm)


@pytest.mark.parametrize(
    "environment",
    [
        {"CNN_BENCH_VECTOR_WIDTH": "4"},
        {"CNN_BENCH_VECTOR_WIDTH": "8"},
        {"CNN_BENCH_VECTOR_WIDTH": "16"},
        {"CNN_BENCH_PROCESSOR": "x86-64"},
    ],
    ids=lambda environment: "-".join(environment.values()),
)
def test_every_vector_width_and_no_fused_multiply_add(environment: dict[str, str]) -> None:
    if "CNN_BENCH_PROCESSOR" in environment and not Path("/proc/cpuinfo").exists():
        pytest.skip("names an x86 processor")
    _run_program("convolutions.py", environment=environment)


@pytest.mark.skipif(sys.platform == "win32", reason="needs mmap and mprotect")
@pytest.mark.parametrize("edge", ["start", "end"])
def test_nothing_is_touched_outside_an_array(edge: str) -> None:
    _run_program("guarded.py", edge, environment={})


@pytest.mark.skipif(sys.platform == "win32", reason="needs mmap and mprotect")
@pytest.mark.parametrize("edge", ["start", "end"])
def test_the_guard_ends_a_process_that_reads_outside(edge: str) -> None:
    completed = _completed("guarded.py", edge, "trespass", environment={})
    assert completed.returncode in (-signal.SIGSEGV, -signal.SIGBUS)


def _run_program(name: str, *arguments: str, environment: dict[str, str]) -> None:
    completed = _completed(name, *arguments, environment=environment)
    lines = completed.stdout.splitlines()
    assert completed.returncode == 0, f"died at {lines[-1:]}: {completed.stderr}"
    assert len(lines) > len(CASES)


def _completed(
    name: str, *arguments: str, environment: dict[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(Path(__file__).with_name(name)), *arguments],
        env={**os.environ, "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_what_is_not_finite_is_never_hidden(algorithm: str, value: float) -> None:
    image = normal(1, 1, 17, 20, 19)
    image[0, 5, 9, 8] = value
    weight = normal(2, 18, 17, 3, 3)
    layout = Layout("planar" if algorithm == "textbook" else "nchw16c", (17, 20, 19))
    kernel = conv2d(layout, weight, algorithm=algorithm)
    with np.errstate(invalid="ignore"):
        expected = conv(image.astype(np.float64), weight.astype(np.float64), group=1)
    actual = run(kernel, image)
    spoiled = ~np.isfinite(actual)
    seen = ~np.isfinite(expected)
    assert spoiled[seen].all()
    if algorithm in ("direct", "textbook"):
        np.testing.assert_array_equal(spoiled, seen)
        np.testing.assert_array_equal(np.isnan(actual), np.isnan(expected))
    else:
        m = int(algorithm[-1])
        tiles = np.zeros_like(seen)
        for y, x in np.argwhere(seen.any(axis=(0, 1))):
            top, left = y // m * m, x // m * m
            tiles[:, :, top : top + m, left : left + m] = True
        assert not spoiled[~tiles].any()


@st.composite
def grouped_cases(draw: st.DrawFn) -> Case:
    """Groups of few channels, so that several share a block of 16, or straddle two."""
    groups = draw(st.integers(2, 17))
    channels = draw(st.integers(1, max(1, 40 // groups)))
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    return Case(
        channels=groups * channels,
        filters=groups * draw(st.integers(1, 3)),
        size=(draw(st.integers(5, 9)), draw(st.integers(5, 20))),
        kernel=kernel,
        strides=draw(st.sampled_from(((1, 1), (2, 1), (2, 2)))),
        pads=draw(st.sampled_from(((0, 0, 0, 0), (1, 1, 1, 1), (0, 2, 1, 0)))),
        dilations=draw(st.sampled_from(((1, 1), (2, 2), (1, 2)))),
        groups=groups,
        activation=draw(st.sampled_from((NO_ACTIVATION, RELU, RELU6))),
        residual=draw(st.booleans()),
        kind=draw(st.sampled_from(("nchw16c", "planar"))),
    )


@generated
@given(grouped_cases(), st.sampled_from((np.nan, np.inf, -np.inf)), st.integers(0, 2**16))
def test_a_group_keeps_what_is_not_finite_to_itself(case: Case, value: float, seed: int) -> None:
    random = np.random.default_rng(seed)
    images = normal(seed, 2, case.channels, *case.size)
    images[(1, *(random.integers(size) for size in images.shape[1:]))] = value
    check(case, "direct", images)
    check(case, "textbook", images)


def test_nan_passes_the_fused_activation() -> None:
    image = np.full((1, 3, 4, 4), np.nan, np.float32)
    for activation in (RELU, RELU6):
        kernel = conv2d(Layout("planar", (3, 4, 4)), normal(1, 16, 3, 3, 3), activation=activation)
        assert np.isnan(run(kernel, image)).all()


def test_the_rule_weighs_products_against_ragged_tiles() -> None:
    def chosen(channels: int, filters: int, size: int, algorithm: str = "auto") -> str:
        layout = Layout("nchw16c", (channels, size, size))
        weight = np.ones((filters, channels, 3, 3))
        return choose_algorithm(layout, weight, algorithm=algorithm).algorithm

    assert chosen(32, 32, 26, "winograd") == "winograd_f6"  # 24 x 24: 4 x 4 whole tiles of 6 x 6
    assert chosen(32, 32, 22, "winograd") == "winograd_f5"  # 20 x 20: 4 x 4 whole tiles of 5 x 5
    assert chosen(64, 1, 20) == "direct"  # one filter leaves nothing to share a transform among
    layout = Layout("nchw16c", (64, 20, 20))
    for strides, groups in (((2, 2), 1), ((1, 1), 4)):
        choice = choose_algorithm(layout, np.ones((64, 64 // groups, 3, 3)), strides, groups=groups)
        assert choice.algorithm == "direct"
        assert list(choice.costs) == ["direct"]
    assert (
        choose_algorithm(layout, np.ones((64, 64, 3, 3)), algorithm="direct").algorithm == "direct"
    )
    assert (
        choose_algorithm(layout, np.ones((1, 64, 3, 3)), algorithm="winograd").algorithm != "direct"
    )


def test_the_rule_takes_smaller_tiles_where_weights_are_read_from_beyond_the_cache() -> None:
    def weights(channels: int, size: int) -> int:
        layout = Layout("nchw16c", (channels, size, size))
        algorithm = choose_algorithm(
            layout, np.ones((channels, channels, 3, 3)), pads=(1, 1, 1, 1)
        ).algorithm
        tile = 3 if algorithm == "direct" else int(algorithm.removeprefix("winograd_f")) + 2
        return tile**2

    assert weights(512, 3) < weights(32, 3)


def test_auto_takes_no_tile_that_is_not_accurate_enough() -> None:
    def chosen(channels: int, algorithm: str) -> str:
        layout = Layout("nchw16c", (channels, 26, 26))
        return choose_algorithm(
            layout, np.ones((32, channels, 3, 3)), algorithm=algorithm
        ).algorithm

    assert (chosen(32, "winograd"), chosen(32, "auto")) == ("winograd_f6", "winograd_f4")
    assert (chosen(13, "winograd"), chosen(13, "auto")) == ("winograd_f6", "winograd_f2")


def test_wrong_arguments_are_named() -> None:
    layout = Layout("nchw16c", (16, 8, 8))
    with pytest.raises(UsageError, match="winograd_f9"):
        conv2d(layout, normal(1, 16, 16, 3, 3), algorithm="winograd_f9")
    with pytest.raises(InvalidModelError, match="planar"):
        conv2d(layout, normal(1, 16, 16, 3, 3), algorithm="textbook")
    with pytest.raises(InvalidModelError, match="do not fit"):
        conv2d(layout, normal(1, 16, 15, 3, 3))
    with pytest.raises(InvalidModelError, match="larger than"):
        conv2d(layout, normal(1, 16, 16, 9, 9))

"""kernels/placement.py: buffers that some step needs together lie apart, in little memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.explain.columnar import executable_for
from columnar_nn.kernels.placement import Buffer, place
from columnar_nn.model import zoo

STEPS = 12
LIFETIMES = st.tuples(st.integers(0, STEPS - 1), st.integers(0, STEPS - 1)).map(sorted)
BUFFERS = st.builds(
    lambda lines, lifetime: Buffer(64 * lines, *lifetime), st.integers(1, 20), LIFETIMES
)


@given(st.lists(BUFFERS, max_size=12))
def test_no_two_buffers_share_a_byte_while_both_are_needed(buffers: list[Buffer]) -> None:
    placement = place(dict(enumerate(buffers)))
    needed = [0]
    for step in range(STEPS):
        live = [i for i, buffer in enumerate(buffers) if buffer.first <= step <= buffer.last]
        held = [
            line
            for i in live
            for line in range(placement.offsets[i], placement.offsets[i] + buffers[i].num_bytes, 64)
        ]
        assert len(set(held)) == len(held)
        assert all(0 <= line < placement.num_bytes for line in held)
        needed.append(sum(buffers[i].num_bytes for i in live))
    assert placement.least_bytes == max(needed)
    assert max(needed) <= placement.num_bytes <= placement.unshared_bytes
    assert placement.unshared_bytes == sum(buffer.num_bytes for buffer in buffers)


def test_a_gap_is_filled_before_memory_grows() -> None:
    buffers = {
        0: Buffer(640, 0, 9),
        1: Buffer(128, 0, 3),
        2: Buffer(64, 0, 9),
        3: Buffer(128, 4, 9),
    }
    placement = place(buffers)
    assert placement.offsets[1] == placement.offsets[3]
    assert placement.num_bytes == placement.least_bytes == 832
    assert placement.unshared_bytes == 960


def _floats(*channels_and_side: tuple[int, int]) -> int:
    return sum(4 * channels * side * side for channels, side in channels_and_side)


LEAST_BYTES = {
    "plain9": _floats((64, 22), (64, 20)),  # into and out of conv6
    "resnet20": _floats((16, 32), (16, 32), (16, 32)),  # a convolution and its shortcut
    "resnet18": _floats((64, 112), (64, 56)),  # into and out of the pooling
    "resnet50": _floats((64, 56), (256, 56), (256, 56)),  # the last of a block and its shortcut
    "mobilenet_v2": _floats((32, 112), (16, 112)),  # into and out of 1: of 2 only strips are kept
    "mobilenet_v3": _floats((16, 112), (16, 112), (16, 112)),  # a depthwise layer and its shortcut
    "squeezenet": _floats((64, 111), (64, 55)),  # into and out of the pooling
    "vgg16@resolution=64": _floats((64, 64), (64, 64)),  # into and out of conv1_2
}


@pytest.mark.parametrize("model", LEAST_BYTES)
def test_networks_take_no_more_than_the_layer_that_needs_most(model: str) -> None:
    (placement,) = executable_for(zoo.build(model), "pipeline", "auto", 1, 1).placements
    assert placement.num_bytes == placement.least_bytes == LEAST_BYTES[model]
    assert placement.unshared_bytes > 2 * placement.num_bytes

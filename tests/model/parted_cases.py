"""Networks in which an image has several rows, as Swin's windows are: see model/parted_rows.py."""

from __future__ import annotations

import numpy as np
from model.batch_cases import Case, sized
from model.batched_networks import Step, ints, noise, step


def windows(*steps: Step) -> Case:
    """Images [6, 4] as windows [batch * 3, 2, 4], the steps on "0", and images [-1] of the last."""
    return (6, 4), [
        step("Reshape", "x", lambda batch: ints(3 * batch, 2, 4)),
        *steps,
        step("Reshape", str(len(steps)), sized(99, -1)),
    ]


PARTED: dict[str, Case] = {
    "elementwise": windows(step("Relu", "0"), step("Clip", "1", np.array(-1, np.float32))),
    "sums": windows(
        step("Add", "0", noise(2, 4)),
        step("Mul", noise(1, 1, 4), "1"),
        step("Sub", "2", "0"),
        step("Div", "3", np.float32([2])),
    ),
    "choices": windows(step("Greater", "0", noise(1, 2, 1)), step("Where", "1", "0", noise(1))),
    "attention": windows(
        step("MatMul", "0", noise(4, 4)),
        step("Transpose", "1", perm=[0, 2, 1]),
        step("MatMul", "0", "2"),
        step("Softmax", "3", axis=-1),
        step("MatMul", "4", "1"),
        step("LayerNormalization", "5", noise(4), noise(4), axis=2),
    ),
    "a matrix for every window": windows(step("MatMul", "0", noise(1, 4, 3))),
    "a matrix on the left": windows(step("MatMul", noise(5, 2), "0")),
    "rolled": windows(
        step("Slice", "0", ints(1), ints(2), ints(1)),
        step("Slice", "0", ints(0, 0), ints(2**63 - 1, 1)),
        step("Concat", "1", "2", axis=1),
    ),
    "moved": windows(
        step("Pad", "0", ints(0, 1, 0, 0, 0, 2)),
        step("Tile", "1", ints(1, 2, 1)),
        step("Gather", "2", ints(3, 0, -1), axis=2),
        step("Unsqueeze", "3", ints(2)),
        step("Expand", "4", ints(1, 1, 5, 1)),
    ),
    "reduced": windows(
        step("ReduceMean", "0", ints(1), keepdims=1),
        step("ReduceMax", "0", ints(-1), keepdims=0),
        step("Unsqueeze", "2", ints(-1)),
        step("Sub", "1", "3"),
        step("Squeeze", "1"),
    ),
    "flattened": windows(
        step("Flatten", "0", axis=2),
        step("BatchNormalization", "1", *[np.abs(noise(4)) for _ in range(4)]),
        step("Gemm", "2", noise(4, 3), noise(1, 3), alpha=0.5, beta=2.0),
        step("Gemm", "3", noise(2, 3), transB=1),
    ),
    "channels by themselves": windows(
        step("Conv", "0", noise(4, 1, 3), noise(4), group=2, pads=[1, 1], strides=[2]),
        step("Conv", "1", noise(4, 1, 2), group=4, pads=[1, 1]),
        step("MaxPool", "2", kernel_shape=[2], strides=[1]),
        step("AveragePool", "3", kernel_shape=[2], pads=[1, 0], count_include_pad=1),
        step("GlobalAveragePool", "4"),
    ),
    "parted once more": windows(
        step("Reshape", "0", lambda batch: ints(6 * batch, 4)),
        step("Softmax", "1", axis=1),
        step("Reshape", "2", lambda batch: ints(batch, 3, 8)),
        step("Reshape", "3", lambda batch: ints(2 * batch, 12)),
    ),
}
"""Rows of which each image has several: apart if the file has a batch size."""

PARTED_ELSEWHERE: dict[str, Case] = {
    "behind another axis": windows(
        step("Transpose", "0", perm=[1, 0, 2]),
        step("Softmax", "1", axis=0),
        step("Mul", "2", noise(2, 1, 4)),
        step("Transpose", "3", perm=[1, 0, 2]),
    ),
    "behind a 1": windows(
        step("Unsqueeze", "0", ints(0, 3)),
        step("Expand", "1", ints(1, 1, 1, 5, 1)),
        step("Squeeze", "2", ints(0)),
    ),
}
"""Likewise, but the rows are not always the first axis."""

"""Networks that keep the images of a batch apart, and networks that mix them."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from model.batched_networks import Operand, Step, ints, noise, step

Case = tuple[tuple[int, ...], list[Step]]


def sized(*target: int) -> Callable[[int], np.ndarray]:
    """A constant of integers in which 99 is the batch size."""
    return lambda batch: ints(*(batch if entry == 99 else entry for entry in target))


def rows(*shape: int) -> Callable[[int], np.ndarray]:
    """Weights of a row for each image."""
    return lambda batch: noise(batch, *shape)


SCALES: list[Operand] = [noise(3), noise(3), noise(3), np.abs(noise(3))]
BATCH_SCALES: list[Operand] = [rows(), rows(), rows(), lambda batch: np.abs(noise(batch))]

APART: dict[str, Case] = {
    "relu": ((4,), [step("Relu", "x")]),
    "clip": ((4,), [step("Clip", "x", np.array(-1, np.float32), np.array(1, np.float32))]),
    "softmax": ((4,), [step("Softmax", "x", axis=1)]),
    "softmax of a transposed tensor": (
        (4,),
        [
            step("Transpose", "x", perm=[1, 0]),
            step("Softmax", "0", axis=0),
            step("Transpose", "1", perm=[1, 0]),
        ],
    ),
    "mean": ((5, 4), [step("ReduceMean", "x", ints(1), keepdims=0)]),
    "mean that brings the batch to the front": (
        (5, 4),
        [
            step("Transpose", "x", perm=[1, 0, 2]),
            step("ReduceMean", "0", ints(0), keepdims=0),
        ],
    ),
    "sum and place": (
        (5, 4),
        [step("ReduceSum", "x", ints(1)), step("LpNormalization", "0", axis=2)],
    ),
    "places in a transposed tensor": (
        (5, 4),
        [
            step("Transpose", "x", perm=[1, 0, 2]),
            step("Hardmax", "0", axis=0),
            step("ReduceMax", "1", ints(0), keepdims=0),
        ],
    ),
    "view": ((3, 2, 2), [step("Reshape", "x", sized(99, 12))]),
    "view, the rest left": (
        (3, 2, 2),
        [step("Reshape", "x", lambda batch: ints(batch if batch > 0 else 0, -1))],
    ),
    "view of a batch behind as many channels": (
        (4, 6),
        [
            step("Transpose", "x", perm=[1, 0, 2]),
            step("Reshape", "0", sized(4, 99, 2, 3)),
            step("Softmax", "1", axis=0),
            step("Transpose", "2", perm=[1, 0, 2, 3]),
        ],
    ),
    "view with a 1 in front": (
        (6,),
        [
            step("Reshape", "x", sized(99, 1, 6)),
            step("Softmax", "0", axis=2),
            step("Reshape", "1", sized(99, 6)),
        ],
    ),
    "channel shuffle": (
        (4, 2, 2),
        [
            step("Reshape", "x", sized(99, 2, 2, 2, 2)),
            step("Transpose", "0", perm=[0, 2, 1, 3, 4]),
            step("Reshape", "1", sized(99, 4, 2, 2)),
        ],
    ),
    "attention of two heads": (
        (4, 6),
        [
            step("Reshape", "x", sized(99, 4, 2, 3)),
            step("Transpose", "0", perm=[0, 2, 1, 3]),
            step("Transpose", "0", perm=[0, 2, 3, 1]),
            step("MatMul", "1", "2"),
            step("Softmax", "3", axis=-1),
            step("MatMul", "4", "1"),
            step("Transpose", "5", perm=[0, 2, 1, 3]),
            step("Reshape", "6", sized(99, 4, 6)),
        ],
    ),
    "squeeze and excitation": (
        (3, 4, 4),
        [
            step("GlobalAveragePool", "x"),
            step("Conv", "0", noise(3, 3, 1, 1)),
            step("Sigmoid", "1"),
            step("Mul", "x", "2"),
        ],
    ),
    "flatten": ((3, 2, 2), [step("Flatten", "x", axis=1)]),
    "flatten behind a 1": (
        (3, 2),
        [step("Unsqueeze", "x", ints(0)), step("Flatten", "0", axis=-2)],
    ),
    "unsqueeze and squeeze in front": (
        (4,),
        [
            step("Unsqueeze", "x", ints(0, 3)),
            step("Softmax", "0", axis=2),
            step("Squeeze", "1", ints(0, -1)),
        ],
    ),
    "concat": ((4,), [step("Concat", "x", "x", axis=1)]),
    "slice": ((4,), [step("Slice", "x", ints(1), ints(3), ints(1))]),
    "slice of all rows": (
        (4,),
        [step("Slice", "x", ints(0, 3), ints(2**63 - 1, -5), ints(0, 1), ints(1, -1))],
    ),
    "pad": ((4,), [step("Pad", "x", ints(0, 1, 0, -2))]),
    "batch normalization": ((3, 2, 2), [step("BatchNormalization", "x", *SCALES)]),
    "lrn": ((3, 2, 2), [step("LRN", "x", size=3)]),
    "convolution": ((3, 4, 4), [step("Conv", "x", noise(2, 3, 3, 3), noise(2), pads=[1] * 4)]),
    "pooling": ((3, 4, 4), [step("MaxPool", "x", kernel_shape=[2, 2], strides=[2, 2])]),
    "pooling with the batch as channels": (
        (3, 4, 4),
        [
            step("Transpose", "x", perm=[1, 0, 2, 3]),
            step("AveragePool", "0", kernel_shape=[2, 2]),
            step("Transpose", "1", perm=[1, 0, 2, 3]),
        ],
    ),
    "gemm": ((4,), [step("Gemm", "x", noise(4, 5), noise(1, 5), alpha=0.5)]),
    "gemm of a transposed tensor": (
        (4,),
        [step("Transpose", "x", perm=[1, 0]), step("Gemm", "0", noise(5, 4), transA=1, transB=1)],
    ),
    "gemm with the batch on the right": (
        (4,),
        [
            step("Gemm", noise(5, 4), "x", noise(5, 1), transB=1),
            step("Transpose", "0", perm=[1, 0]),
        ],
    ),
    "gemm of places before the batch": (
        (4, 6),
        [
            step("Transpose", "x", perm=[1, 0, 2]),
            step("Reshape", "0", lambda batch: ints(max(4 * batch, -1), 6)),
            step("Gemm", "1", noise(6, 5), noise(1, 5), alpha=0.5, beta=2.0),
            step("Reshape", "2", sized(4, 99, 5)),
            step("Reshape", "3", lambda batch: ints(max(4 * batch, -1), 5)),
            step("Gemm", "4", noise(3, 5), transB=1),
            step("Reshape", "5", sized(4, 99, 3)),
            step("Transpose", "6", perm=[1, 0, 2]),
        ],
    ),
    "product with a matrix": ((4, 5), [step("MatMul", "x", noise(5, 3))]),
    "product with a matrix on the left": ((4, 5), [step("MatMul", noise(3, 4), "x")]),
    "product with vectors": (
        (4, 5),
        [
            step("MatMul", "x", noise(5)),
            step("MatMul", noise(4), "x"),
            step("Concat", "0", "1", axis=1),
        ],
    ),
    "product with several matrices": ((1, 4, 5), [step("MatMul", "x", noise(2, 5, 3))]),
    "product of two dimensions": (
        (4,),
        [
            step("Transpose", "x", perm=[1, 0]),
            step("MatMul", noise(3, 4), "0"),
            step("Transpose", "1", perm=[1, 0]),
        ],
    ),
    "vector times the batch behind": (
        (4,),
        [
            step("Transpose", "x", perm=[1, 0]),
            step("MatMul", noise(4), "0"),
            step("Unsqueeze", "1", ints(1)),
        ],
    ),
    "product of an image with itself": (
        (4, 5),
        [step("Transpose", "x", perm=[0, 2, 1]), step("MatMul", "x", "0")],
    ),
    "sums": (
        (4,),
        [
            step("Add", "x", noise(4)),
            step("Mul", noise(1, 4), "0"),
            step("Sub", "1", np.float32([2])),
        ],
    ),
    "sum with the image's mean": (
        (4,),
        [step("ReduceMean", "x", ints(1), keepdims=1), step("Div", "x", "0")],
    ),
    "sum over a batch behind": (
        (4,),
        [
            step("Transpose", "x", perm=[1, 0]),
            step("Add", "0", noise(4, 1)),
            step("Transpose", "1", perm=[1, 0]),
        ],
    ),
    "prelu": ((3, 2), [step("PRelu", "x", noise(3, 1))]),
    "normalised layer": ((3, 4), [step("LayerNormalization", "x", noise(4), noise(4))]),
    "normalised channels": (
        (4, 3, 2),
        [
            step("InstanceNormalization", "x", noise(4), noise(4)),
            step("GroupNormalization", "0", noise(4), noise(4), num_groups=2),
            step("MeanVarianceNormalization", "1", axes=[1, 2]),
        ],
    ),
    "repeated and picked": (
        (3, 1, 4),
        [
            step("Expand", "x", ints(1, 1, 5, 1)),
            step("Tile", "0", ints(1, 2, 1, 1)),
            step("Gather", "1", ints(1, -1), axis=2),
            step("Gather", "2", np.array(1), axis=1),
        ],
    ),
    "picked one by one": (
        (2, 4),
        [
            step(
                "GatherElements",
                "x",
                lambda batch: np.array([[[3, 0], [-1, 2]]] * abs(batch)),
                axis=2,
            )
        ],
    ),
    "class token": (
        (3, 4),
        [
            step("Shape", "x"),
            step("Gather", "0", ints(0)),
            step("Concat", "1", ints(1, 4), axis=0),
            step("Expand", noise(1, 1, 4), "2"),
            step("Concat", "3", "x", axis=1),
            step("Concat", "4", "x", "3", axis=1),
        ],
    ),
    "resized": (
        (2, 3, 4),
        [
            step("Resize", "x", "", np.float32([1, 1, 2, 1.5]), mode="linear"),
            step("Shape", "0"),
            step("Gather", "1", ints(0, 1)),
            step("Concat", "2", ints(3, 3), axis=0),
            step("Resize", "0", "", "", "3", mode="linear"),
        ],
    ),
    "transposed convolution": (
        (2, 3, 4),
        [step("ConvTranspose", "x", noise(2, 3, 2, 3), noise(3), strides=[2, 1])],
    ),
    "pixel shuffle": (
        (8, 2, 3),
        [
            step("DepthToSpace", "x", blocksize=2, mode="CRD"),
            step("SpaceToDepth", "0", blocksize=2),
        ],
    ),
    "attention by one product": (
        (4, 6),
        [
            step("MatMul", "x", noise(6, 18)),
            step("Reshape", "0", sized(99, 4, 3, 2, 3)),
            step("Transpose", "1", perm=[2, 0, 3, 1, 4]),
            step("Gather", "2", np.array(0), axis=0),
            step("Slice", "2", ints(1), ints(2), ints(0)),
            step("Squeeze", "4", ints(0)),
            step("Transpose", "5", perm=[0, 1, 3, 2]),
            step("MatMul", "3", "6"),
            step("Softmax", "7", axis=-1),
            step("Gather", "2", ints(-1), axis=0),
            step("Squeeze", "9", ints(0)),
            step("MatMul", "8", "10"),
        ],
    ),
    "picked before the batch": (
        (3, 4),
        [
            step("Transpose", "x", perm=[1, 0, 2]),
            step("Gather", "0", np.array(1), axis=0),
        ],
    ),
}


MIXED: dict[str, Case] = {
    "softmax": ((4,), [step("Softmax", "x", axis=0)]),
    "log softmax": ((4,), [step("LogSoftmax", "x", axis=-2)]),
    "softmax of a transposed tensor": (
        (4,),
        [
            step("Transpose", "x", perm=[1, 0]),
            step("Softmax", "0", axis=-1),
            step("Transpose", "1", perm=[1, 0]),
        ],
    ),
    "softmax behind a 1": (
        (4,),
        [
            step("Unsqueeze", "x", ints(0)),
            step("Softmax", "0", axis=1),
            step("Squeeze", "1", ints(0)),
        ],
    ),
    "mean": ((4,), [step("ReduceMean", "x", ints(0), keepdims=1), step("Sub", "x", "0")]),
    "mean of all": ((4,), [step("ReduceMean", "x", keepdims=1), step("Sub", "x", "0")]),
    "mean over two axes": (
        (4,),
        [step("ReduceMean", "x", ints(1, 0), keepdims=0), step("Sub", "x", "0")],
    ),
    "lrn": (
        (3, 2, 2),
        [
            step("Transpose", "x", perm=[1, 0, 2, 3]),
            step("LRN", "0", size=3),
            step("Transpose", "1", perm=[1, 0, 2, 3]),
        ],
    ),
    "rows rolled": (
        (4,),
        [
            step("Slice", "x", ints(1), ints(99), ints(0)),
            step("Slice", "x", ints(0), ints(1), ints(0)),
            step("Concat", "0", "1", axis=0),
        ],
    ),
    "rows reversed": ((4,), [step("Slice", "x", ints(-1), ints(-99), ints(0), ints(-1))]),
    "rows shifted": ((4,), [step("Pad", "x", ints(1, 0, -1, 0))]),
    "each image times each other": (
        (4,),
        [step("Transpose", "x", perm=[1, 0]), step("MatMul", "x", "0"), step("MatMul", "1", "x")],
    ),
    "each image times each other by gemm": (
        (4,),
        [step("Gemm", "x", "x", transB=1), step("Gemm", "0", "x")],
    ),
    "each image plus each other": (
        (1,),
        [step("Transpose", "x", perm=[1, 0]), step("Add", "x", "0"), step("MatMul", "1", "x")],
    ),
    "pooling": (
        (3, 4),
        [
            step("Unsqueeze", "x", ints(0)),
            step("Transpose", "0", perm=[0, 2, 1, 3]),
            step("MaxPool", "1", kernel_shape=[3, 1], pads=[1, 0, 1, 0]),
            step("Transpose", "2", perm=[0, 2, 1, 3]),
            step("Squeeze", "3", ints(0)),
        ],
    ),
    "global pooling": (
        (3, 4),
        [
            step("Unsqueeze", "x", ints(0)),
            step("Transpose", "0", perm=[0, 2, 1, 3]),
            step("GlobalAveragePool", "1"),
            step("Transpose", "2", perm=[0, 2, 1, 3]),
            step("Squeeze", "3", ints(0)),
            step("Sub", "x", "4"),
        ],
    ),
    "statistics of all images": ((2, 3, 3), [step("MeanVarianceNormalization", "x")]),
    "a layer with the batch": (
        (4,),
        [
            step("Transpose", "x", perm=[1, 0]),
            step("MeanVarianceNormalization", "0", axes=[1]),
            step("Transpose", "1", perm=[1, 0]),
        ],
    ),
    "rows picked": ((4,), [step("Gather", "x", ints(0), axis=0), step("Add", "x", "0")]),
    "an image's parameters": (
        (1, 1, 1),
        [
            step("ReduceMean", "x", ints(0), keepdims=1),
            step("Conv", "x", "0"),
        ],
    ),
}
"""Of any batch size, and of a fixed one."""

MIXED_WHEN_FIXED: dict[str, Case] = {
    "elements moved from image to image": (
        (6,),
        [step("Reshape", "x", sized(6, 99)), step("Transpose", "0", perm=[1, 0])],
    ),
    "transposed by a reshape": (
        (3, 2),
        [step("Reshape", "x", sized(3, 99, 2)), step("Transpose", "0", perm=[1, 0, 2])],
    ),
    "batch normalization": (
        (3, 2, 2),
        [
            step("Transpose", "x", perm=[1, 0, 2, 3]),
            step("BatchNormalization", "0", *BATCH_SCALES),
            step("Transpose", "1", perm=[1, 0, 2, 3]),
        ],
    ),
    "convolution": (
        (3, 4, 4),
        [
            step("Transpose", "x", perm=[1, 0, 2, 3]),
            step("Conv", "0", lambda batch: noise(batch, batch, 1, 1)),
            step("Transpose", "1", perm=[1, 0, 2, 3]),
        ],
    ),
    "convolution over merged channels": (
        (3, 4, 4),
        [
            step("Reshape", "x", lambda batch: ints(1, 3 * batch, 4, 4)),
            step("Conv", "0", lambda batch: noise(3 * batch, 3 * batch, 1, 1)),
            step("Reshape", "1", sized(99, 3, 4, 4)),
        ],
    ),
    "product with a matrix of rows": (
        (4,),
        [step("MatMul", lambda batch: noise(batch, batch), "x")],
    ),
    "gemm with a matrix of rows": (
        (4,),
        [step("Gemm", lambda batch: noise(batch, batch), "x", transA=1)],
    ),
}

BY_PLACE: dict[str, Case] = {
    "sum": ((4,), [step("Add", "x", rows(4))]),
    "sum with one value a row": ((4,), [step("Mul", rows(1), "x")]),
    "slope": ((4,), [step("PRelu", "x", rows(1))]),
    "gemm": ((4,), [step("Gemm", "x", noise(4, 5), rows(5))]),
    "product": ((4, 5), [step("MatMul", "x", rows(5, 3))]),
    "concat with weights": ((4,), [step("Concat", "x", rows(2), axis=1)]),
}
"""What an image gets depends on its place among the others: apart only if there is one."""

TIED: dict[str, Case] = {
    "windows that slide over windows": (
        (4, 3, 4),
        [
            step("Reshape", "x", lambda batch: ints(2 * batch, 2, 3, 4)),
            step("Conv", "0", noise(1, 2, 2, 2)),
            step("Reshape", "1", sized(99, 12)),
        ],
    ),
    "slice as long as the batch": ((4,), [step("Slice", "x", ints(0), sized(99), ints(0))]),
}
"""Not freed, though some of them keep the images apart: an image has several rows where an operator
takes one, or there are as many rows as the file's batch has."""

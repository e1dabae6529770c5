"""Operators that only move, join or rename elements; values and dtypes stay as they are."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from reference.registry import implements


@implements("Identity")
def identity(x: np.ndarray) -> np.ndarray:
    """ONNX Identity."""
    return x


@implements("Dropout")
def dropout(x: np.ndarray) -> np.ndarray:
    """ONNX Dropout in inference: nothing is dropped."""
    return x


@implements("Flatten")
def flatten(x: np.ndarray, *, axis: int) -> np.ndarray:
    """ONNX Flatten: a matrix, split before `axis`."""
    axis = axis + x.ndim if axis < 0 else axis
    rows = int(np.prod(x.shape[:axis]))
    return x.reshape(rows, int(np.prod(x.shape[axis:])))


@implements("Reshape")
def reshape(x: np.ndarray, shape: np.ndarray, *, allowzero: int) -> np.ndarray:
    """ONNX Reshape: 0 copies a dimension unless allowzero, -1 takes what is left."""
    target = [int(d) for d in shape]
    if not allowzero:
        target = [x.shape[i] if d == 0 else d for i, d in enumerate(target)]
    return x.reshape(target)


@implements("Transpose")
def transpose(x: np.ndarray, *, perm: Sequence[int] | None = None) -> np.ndarray:
    """ONNX Transpose: dimension i of the result is dimension perm[i] of x; reversed if None."""
    return np.ascontiguousarray(x.transpose(perm))


@implements("Squeeze")
def squeeze(x: np.ndarray, axes: np.ndarray | None = None) -> np.ndarray:
    """ONNX Squeeze (opset 13): drops `axes`, or every dimension of size 1."""
    return np.squeeze(x, None if axes is None else tuple(int(a) for a in axes.reshape(-1)))


@implements("Unsqueeze")
def unsqueeze(x: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """ONNX Unsqueeze (opset 13): a dimension of size 1 at each of `axes` of the result."""
    return np.expand_dims(x, tuple(int(a) for a in axes.reshape(-1)))


@implements("Concat")
def concat(*arrays: np.ndarray, axis: int) -> np.ndarray:
    """ONNX Concat."""
    return np.concatenate(arrays, axis=axis)


@implements("Slice")
def slice_(
    x: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    axes: np.ndarray | None = None,
    steps: np.ndarray | None = None,
) -> np.ndarray:
    """ONNX Slice (opset 13): Python slices along `axes`.

    An end before the first element (for steps < 0) is what Python writes as None.
    """
    index = [slice(None)] * x.ndim
    for i in range(len(starts)):
        axis = int(axes[i]) if axes is not None else i
        step = int(steps[i]) if steps is not None else 1
        start, end, size = int(starts[i]), int(ends[i]), x.shape[axis]
        index[axis] = slice(start, None if step < 0 and end < -size else end, step)
    return x[tuple(index)]


@implements("Expand")
def expand(x: np.ndarray, shape: np.ndarray) -> np.ndarray:
    """ONNX Expand: broadcast with `shape`, in which a 1 leaves a dimension as it is."""
    target = np.broadcast_shapes(x.shape, tuple(int(size) for size in shape))
    return np.ascontiguousarray(np.broadcast_to(x, target))


@implements("Tile")
def tile(x: np.ndarray, repeats: np.ndarray) -> np.ndarray:
    """ONNX Tile: each dimension so many times."""
    return np.tile(x, [int(count) for count in repeats])


@implements("Gather")
def gather(x: np.ndarray, indices: np.ndarray, *, axis: int) -> np.ndarray:
    """ONNX Gather: elements of `axis` at the indices, negative ones from its end."""
    return np.take(x, indices, axis=axis)

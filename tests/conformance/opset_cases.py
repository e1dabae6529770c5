"""One operator each, as the versions of ONNX since 7 write it: attributes then inputs, or both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from columnar_nn.model.operators import REDUCTIONS, UNARY

IMAGE = (6, 7, 8)


@dataclass(frozen=True)
class Case:
    """An operator of an opset over rows of `shape`; its other inputs are constants, or "x"."""

    op_type: str
    opset: int
    shape: tuple[int, ...]
    inputs: tuple[Any, ...]
    num_outputs: int
    attributes: dict[str, Any]

    def __str__(self) -> str:
        shapes = [i if isinstance(i, str | None) else np.shape(i) for i in self.inputs]
        return f"{self.op_type}-{self.opset} {self.shape} {shapes} {self.attributes}"


def _normal(*shape: int) -> np.ndarray:
    return np.random.default_rng(list(shape)).standard_normal(shape, dtype=np.float32)


def _ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def _float(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def _cases(
    op_type: str,
    opsets: Sequence[int],
    *inputs: Any,
    shape: tuple[int, ...] = IMAGE,
    num_outputs: int = 1,
    **attributes: Any,
) -> Iterator[Case]:
    for opset in opsets:
        yield Case(op_type, opset, shape, inputs, num_outputs, attributes)


def _windows() -> Iterator[Case]:
    window = {"kernel_shape": [3, 2], "strides": [2, 1], "pads": [1, 0, 1, 1]}
    square = {"kernel_shape": [3, 3], "strides": [2, 2]}
    volume = {"kernel_shape": [2, 2, 3], "strides": [2, 2, 2], "ceil_mode": 1}
    average, largest = "AveragePool", "MaxPool"
    yield from _cases(average, (7, 10, 11, 19), **window)
    yield from _cases(average, (7, 11, 19), count_include_pad=1, **window)
    yield from _cases(average, (10, 11, 19), ceil_mode=1, **window)
    yield from _cases(average, (19,), dilations=[2, 2], ceil_mode=1, **window)
    yield from _cases(average, (19,), dilations=[2, 1], count_include_pad=1, **window)
    yield from _cases(average, (7, 11), auto_pad="SAME_UPPER", **square)
    yield from _cases(average, (11,), auto_pad="SAME_LOWER", count_include_pad=1, **square)
    yield from _cases(largest, (8, 10, 11, 12), **window)
    yield from _cases(largest, (10, 12), dilations=[2, 3], ceil_mode=1, **window)
    yield from _cases(largest, (8, 12), auto_pad="SAME_LOWER", **square)
    yield from _cases(largest, (12,), auto_pad="VALID", **square)
    yield from _cases(
        largest, (10, 12), auto_pad="VALID", kernel_shape=[2, 1], strides=[2, 3], ceil_mode=1
    )
    yield from _cases(
        average, (11, 19), auto_pad="VALID", kernel_shape=[2, 1], strides=[2, 3], ceil_mode=1
    )
    yield from _cases(largest, (12,), auto_pad="SAME_UPPER", ceil_mode=1, **square)
    yield from _cases(largest, (12,), shape=(3, 5, 6, 7), **volume)
    yield from _cases(largest, (12,), shape=(3, 9), kernel_shape=[2], strides=[2], ceil_mode=1)
    for shape in ((3, 9), IMAGE, (3, 5, 6, 7)):
        yield from _cases("GlobalAveragePool", (7,), shape=shape)
        yield from _cases("GlobalMaxPool", (7,), shape=shape)
        yield from _cases("GlobalLpPool", (7,), shape=shape)
    for order in (1, 2, 3):
        yield from _cases("LpPool", (7, 11, 18), p=order, **window)
        yield from _cases("GlobalLpPool", (7,), p=order)
    yield from _cases("LpPool", (18,), dilations=[2, 2], ceil_mode=1, **window)
    yield from _cases("LpPool", (7, 11), auto_pad="SAME_UPPER", **square)
    yield from _cases("LpPool", (11, 18), auto_pad="SAME_LOWER", **square)
    yield from _cases("LpPool", (18,), shape=(3, 5, 6, 7), **volume)
    yield from _cases("LpPool", (18,), shape=(3, 9), kernel_shape=[2], strides=[2], ceil_mode=1)
    filters, depthwise = _normal(4, 3, 3, 3), _normal(12, 1, 3, 2)
    upper = {"auto_pad": "SAME_UPPER", "strides": [2, 2]}
    yield from _cases("Conv", (7, 11, 21), filters, _normal(4), group=2, **upper)
    yield from _cases("Conv", (11,), depthwise, group=6, dilations=[2, 1], pads=[0, 1, 2, 0])
    yield from _cases("Conv", (11,), depthwise, group=6, auto_pad="SAME_LOWER")
    yield from _cases("Conv", (11,), _normal(4, 6, 7, 8), _normal(4))
    signal = {"pads": [1, 2], "strides": [2], "group": 2}
    yield from _cases("Conv", (11,), _normal(6, 2, 3), _normal(6), shape=(4, 9), **signal)
    volume = {"pads": [1, 0, 1, 1, 1, 0], "strides": [2, 1, 1], "dilations": [1, 2, 1], "group": 2}
    filters = _normal(6, 2, 3, 2, 2)
    yield from _cases("Conv", (11,), filters, _normal(6), shape=(4, 5, 6, 7), **volume)


def _elementwise() -> Iterator[Case]:
    yield from _cases("Clip", (7,), min=-0.5, max=0.5)
    yield from _cases("Clip", (7,), max=0.5)
    yield from _cases("Clip", (11, 12, 13), _float(-0.3))
    yield from _cases("Clip", (11, 13), None, _float(0.3))
    yield from _cases("Dropout", (7, 10), ratio=0.3)
    yield from _cases("Dropout", (12, 13), _float(0.3), np.array(False))
    for shape in ((6,), (6, 5), IMAGE, (6, 3, 4, 2)):
        statistics = (_normal(6), _normal(6), _normal(6), np.abs(_normal(6)) + 1)
        yield from _cases("BatchNormalization", (7, 9, 14, 15), *statistics, shape=shape)
    for op_type in (*sorted(UNARY), "Identity"):
        yield from _cases(op_type, [o for o in (7, 13, 14) if onnx.defs.has(op_type, o)])
    for slope in (_normal(6, 1, 1), _normal(1), _normal(7, 8)):
        yield from _cases("PRelu", (7, 9, 16), slope)
    for op_type in ("Add", "Sub", "Mul", "Div"):
        for shape in ((6, 1, 1), (1, 1, 7, 8), (8,), ()):
            yield from _cases(op_type, (7, 13, 14), np.asarray(_normal(*shape) + np.float32(3)))
    for op_type in ("Sum", "Max", "Min", "Mean"):
        yield from _cases(op_type, (8, 13), "x", "x")
    yield from _cases("Mean", (13,), _normal(8), "x")
    yield from _cases("Pow", (7, 12, 15), _float(2.0))
    yield from _cases("Pow", (12, 15), _ints(3))
    yield from _cases("LRN", (7, 13), size=3, alpha=0.2, beta=0.6, bias=1.5)
    for op_type in ("Softmax", "LogSoftmax"):
        yield from _cases(op_type, (7, 11, 13))
        for axis in (1, 2, 3, -1, -2):
            yield from _cases(op_type, (11, 13), axis=axis)


def _layouts() -> Iterator[Case]:
    pads = [0, 0, 1, 2, 0, 0, 2, 1]
    for mode in ("constant", "reflect", "edge"):
        yield from _cases("Pad", (7,), pads=pads, mode=mode, value=0.7)
        yield from _cases("Pad", (11, 13), _ints(*pads), _float(0.7), mode=mode)
    yield from _cases("Pad", (18, 21), _ints(1, 2, 2, 1), None, _ints(2, 3), mode="reflect")
    yield from _cases("Pad", (19, 21), _ints(1, 2, 2, 1), None, _ints(-2, -1), mode="wrap")
    yield from _cases("Pad", (13,), _ints(0, -1, -2, 0, 0, 0, 0, 1))
    yield from _cases("Slice", (7, 9), starts=[1, -3], ends=[4, 100], axes=[1, 3])
    backward = (_ints(1, -1), _ints(4, -9), _ints(1, 3), _ints(1, -2))
    yield from _cases("Slice", (10, 11, 13), *backward)
    yield from _cases("Slice", (10, 13), _ints(0, 1), _ints(2**40, 3), _ints(0, 2))
    yield from _cases("Slice", (13,), _ints(-1), _ints(-(2**62)), _ints(-2), _ints(-3))
    yield from _cases("Squeeze", (7, 11), shape=(1, 5, 1), axes=[1, 3])
    yield from _cases("Squeeze", (13,), _ints(1, -1), shape=(1, 5, 1))
    yield from _cases("Unsqueeze", (7, 11), shape=(5,), axes=[1, 3])
    yield from _cases("Unsqueeze", (13,), _ints(-1), shape=(5,))
    yield from _cases("ReduceMean", (7, 11, 13), axes=[2, 3], keepdims=0)
    yield from _cases("ReduceMean", (11, 13), axes=[-1])
    yield from _cases("ReduceMean", (18,), _ints(-3), keepdims=0)
    yield from _cases("ReduceMean", (18,), noop_with_empty_axes=1)
    for op_type in REDUCTIONS:
        first = 13 if op_type == "ReduceSum" else 18
        yield from _cases(op_type, (7, 11), axes=[1, 3], keepdims=0)
        yield from _cases(op_type, (first,), _ints(-2))
    yield from _cases("ReduceLogSumExp", (7, 11), axes=[1, 3], keepdims=0)
    yield from _cases("ReduceLogSumExp", (18,), _ints(-2))
    yield from _cases("ReduceLogSumExp", (18,), noop_with_empty_axes=1)
    for op_type in ("ArgMax", "ArgMin"):
        yield from _cases(op_type, (7, 11, 13), axis=2)
        yield from _cases(op_type, (12, 13), axis=-1, keepdims=0, select_last_index=1)
    for axis in (1, -2):
        yield from _cases("Hardmax", (7, 11, 13), axis=axis)
    yield from _cases("LpNormalization", (7,), axis=1, p=1)
    yield from _cases("Flatten", (7, 9, 11, 13))
    yield from _cases("Flatten", (11,), axis=-3)
    yield from _cases("Concat", (7, 11, 13), "x", "x", axis=1)
    yield from _cases("Concat", (11,), "x", axis=-1)
    yield from _cases("Transpose", (7, 13), perm=[0, 3, 1, 2])
    yield from _cases("Split", (7, 11), num_outputs=2, axis=1, split=[2, 4])
    yield from _cases("Split", (13,), _ints(2, 4), num_outputs=2, axis=1)
    yield from _cases("Reshape", (7, 13, 14), _ints(0, -1, 8))
    yield from _cases("Reshape", (14,), _ints(-1, 6, 56), allowzero=1)


def _matrices() -> Iterator[Case]:
    weights, bias = _normal(7, 5), _normal(5)
    yield from _cases("Gemm", (7, 9, 11, 13), weights, bias, shape=(7,), alpha=0.5, beta=2.0)
    yield from _cases("Gemm", (11, 13), _normal(5, 7), shape=(7,), transB=1)
    for addend in (_normal(1), _float(2.0), _normal(1, 5), _normal(1, 1)):
        yield from _cases("Gemm", (7, 11), weights, addend, shape=(7,))
    yield from _cases("MatMul", (7, 9, 13), weights, shape=(7,))
    yield from _cases("MatMul", (9, 13), weights, shape=(4, 7))
    yield from _cases("MatMul", (13,), _normal(1, 2, 7, 5), shape=(2, 4, 7))
    yield from _cases("MatMul", (13,), _normal(7), shape=(4, 7))


def _normalizations() -> Iterator[Case]:
    scale, bias = _normal(6), _normal(6)
    yield from _cases("InstanceNormalization", (6, 21), scale, bias, epsilon=0.01)
    yield from _cases("LayerNormalization", (17,), _normal(7, 8), axis=2)
    yield from _cases("GroupNormalization", (21,), scale, bias, num_groups=2)
    yield from _cases("MeanVarianceNormalization", (9, 13), axes=[2, 3])


def _resized() -> Iterator[Case]:
    scales = np.array([1, 1, 2, 3], np.float32)
    for mode in ("nearest", "linear"):
        yield from _cases("Upsample", (7,), mode=mode, scales=[1.0, 1.0, 2.0, 3.0])
        yield from _cases("Upsample", (9,), scales, mode=mode)
        yield from _cases("Resize", (10,), scales, mode=mode)
        empty = np.zeros(0, np.float32)
        yield from _cases("Resize", (11,), empty, scales, mode=mode)
        yield from _cases("Resize", (13, 18, 19), None, scales, mode=mode)
    small = np.array([1, 1, 0.5, 0.6], np.float32)
    yield from _cases("Resize", (18,), None, small, mode="linear", antialias=1)
    yield from _cases("Resize", (13,), None, small, mode="cubic", exclude_outside=1)


def _moved_by_constants() -> Iterator[Case]:
    indices = np.array([[2, -1, 0], [1, 1, 5]])
    yield from _cases("Gather", (7, 13), indices, axis=1)
    filters, bias = _normal(6, 2, 3, 2), _normal(4)
    padded = {"pads": [1, 0, 1, 1], "output_padding": [1, 0], "strides": [2, 1], "group": 2}
    yield from _cases("ConvTranspose", (7, 11), filters, bias, **padded)
    yield from _cases("ConvTranspose", (11,), filters, output_shape=[14, 9], strides=[2, 1])
    yield from _cases("ConvTranspose", (11,), filters, auto_pad="SAME_UPPER", strides=[2, 2])
    for equation, factor in (
        ("ncij,cj->nic", _normal(6, 8)),
        ("...ij,kj->...ki", _normal(5, 8)),
        ("bhid,bhjd->bhij", "x"),
    ):
        yield from _cases("Einsum", (12,), factor, equation=equation)
    yield from _cases("DepthToSpace", (7, 13), shape=(8, 2, 3), blocksize=2)
    for mode in ("DCR", "CRD"):
        yield from _cases("DepthToSpace", (11, 13), shape=(8, 2, 3), blocksize=2, mode=mode)
    yield from _cases("SpaceToDepth", (7, 13), shape=(2, 4, 6), blocksize=2)
    yield from _cases("Tile", (7, 13), _ints(1, 2, 1, 3))
    yield from _cases("Expand", (8, 13), _ints(1, 3, 7, 8), shape=(1, 7, 8))


CASES = (
    *_windows(),
    *_elementwise(),
    *_layouts(),
    *_matrices(),
    *_normalizations(),
    *_moved_by_constants(),
    *_resized(),
)

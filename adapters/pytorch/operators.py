"""ONNX operators in PyTorch: one function each, with the semantics of opset 21.

A function takes the node (its shapes and constants known) and its float32 inputs as tensors in
ONNX's layout, None for an absent one. It runs once, under torch.fx, which records what it calls.
A new operator: see columnar_nn/model/operators.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows it by
from torch import Tensor

from adapters.network_nodes import (
    average_divisors,
    output_shape,
    overhang,
    pad_sources,
    pad_widths,
    padding,
)
from adapters.pytorch import (  # noqa: F401 - imported to register
    along_axes,
    conv_transpose,
    elementwise,
    normalization,
    resize,
)
from adapters.pytorch.registry import implements
from columnar_nn.model.operators import OPERATORS as ONNX_OPERATORS
from columnar_nn.model.operators import RENAMING
from columnar_nn.model.shape_rules.movement import gathered, permutation, slice_bounds
from columnar_nn.model.shape_rules.operands import Operands, fixed
from columnar_nn.model.shape_rules.window import Window, conv_window, pool_window

_CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
_MAX_POOL = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_AVERAGE_POOL: dict[int, Callable[..., Tensor]] = {
    1: F.avg_pool1d,
    2: F.avg_pool2d,
    3: F.avg_pool3d,
}
_GLOBAL_AVERAGE_POOL: dict[int, Callable[..., Tensor]] = {
    1: F.adaptive_avg_pool1d,
    2: F.adaptive_avg_pool2d,
    3: F.adaptive_avg_pool3d,
}


def unsupported_reason(operands: Operands) -> str | None:
    """Why PyTorch cannot run this node; None if it can."""
    op_type, spatial_rank = operands.node.op_type, len(operands.shape(0)) - 2
    of_images = ONNX_OPERATORS[op_type].window or op_type == "GlobalAveragePool"
    if of_images and spatial_rank not in _CONV:
        return f"{spatial_rank} spatial dimensions; PyTorch has 1 to 3"
    return None


@implements("Conv")
def conv(node: Operands, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    window = conv_window(node)
    x, pads = _symmetric(x, window, padding(window, node.shape(0)[2:]), 0.0)
    return _CONV[len(pads)](
        x, w, b, window.strides, pads, window.dilations, node.attribute("group")
    )


@implements("MaxPool")
def max_pool(node: Operands, x: Tensor) -> Tensor:
    window = pool_window(node)
    x, pads = _symmetric(x, window, padding(window, node.shape(0)[2:]), float("-inf"))
    pool = _MAX_POOL[len(pads)]
    return pool(x, window.kernel_shape, window.strides, pads, spread(window))


@implements("AveragePool")
def average_pool(node: Operands, x: Tensor) -> Tensor:
    window, spatial = pool_window(node), node.shape(0)[2:]
    include_pad = bool(node.attribute("count_include_pad"))
    rank = len(spatial)
    wide = padding(window, spatial)
    inside = max(overhang(window, spatial)) <= 0
    if inside and max(window.dilations) == 1 and _fits_pooling(window, wide):
        pads = [before for before, _ in wide]
        pool = _AVERAGE_POOL[rank]
        return pool(x, window.kernel_shape, window.strides, pads, False, include_pad)
    # PyTorch has neither dilated nor asymmetric averages: sums by a convolution of ones.
    channels = fixed(node.shape(0)[1], "channels")
    ones = torch.ones(channels, 1, *window.kernel_shape)
    sums = _CONV[rank](
        _padded(x, wide, 0.0), ones, None, window.strides, 0, window.dilations, channels
    )
    return sums / torch.from_numpy(average_divisors(window, spatial, include_pad))


@implements("GlobalAveragePool")
def global_average_pool(node: Operands, x: Tensor) -> Tensor:
    return _GLOBAL_AVERAGE_POOL[len(node.shape(0)) - 2](x, 1)


@implements("BatchNormalization")
def batch_normalization(
    node: Operands, x: Tensor, scale: Tensor, bias: Tensor, mean: Tensor, variance: Tensor
) -> Tensor:
    epsilon = node.attribute("epsilon")
    # Freezing folds it into a Linear before it even if something else reads that (PyTorch 2.13).
    features = len(node.shape(0)) == 2
    images = x.unsqueeze(2) if features else x
    made = F.batch_norm(images, mean, variance, scale, bias, training=False, eps=epsilon)
    return made.squeeze(2) if features else made


@implements("LRN")
def lrn(node: Operands, x: Tensor) -> Tensor:
    # F.local_response_norm centres a window of even size on the other side.
    size = node.attribute("size")
    channels = fixed(node.shape(0)[1], "channels")
    after_channels = [0, 0] * (len(node.shape(0)) - 2)
    squares = F.pad(x * x, [*after_channels, (size - 1) // 2, size // 2])
    sums = sum(squares[:, i : i + channels] for i in range(size))
    scale = node.attribute("bias") + node.attribute("alpha") / size * sums
    return x / scale ** node.attribute("beta")


@implements("Gemm")
def gemm(node: Operands, a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
    alpha, beta = node.attribute("alpha"), node.attribute("beta")
    a = a.t() if node.attribute("transA") else a
    is_bias = c is None or len(node.shape(2)) == 1
    if alpha == beta == 1 and is_bias:
        return F.linear(a, b if node.attribute("transB") else b.t(), c)
    product = alpha * torch.matmul(a, b.t() if node.attribute("transB") else b)
    return product if c is None else product + beta * c


@implements("MatMul")
def mat_mul(node: Operands, a: Tensor, b: Tensor) -> Tensor:
    return torch.matmul(a, b)


@implements(*RENAMING)
def identity(node: Operands, x: Tensor) -> Tensor:
    return x


@implements("Flatten", "Reshape", "Squeeze", "Unsqueeze")
def reshape(node: Operands, x: Tensor, *parameters: Tensor | None) -> Tensor:
    """Flatten, Reshape, Squeeze and Unsqueeze: elements keep their order."""
    return x.reshape([-1 if size is None else size for size in output_shape(node)])


@implements("Transpose")
def transpose(node: Operands, x: Tensor) -> Tensor:
    return x.permute(permutation(node))


@implements("Concat")
def concat(node: Operands, *tensors: Tensor) -> Tensor:
    return torch.cat(tensors, node.attribute("axis"))


@implements("Pad")
def pad(node: Operands, x: Tensor, *parameters: Tensor | None) -> Tensor:
    widths, mode = pad_widths(node), node.attribute("mode")
    if mode == "constant":
        value = node.constant(2, "the padding value")
        every = [widths.get(axis, (0, 0)) for axis in range(len(node.shape(0)))]
        return _padded(x, every, 0.0 if value is None else float(value.item()))
    for axis, (before, after) in widths.items():
        size = fixed(node.shape(0)[axis], f"axis {axis}")
        x = x.index_select(axis, torch.from_numpy(pad_sources(size, before, after, mode)))
    return x


@implements("Slice")
def slice_(node: Operands, x: Tensor, *parameters: Tensor | None) -> Tensor:
    for axis, bounds in slice_bounds(node).items():
        if bounds == slice(None):
            continue
        places = range(fixed(node.shape(0)[axis], f"axis {axis}"))[bounds]
        backward = places.step < 0
        forward = places[::-1] if backward else places
        index = [slice(None)] * axis + [slice(forward.start, forward.stop, forward.step)]
        x = x[tuple(index)]
        x = x.flip(axis) if backward else x
    return x


@implements("Expand")
def expand(node: Operands, x: Tensor, *parameters: Tensor | None) -> Tensor:
    return x.expand([-1 if size is None else size for size in output_shape(node)])


@implements("Tile")
def tile(node: Operands, x: Tensor, *parameters: Tensor | None) -> Tensor:
    return x.repeat(node.integer_input(1, "the repeats"))


@implements("Gather")
def gather(node: Operands, x: Tensor, *parameters: Tensor | None) -> Tensor:
    axis, indices = gathered(node)
    if indices.ndim == 0:
        return x.select(axis, int(indices))
    picked = x.index_select(axis, torch.from_numpy(indices.reshape(-1)))
    return picked if indices.ndim == 1 else picked.unflatten(axis, indices.shape)


def spread(window: Window) -> list[int]:
    """The window's dilations, 1 along dimensions in which it has one element."""
    pairs = zip(window.dilations, window.kernel_shape, strict=True)
    return [dilation if kernel > 1 else 1 for dilation, kernel in pairs]


def _padded(x: Tensor, widths: Sequence[tuple[int, int]], value: float) -> Tensor:
    """`x` with its last dimensions padded by `widths` (before, after), cropped where negative."""
    flat = [width for both in reversed(widths) for width in both]
    return F.pad(x, flat, value=value) if any(flat) else x


def _symmetric(
    x: Tensor, window: Window, wide: Sequence[tuple[int, int]], value: float
) -> tuple[Tensor, list[int]]:
    """The tensor and the one padding for both ends of each dimension that PyTorch takes.

    Padding that differs between the ends is done beforehand.
    """
    if _fits_pooling(window, wide):
        return x, [before for before, _ in wide]
    return _padded(x, wide, value), [0] * len(wide)


def _fits_pooling(window: Window, wide: Sequence[tuple[int, int]]) -> bool:
    """Whether both ends are padded alike, by at most half a window, as PyTorch's pools want."""
    return all(
        before == after and before <= kernel // 2
        for (before, after), kernel in zip(wide, window.kernel_shape, strict=True)
    )

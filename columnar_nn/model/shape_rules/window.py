"""Shapes of operators that slide a window: convolution and pooling in any number of dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.node import Shape
from columnar_nn.model.shape_rules.operands import Operands, fixed

MAX_ENTRY = 2**31
"""Of a window's sizes, strides and pads: backends count in 32 or 64 bits."""


@dataclass(frozen=True)
class Window:
    """Geometry of a sliding window with every default filled in and auto_pad resolved.

    One entry a spatial dimension; `pads` holds all beginnings, then all ends, as in ONNX. They
    are negative, so that they crop, where auto_pad leaves pixels over between the windows.
    """

    kernel_shape: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    pads: tuple[int, ...]
    output: tuple[int, ...]


def plain_window(rank: int) -> dict[str, list[int]]:
    """The attributes of a window that leave it as it is: what ONNX says of those left out."""
    return {"strides": [1] * rank, "dilations": [1] * rank, "pads": [0] * (2 * rank)}


def _images(operands: Operands) -> Shape:
    shape = operands.shape(0)
    if len(shape) < 3:
        raise InvalidModelError(f"input of shape {shape} is not [N, C, spatial...]")
    return shape


def _same_pads(total: int, auto_pad: str) -> tuple[int, int]:
    """The padding of an axis at its beginning and its end; both are negative where it crops.

    What is cropped at the beginning is what ONNX Runtime 1.32 crops there.
    """
    upper = auto_pad == "SAME_UPPER"
    if total < 0:
        begin = -max((-total - (1 if upper else 2)) // 2, 0)
        return begin, total - begin
    small = total // 2
    return (small, total - small) if upper else (total - small, small)


def _window(operands: Operands, kernel_shape: Sequence[int], ceil_mode: bool = False) -> Window:
    """The window of a Conv, MaxPool or AveragePool node over its first input.

    Follows ONNX's formulas: auto_pad SAME_UPPER and SAME_LOWER make ceil(size / stride)
    outputs, ceil_mode keeps a last window only if it starts before the padding at the end. A
    stride that is larger than the window can leave pixels over, which ONNX Runtime crops; VALID
    keeps ceil_mode there and in ONNX's shape inference, though not in the operator's text.
    """
    images = _images(operands)
    spatial = [fixed(d, f"dimension {i + 2}") for i, d in enumerate(images[2:])]
    rank = len(spatial)
    geometry = plain_window(rank)
    strides, dilations, pads = (operands.integers(name, geometry[name]) for name in geometry)
    auto_pad = operands.node.attributes.get("auto_pad", "NOTSET")
    for name, values in (
        ("kernel_shape", kernel_shape),
        ("strides", strides),
        ("dilations", dilations),
    ):
        if len(values) != rank or min(values) < 1:
            raise InvalidModelError(
                f"{name} {list(values)} has an entry below 1, or not one for each of {rank} axes"
            )
    if max(*kernel_shape, *strides, *dilations, *pads) >= MAX_ENTRY:
        raise InvalidModelError(f"its window has an entry of {MAX_ENTRY:,} or more")
    if min(pads) < 0:
        raise InvalidModelError(f"pads {pads} has a negative entry; use Slice to crop")
    if auto_pad not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise InvalidModelError(f"auto_pad {auto_pad!r} is unknown")
    if auto_pad != "NOTSET" and any(pads):
        raise InvalidModelError(f"auto_pad {auto_pad} and explicit pads exclude each other")

    output = []
    for i, size in enumerate(spatial):
        extent = dilations[i] * (kernel_shape[i] - 1) + 1
        if auto_pad.startswith("SAME"):
            count = -(-size // strides[i])
            pads[i], pads[i + rank] = _same_pads((count - 1) * strides[i] + extent - size, auto_pad)
        else:
            room = size + pads[i] + pads[i + rank] - extent
            if room < 0:
                raise InvalidModelError(
                    f"a window of {extent} does not fit the padded size {room + extent}"
                )
            count = room // strides[i] + 1
            if ceil_mode:
                count = -(-room // strides[i]) + 1
                if (count - 1) * strides[i] >= size + pads[i]:
                    count -= 1
        output.append(count)
    return Window(tuple(kernel_shape), tuple(strides), tuple(dilations), tuple(pads), tuple(output))


def conv_window(operands: Operands) -> Window:
    """The window of a Conv node, whose filters [M, C/group, *kernel] give its size."""
    filters = [fixed(d, "a dimension of the filters") for d in operands.shape(1)]
    kernel_shape = operands.integers("kernel_shape", filters[2:])
    if kernel_shape != filters[2:]:
        raise InvalidModelError(f"kernel_shape {kernel_shape} differs from filters {filters}")
    return _window(operands, kernel_shape)


def pool_window(operands: Operands) -> Window:
    """The window of a MaxPool or AveragePool node."""
    if "kernel_shape" not in operands.node.attributes:
        raise InvalidModelError("kernel_shape is missing")
    kernel_shape = operands.integers("kernel_shape", [1] * len(operands.shape(0)[2:]))
    found = _window(operands, kernel_shape, bool(operands.attribute("ceil_mode")))
    if min(found.pads) < 0:
        raise InvalidModelError(
            f"auto_pad with strides {list(found.strides)} larger than the window leaves pixels "
            "over, which runtimes refuse; export with explicit pads"
        )
    return found


def conv(operands: Operands) -> tuple[Shape, ...]:
    """Conv: X [N, C, spatial...], W [M, C/group, kernel...], optional B [M]."""
    images, filters = _images(operands), operands.shape(1)
    group = operands.attribute("group")
    if len(filters) != len(images):
        raise InvalidModelError(f"filters {filters} and input {images} differ in rank")
    channels, num_filters = fixed(images[1], "channels"), fixed(filters[0], "filter count")
    if num_filters < 1 or group < 1 or channels != filters[1] * group or num_filters % group:
        raise InvalidModelError(
            f"{channels} channels do not fit filters {filters} in {group} group(s)"
        )
    if operands.present(2) and operands.shape(2) != (num_filters,):
        raise InvalidModelError(f"bias {operands.shape(2)} must have shape ({num_filters},)")
    return ((images[0], num_filters, *conv_window(operands).output),)


def pool(operands: Operands) -> tuple[Shape, ...]:
    """MaxPool and AveragePool: X [N, C, spatial...]."""
    images = _images(operands)
    return ((*images[:2], *pool_window(operands).output),)


def global_pool(operands: Operands) -> tuple[Shape, ...]:
    """GlobalAveragePool: every spatial dimension becomes 1."""
    images = _images(operands)
    return ((*images[:2], *(1 for _ in images[2:])),)


def conv_transpose_window(operands: Operands) -> Window:
    """The window of a ConvTranspose node, by which its images are what a Conv makes of its outputs.

    Follows ONNX's formulas for what output_shape or auto_pad ask for; where they ask for more than
    the windows reach, the rest is at the ends.
    """
    images = _images(operands)
    spatial = [fixed(d, f"dimension {i + 2}") for i, d in enumerate(images[2:])]
    rank = len(spatial)
    filters = [fixed(d, "a dimension of the filters") for d in operands.shape(1)]
    kernel_shape = operands.integers("kernel_shape", filters[2:])
    if kernel_shape != filters[2:] or min(kernel_shape, default=0) < 1:
        raise InvalidModelError(f"kernel_shape {kernel_shape} differs from filters {filters}")
    geometry = plain_window(rank)
    strides, dilations, pads = (operands.integers(name, geometry[name]) for name in geometry)
    added = operands.integers("output_padding", [0] * rank)
    if min(*strides, *dilations) < 1 or min(*added, *pads) < 0:
        raise InvalidModelError(
            f"strides {strides}, dilations {dilations}, output_padding {added} or pads {pads} are "
            "too small"
        )
    if max(*kernel_shape, *strides, *dilations, *pads, *added) >= MAX_ENTRY:
        raise InvalidModelError(f"its window has an entry of {MAX_ENTRY:,} or more")
    auto_pad = operands.node.attributes.get("auto_pad", "NOTSET")
    if auto_pad not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise InvalidModelError(f"auto_pad {auto_pad!r} is unknown")
    if auto_pad == "VALID":
        pads = [0] * (2 * rank)
    asked = _asked_sizes(operands, spatial, strides, auto_pad)
    output = []
    for i, size in enumerate(spatial):
        reach = strides[i] * (size - 1) + (kernel_shape[i] - 1) * dilations[i] + 1 + added[i]
        if asked is not None:
            total = max(reach - asked[i], 0)
            small = total // 2
            upper = auto_pad == "SAME_UPPER"
            pads[i], pads[i + rank] = (small, total - small) if upper else (total - small, small)
            added[i] += max(asked[i] - reach, 0)
            reach = max(reach, asked[i])
        output.append(reach - pads[i] - pads[i + rank])
    if any(n >= max(s, d) for n, s, d in zip(added, strides, dilations, strict=True)):
        raise InvalidModelError(
            f"output_padding {added}, given or asked for, is not below strides {strides} or "
            f"dilations {dilations}, which runtimes refuse; export with a Pad"
        )
    if min(output) < 1:
        raise InvalidModelError(f"pads {pads} leave nothing of the outputs, {output}")
    return Window(tuple(kernel_shape), tuple(strides), tuple(dilations), tuple(pads), tuple(output))


def _asked_sizes(
    operands: Operands, spatial: Sequence[int], strides: Sequence[int], auto_pad: str
) -> list[int] | None:
    """The sizes of the result that output_shape or auto_pad ask for; None if neither does."""
    if "output_shape" in operands.node.attributes:
        return operands.integers("output_shape", [1] * len(spatial))
    if not auto_pad.startswith("SAME"):
        return None
    kernel = operands.shape(1)[2:]
    if any(stride > (size or 0) for stride, size in zip(strides, kernel, strict=True)):
        raise InvalidModelError(
            f"auto_pad with strides {list(strides)} larger than the window asks for more than it "
            "reaches, which runtimes do not make; export with output_padding"
        )
    return [size * stride for size, stride in zip(spatial, strides, strict=True)]


def conv_transpose(operands: Operands) -> tuple[Shape, ...]:
    """ConvTranspose: X [N, C, spatial...], W [C, M/group, kernel...], optional B [M]."""
    images, filters = _images(operands), operands.shape(1)
    group = operands.attribute("group")
    if len(filters) != len(images):
        raise InvalidModelError(f"filters {filters} and input {images} differ in rank")
    channels, per_group = fixed(images[1], "channels"), fixed(filters[1], "filters of a group")
    if group < 1 or per_group < 1 or channels != filters[0] or channels % group:
        raise InvalidModelError(
            f"{channels} channels do not fit filters {filters} in {group} group(s)"
        )
    num_filters = per_group * group
    if operands.present(2) and operands.shape(2) != (num_filters,):
        raise InvalidModelError(f"bias {operands.shape(2)} must have shape ({num_filters},)")
    return ((images[0], num_filters, *conv_transpose_window(operands).output),)

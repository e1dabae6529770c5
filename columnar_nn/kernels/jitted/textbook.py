"""What a convolution is, in the loops of its definition: nothing is done to make it fast.

numba compiles `convolve` as it does for everyone, without fastmath. It can be called with NumPy
arrays too: `convolve(image, filters, bias, (1, 1), (0, 0), (1, 1), output)`.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types

from columnar_nn.kernels.jitted.compiler import compiled_by_numba, emitted
from columnar_nn.kernels.jitted.emitter import FLOAT, Emitter, Value
from columnar_nn.kernels.jitted.memory import POINTERS, share_either
from columnar_nn.kernels.parameters import Floats
from columnar_nn.kernels.textbook import Textbook

_FLOATS = types.CPointer(types.float32)
_TWO, _THREE, _FOUR = (types.UniTuple(types.int64, count) for count in (2, 3, 4))


@numba.njit
def convolve(
    image: np.ndarray,
    filters: np.ndarray,
    bias: np.ndarray,
    strides: tuple[int, int],
    pads: tuple[int, int],
    dilations: tuple[int, int],
    output: np.ndarray,
) -> None:
    """output[f] = bias[f] + image convolved with filters[f], of float32 arrays.

    image [channels, height, width], filters [filters, channels, height, width], bias [filters],
    output [filters, height, width]; strides, pads (at the top and left) and dilations (y, x).
    """
    channels, height, width = image.shape
    _, _, filter_height, filter_width = filters.shape
    num_filters, out_height, out_width = output.shape
    for f in range(num_filters):
        for out_y in range(out_height):
            for out_x in range(out_width):
                total = bias[f]
                for channel in range(channels):
                    for tap_y in range(filter_height):
                        for tap_x in range(filter_width):
                            y = out_y * strides[0] - pads[0] + tap_y * dilations[0]
                            x = out_x * strides[1] - pads[1] + tap_x * dilations[1]
                            if 0 <= y < height and 0 <= x < width:  # around the image are zeros
                                total += image[channel, y, x] * filters[f, channel, tap_y, tap_x]
                output[f, out_y, out_x] = total


@compiled_by_numba(
    types.void(*(_FLOATS, _THREE, _FLOATS, _FOUR, _FLOATS), *(_TWO, _TWO, _TWO), *(_FLOATS, _THREE))
)
def convolve_memory(
    image: Any,
    shape: tuple[int, int, int],
    filters: Any,
    filter_shape: tuple[int, int, int, int],
    bias: Any,
    strides: tuple[int, int],
    pads: tuple[int, int],
    dilations: tuple[int, int],
    output: Any,
    output_shape: tuple[int, int, int],
) -> None:
    """As `convolve`, of arrays by where they begin and their shapes."""
    convolve(
        numba.carray(image, shape),
        numba.carray(filters, filter_shape),
        numba.carray(bias, filter_shape[:1]),
        strides,
        pads,
        dilations,
        numba.carray(output, output_shape),
    )


@emitted(_FLOATS(POINTERS["float"]))
def pointer(e: Emitter, start: Value) -> Value:
    """Where floats begin, as numba has it."""
    return e.of(e.builder.inttoptr(start.ir, ir.PointerType(FLOAT)))


def convolution(
    parameters: Textbook, source: Floats, second: Floats, target: Floats, part: int, parts: int
) -> None:
    """output = clamp(each group of channels convolved with its filters + second input).

    Parts share the groups or, of few groups, the filters of each.
    """
    p = parameters
    image = p.channels * p.height * p.width
    taps = p.channels * p.filter_height * p.filter_width
    plane = p.out_height * p.out_width
    by_groups = p.groups >= parts
    first_group, last_group, first, last = share_either(by_groups, p.groups, p.filters, part, parts)
    for group in range(first_group, last_group):
        start = group * p.filters + first
        outputs = target + start * plane
        convolve_memory(
            pointer(source + group * image),
            (p.channels, p.height, p.width),
            pointer(p.weights + start * taps),
            (last - first, p.channels, p.filter_height, p.filter_width),
            pointer(p.bias + start),
            (p.stride_y, p.stride_x),
            (p.top, p.left),
            (p.dilation_y, p.dilation_x),
            pointer(outputs),
            (last - first, p.out_height, p.out_width),
        )
        for index in range((last - first) * plane):
            value = outputs[index]
            if second:
                value += second[start * plane + index]
            outputs[index] = p.low if value < p.low else p.high if value > p.high else value

"""Changes of layout, and concatenation."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Kind, Layout


def reorder(x: Layout, to_kind: Kind) -> BoundKernel:
    """The same C x H x W tensor as "nchw16c" or "planar"."""
    if {x.kind, to_kind} != {"planar", "nchw16c"} or len(x.shape) != 3:
        raise InvalidModelError(f"cannot reorder {x} to {to_kind}")
    factory = "to_blocks" if to_kind == "nchw16c" else "to_planes"
    return BoundKernel(
        name=f"reorder_to_{to_kind}",
        function=Kernel("reorder", factory),
        parameters=np.array([x.shape[0], x.shape[1] * x.shape[2]], np.int64),
        input_layouts=(x,),
        output_layout=Layout(to_kind, x.shape),
    )


def concat(inputs: Sequence[Layout], axis: int = 0) -> tuple[BoundKernel, ...]:
    """One kernel an input, each filling its part of one common output buffer, in order.

    Of planar tensors that differ along `axis` only, or of nchw16c images and their channels.
    """
    first = inputs[0]
    rests = {(x.kind, x.shape[:axis], x.shape[axis + 1 :]) for x in inputs}
    blocked = first.kind == "nchw16c" and axis == 0
    if len(rests) > 1 or not (blocked or (first.kind == "planar" and axis < len(first.shape))):
        raise InvalidModelError(f"cannot concatenate {', '.join(map(str, inputs))}")
    size = sum(x.shape[axis] for x in inputs)
    output = Layout(first.kind, (*first.shape[:axis], size, *first.shape[axis + 1 :]))
    inner = math.prod(first.shape[axis + 1 :])
    kernels, start = [], 0
    for index, x in enumerate(inputs):
        if blocked:
            factory = "place_channels"
            parameters = [x.shape[0], inner, start, int(index == len(inputs) - 1)]
        else:
            factory = "place_runs"
            runs = math.prod(first.shape[:axis])
            parameters = [runs, *(4 * inner * length for length in (x.shape[axis], size, start))]
        kernels.append(
            BoundKernel(
                name="concat",
                function=Kernel("reorder", factory),
                parameters=np.array(parameters, np.int64),
                input_layouts=(x,),
                output_layout=output,
            )
        )
        start += x.shape[axis]
    return tuple(kernels)

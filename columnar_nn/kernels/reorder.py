"""Changes of layout, and concatenation along the channels."""

from __future__ import annotations

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


def concat(inputs: Sequence[Layout]) -> tuple[BoundKernel, ...]:
    """One kernel an input, each filling its channels of one common output buffer, in order.

    Of nchw16c or planar tensors that differ in the first dimension only.
    """
    kind, rest = inputs[0].kind, inputs[0].shape[1:]
    if kind not in ("planar", "nchw16c") or any(
        x.kind != kind or x.shape[1:] != rest for x in inputs
    ):
        raise InvalidModelError(f"cannot concatenate {', '.join(map(str, inputs))}")
    output = Layout(kind, (sum(x.shape[0] for x in inputs), *rest))
    kernels, first = [], 0
    for index, x in enumerate(inputs):
        if kind == "nchw16c":
            factory = "place_channels"
            is_last = int(index == len(inputs) - 1)
            parameters = [x.shape[0], rest[0] * rest[1], first, is_last]
        else:
            factory = "place_floats"
            parameters = [x.num_bytes, first * int(np.prod(rest, dtype=np.int64)) * 4]
        kernels.append(
            BoundKernel(
                name="concat",
                function=Kernel("reorder", factory),
                parameters=np.array(parameters, np.int64),
                input_layouts=(x,),
                output_layout=output,
            )
        )
        first += x.shape[0]
    return tuple(kernels)

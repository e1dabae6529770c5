"""Changes of layout, with the channels before or behind the pixels, and concatenation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Kind, Layout


class Reorder(NamedTuple):
    """Of a change of layout."""

    channels: int
    pixels: int


class PlacedChannels(NamedTuple):
    """Of an nchw16c input copied to the output's channels from `first` on.

    The last input clears the lanes past its last channel.
    """

    channels: int
    pixels: int
    first: int
    is_last: bool


class PlacedItems(NamedTuple):
    """Of an nhwc_bf16 input copied to the output's channels from `first` on, as PlacedChannels.

    A pixel has `items` bfloat16, in the output `output_items`.
    """

    channels: int
    pixels: int
    first: int
    items: int
    output_items: int
    is_last: bool


class PlacedRuns(NamedTuple):
    """Of an input whose runs of `length` floats are copied to places `distance` apart."""

    runs: int
    length: int
    distance: int
    first: int


def reorder(x: Layout, to_kind: Kind) -> BoundKernel:
    """The same C x H x W tensor as "nchw16c" or "planar"."""
    if {x.kind, to_kind} != {"planar", "nchw16c"} or len(x.shape) != 3:
        raise InvalidModelError(f"cannot reorder {x} to {to_kind}")
    function = "to_blocks" if to_kind == "nchw16c" else "to_planes"
    return BoundKernel(
        name=f"reorder_to_{to_kind}",
        function=Kernel("reorder", function),
        parameters=Reorder(x.shape[0], x.shape[1] * x.shape[2]),
        input_layouts=(x,),
        output_layout=Layout(to_kind, x.shape),
    )


def channels_last(x: Layout) -> BoundKernel:
    """An nchw16c image C x H x W as a planar tensor H x W x C."""
    if x.kind != "nchw16c":
        raise InvalidModelError(f"channels of {x} are not in blocks")
    channels, *size = x.shape
    return BoundKernel(
        name="channels_last",
        function=Kernel("reorder", "to_pixels"),
        parameters=Reorder(channels, math.prod(size)),
        input_layouts=(x,),
        output_layout=Layout("planar", (*size, channels)),
    )


def channels_first(x: Layout) -> BoundKernel:
    """A planar tensor H x W x C as an nchw16c image C x H x W."""
    if x.kind != "planar" or len(x.shape) != 3:
        raise InvalidModelError(f"{x} is no image whose channels are last")
    *size, channels = x.shape
    return BoundKernel(
        name="channels_first",
        function=Kernel("reorder", "of_pixels"),
        parameters=Reorder(channels, math.prod(size)),
        input_layouts=(x,),
        output_layout=Layout("nchw16c", (channels, *size)),
    )


def concat(inputs: Sequence[Layout], axis: int = 0) -> tuple[BoundKernel, ...]:
    """One kernel an input, each filling its part of one common output buffer, in order.

    Of planar tensors that differ along `axis` only, or of the channels of images that are all
    nchw16c or all nhwc_bf16.
    """
    first = inputs[0]
    rests = {(x.kind, x.shape[:axis], x.shape[axis + 1 :]) for x in inputs}
    blocked = first.kind in ("nchw16c", "nhwc_bf16") and axis == 0
    if len(rests) > 1 or not (blocked or (first.kind == "planar" and axis < len(first.shape))):
        raise InvalidModelError(f"cannot concatenate {', '.join(map(str, inputs))}")
    size = sum(x.shape[axis] for x in inputs)
    output = Layout(first.kind, (*first.shape[:axis], size, *first.shape[axis + 1 :]))
    inner = math.prod(first.shape[axis + 1 :])
    kernels: list[BoundKernel] = []
    start = 0
    parameters: PlacedChannels | PlacedItems | PlacedRuns
    for index, x in enumerate(inputs):
        module, name = "reorder", "concat"
        if first.kind == "nhwc_bf16":
            module, name, function = "bfloat16_reorder", "concat_bfloat16", "place_items"
            items, is_last = (x.pixel_items, output.pixel_items), index == len(inputs) - 1
            parameters = PlacedItems(x.shape[0], inner, start, *items, is_last)
        elif blocked:
            function, is_last = "place_channels", index == len(inputs) - 1
            parameters = PlacedChannels(x.shape[0], inner, start, is_last)
        else:
            lengths = (inner * length for length in (x.shape[axis], size, start))
            function = "place_runs"
            parameters = PlacedRuns(math.prod(first.shape[:axis]), *lengths)
        kernels.append(
            BoundKernel(
                name=name,
                function=Kernel(module, function),
                parameters=parameters,
                input_layouts=(x,),
                output_layout=output,
            )
        )
        start += x.shape[axis]
    return tuple(kernels)

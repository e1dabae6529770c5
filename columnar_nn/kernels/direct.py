"""Direct convolution bound to weights: nchw16c or planar input, any stride, padding, dilation.

The work is cut into bands of output rows whose input stays in cache, and for each band into
panels of 16 or 32 filters. Where the operator pads, a band of the input is copied once with zeros
around it, so that the microkernel needs no edge code and never reads outside a buffer.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from columnar_nn.kernels.convolution import Convolution
from columnar_nn.kernels.host import LANES, tile_blocks
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, lane_mask, packed
from columnar_nn.kernels.parameters import FLOAT_BYTES, Blocks, Code, Floats, Words

BAND_BYTES = 192 * 1024
"""Input rows a band may hold: most of a small second-level cache, beside the filters."""

CHUNK_PIXELS = 96
"""Pixels of a "row" where the filter is 1x1 and steps over no pixel: the image is one line."""

FEW_FILTERS = 3
"""Up to so many filters are cheaper one by one, as sums over channels, than as a block of 16."""


HALF = LANES // 2
"""Lanes of a block of filters that are computed where the others hold none."""

CHANNEL_STEP = 4
"""Channels times blocks of filters that a loop of a tile handles at once. Of nchw16c's last plane,
channels past the last one are left out in such steps.

8 and 16, measured, gain nothing. Nor does the odd width of a filter over a planar image, which is a
loop of single taps: unrolled whole it takes as long (3x3, 7x7 and 11x11 on a Zen 4), and is more
code to compile.
"""


class Panel(NamedTuple):
    """What the filters of a tile read: channels of the input, and weights from `offset` on."""

    first_plane: int
    channels: int
    offset: int


class Direct(NamedTuple):
    """Of a direct convolution.

    The output is computed in `rows` of `row_pixels`, the last one perhaps shorter: `pixels` in all.
    In the input they begin `row_step` pixels apart, and those of a band of `band_rows` are copied
    into lines of `padded_width` if that is not 0. A plane of the input is 16 channels of nchw16c
    or one of planar; a filter extends over `extent_y` lines, and reads `filter_columns` times as
    many pixels as a tile takes in a step. Outputs are clamped to `low` and `high`, and changed by
    an `epilogue` if there is one. `ragged_mask` is the last block's lanes past the last filter, if
    there are any that may not be zero; `owned` is of kind "groups".
    """

    panels: int
    table: Words
    rows: int
    row_pixels: int
    pixels: int
    planes: int
    height: int
    width: int
    row_step: int
    stride_y: int
    top: int
    left: int
    padded_width: int
    band_rows: int
    filter_height: int
    filter_columns: int
    extent_y: int
    dilation_y: int
    dilation_x: int
    weights: Floats
    bias: Floats
    low: float
    high: float
    epilogue: Code | None
    epilogue_constants: Blocks | None
    ragged_mask: Blocks | None
    owned: Floats | None


def _kind(convolution: Convolution) -> str:
    """Which tile computes it: see `jitted.tile.convolution_tile`."""
    filters, group_channels = convolution.weight.shape[:2]
    if convolution.input.kind == "nchw16c":
        if convolution.is_depthwise:
            return "lanes"
        if convolution.groups == 1 and filters <= FEW_FILTERS:
            return "sum"
    ragged = filters // convolution.groups % LANES or group_channels % _plane_channels(convolution)
    return "groups" if convolution.groups > 1 and ragged else "channels"


def _plane_channels(convolution: Convolution) -> int:
    """Channels of the input that lie together: 16 in nchw16c, 1 in planar."""
    return LANES if convolution.input.kind == "nchw16c" else 1


def channels_read(convolution: Convolution) -> int:
    """Channels of the whole input, in whole steps where they lie in planes of 16."""
    channels = convolution.input.shape[0]
    if convolution.input.kind == "planar":
        return channels
    return -(-channels // CHANNEL_STEP) * CHANNEL_STEP


def last_lanes(kind: str, filters: int) -> int:
    """Lanes of the last block of filters that are computed: the first 8 suffice for so many.

    A vector of 8 takes half of the time of one of 16 where a processor computes 8 lanes at a time,
    as a Zen 4 does, and no longer elsewhere.
    """
    return HALF if kind == "channels" and 0 < filters % LANES <= HALF else LANES


def _pack_panels(convolution: Convolution, blocks: int) -> tuple[np.ndarray, np.ndarray]:
    """Filters as [panel][input plane][tap y][tap x][channel][16 * blocks], and the panels' table.

    The table holds a Panel for each. With groups a panel reads only the planes that hold channels
    of its groups; weights of channels outside a filter's group are zero: see `_owned_channels`.
    Without, those of the last plane end with the last channel's CHANNEL_STEP.
    """
    weight = convolution.weight
    filters, group_channels, height, width = weight.shape
    per_plane = _plane_channels(convolution)
    filters_a_group = filters // convolution.groups
    pieces, table, offset = [], [], 0
    lanes = LANES * blocks
    for start in range(0, filters, lanes):
        stop = min(start + lanes, filters)
        first = start // filters_a_group * group_channels // per_plane
        end = -(-((stop - 1) // filters_a_group + 1) * group_channels // per_plane)
        piece = np.zeros(((end - first) * per_plane, height, width, lanes), np.float32)
        for lane, filter_index in enumerate(range(start, stop)):
            channel = filter_index // filters_a_group * group_channels - first * per_plane
            piece[channel : channel + group_channels, :, :, lane] = weight[filter_index]
        channels = (end - first) * per_plane
        if convolution.groups == 1:
            channels = channels_read(convolution)
        planes = [
            piece[start : min(start + per_plane, channels)].transpose(1, 2, 0, 3).reshape(-1)
            for start in range(0, channels, per_plane)
        ]
        pieces += planes
        table.append(Panel(first, channels, offset))
        offset += sum(plane.size for plane in planes)
    return packed(np.concatenate(pieces)), np.array(table, np.int64)


def _owned_channels(convolution: Convolution, table: np.ndarray) -> np.ndarray:
    """[panel][2][16]: of each filter's group the first channel and the last plus one, float32.

    They are counted from the first channel of the panel's first plane.
    """
    filters, group_channels = convolution.weight.shape[:2]
    group = np.arange(len(table) * LANES) // (filters // convolution.groups)
    first = (group * group_channels).reshape(-1, LANES)
    first = first - table[:, :1] * _plane_channels(convolution)
    return packed(np.stack([first, first + group_channels], axis=1))


def _pack_lanes(convolution: Convolution) -> tuple[np.ndarray, np.ndarray]:
    """Weights as [filter][plane][tap y][tap x][16 channels], and the table of the filters.

    A depthwise convolution is packed as one filter a plane, which reads that plane alone.
    """
    planes = convolution.input.blocks
    filters, channels, height, width = convolution.weight.shape
    weight = convolution.weight
    if convolution.is_depthwise:
        filters, channels = 1, filters
        weight = weight.reshape(1, channels, height, width)
    padded = np.zeros((filters, planes * LANES, height, width), np.float32)
    padded[:, :channels] = weight
    ordered = padded.reshape(filters, planes, LANES, height, width).transpose(0, 1, 3, 4, 2)
    plane = height * width * LANES
    if convolution.is_depthwise:
        table = [Panel(index, LANES, index * plane) for index in range(planes)]
    else:
        table = [Panel(0, planes * LANES, index * planes * plane) for index in range(filters)]
    return packed(ordered), np.array(table, np.int64)


def bind(convolution: Convolution) -> BoundKernel:
    """The convolution computed directly: about one multiply-add for each of the operator's."""
    source, target = convolution.input, convolution.output
    kind = _kind(convolution)
    _, in_height, in_width = source.shape
    filters, out_height, out_width = target.shape
    kernel_height, kernel_width = convolution.weight.shape[2:]
    stride_y, stride_x = convolution.strides
    dilation_y, dilation_x = convolution.dilations
    top, left, _, right = convolution.pads
    pixel_floats = _plane_channels(convolution)
    planar = source.kind == "planar"
    inner = LANES if not planar else 1 if dilation_x > 1 else kernel_width
    planes = source.shape[0] if planar else source.blocks
    blocks = 1
    owned = None
    if kind in ("channels", "groups"):
        blocks = tile_blocks(target.blocks) if convolution.groups == 1 else 1
        weights, table = _pack_panels(convolution, blocks)
        if kind == "groups":
            owned = _owned_channels(convolution, table)
    else:
        weights, table = _pack_lanes(convolution)

    rows, row_pixels, total = out_height, out_width, out_height * out_width
    row_step = stride_y * in_width
    padded_width = left + in_width + right if any(convolution.pads) else 0
    if convolution.is_pointwise:
        row_pixels = row_step = min(CHUNK_PIXELS, total)
        rows = -(-total // row_pixels)
    band_rows = max(1, min(rows, BAND_BYTES // (planes * row_step * pixel_floats * FLOAT_BYTES)))
    extent_y = (kernel_height - 1) * dilation_y + 1
    band_height = (band_rows - 1) * stride_y + extent_y
    bias = np.zeros(target.blocks * LANES, np.float32)
    bias[:filters] = convolution.bias
    activation = convolution.activation
    computed_lanes = last_lanes(kind, filters)
    by_panels = kind in ("channels", "groups")
    executed = weights.size * total
    if by_panels:
        lanes = len(table) * blocks * LANES
        executed = executed // lanes * (lanes - LANES + computed_lanes)
    past_the_last = by_panels and filters % LANES != computed_lanes
    fills_lanes = past_the_last or activation.function is not None
    return BoundKernel(
        name=f"conv2d_direct_{kernel_height}x{kernel_width}",
        function=Kernel(
            "direct", "convolve", (kind, pixel_floats, inner, stride_x, blocks, computed_lanes)
        ),
        parameters=Direct(
            panels=len(table),
            table=table,
            rows=rows,
            row_pixels=row_pixels,
            pixels=total,
            planes=planes,
            height=in_height,
            width=in_width,
            row_step=row_step,
            stride_y=stride_y,
            top=top,
            left=left,
            padded_width=padded_width,
            band_rows=band_rows,
            filter_height=kernel_height,
            filter_columns=1 if planar and inner == kernel_width else kernel_width,
            extent_y=extent_y,
            dilation_y=dilation_y,
            dilation_x=dilation_x,
            weights=weights,
            bias=packed(bias),
            low=activation.low,
            high=activation.high,
            epilogue=activation.epilogue,
            epilogue_constants=activation.epilogue_constants,
            ragged_mask=lane_mask(target) if fills_lanes and filters % LANES else None,
            owned=owned,
        ),
        input_layouts=(source, target) if convolution.residual else (source,),
        output_layout=target,
        scratch_floats=planes * band_height * padded_width * pixel_floats,
        multiply_adds=executed,
    )

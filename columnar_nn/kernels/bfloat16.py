"""Convolutions and dense layers in bfloat16: products of steps of terms and panels of filters.

Inputs and weights are rounded to bfloat16, products summed in float32. An image lies as nhwc_bf16,
so that a step's terms are up to 32 channels of a pixel, or a few pixels of fewer channels. How
products are computed depends on the processor: by tiles of a matrix unit (`bfloat16_tiles`), by
vectors of pairs (`bfloat16_vectors`), or, where it has neither, by tiles that float32 emulates.

Where the operator pads, or steps over lines, the lines are copied first: those that a tap of the
filter reads come to lie one after the other, with zeros around. Steps within a line cost nothing:
pixels may lie any distance apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels import (
    accuracy,
    bfloat16_matrix,
    bfloat16_tiles,
    bfloat16_vectors,
    bfloat16_winograd,
    cost,
    host,
)
from columnar_nn.kernels.activation import NO_ACTIVATION, Activation
from columnar_nn.kernels.bfloat16_product import (
    DEPTH,
    NOTHING_COPIED,
    UNIT,
    CopiedLines,
    Panels,
    Product,
)
from columnar_nn.kernels.convolution import Convolution, resolve
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.layout import BoundKernel, Layout


def tile_kind() -> Literal["amx", "vectors", "emulated"]:
    """What computes products here: AMX's tiles, AVX512_BF16's vectors, or what emulates AMX."""
    if host.has_tiles():
        return "amx"
    return "vectors" if host.has_bfloat16() else "emulated"


def multiplies_matrix(matrix: np.ndarray) -> bool:
    """Whether a constant right factor of rows' matrices has a kernel in bfloat16 here."""
    return tile_kind() == "vectors" and bfloat16_matrix.takes(matrix)


@dataclass(frozen=True)
class Lines:
    """How the lines that a convolution reads lie: as in the image, or copied in phases.

    A phase is the lines that the same taps read: every `stride_y`-th. `pixels` is a line's length.
    """

    phases: tuple[int, ...]
    lines: int
    pixels: int
    copied: bool

    @classmethod
    def of(cls, convolution: Convolution) -> Lines:
        """Those of a convolution."""
        (stride_y, stride_x), (dilation_y, dilation_x) = convolution.strides, convolution.dilations
        _, out_height, out_width = convolution.output.shape
        taps_y, taps_x = convolution.weight.shape[2:]
        rows = [tap * dilation_y for tap in range(taps_y)]
        extent = (out_width - 1) * stride_x + (taps_x - 1) * dilation_x + 1
        _, _, width = convolution.input.shape
        if not any(convolution.pads) and stride_y == 1 and width % stride_x == 0:
            return cls((0,), convolution.input.shape[1], width, copied=False)
        pixels = -(-extent // stride_x) * stride_x
        phases = tuple(sorted({row % stride_y for row in rows}))
        return cls(phases, out_height + max(rows) // stride_y, pixels, copied=True)

    def copies(self, convolution: Convolution) -> CopiedLines:
        """What is to be copied."""
        if not self.copied:
            return NOTHING_COPIED
        top, left, _, _ = convolution.pads
        pixel_bytes = 2 * convolution.input.pixel_items
        return CopiedLines(
            phases=len(self.phases),
            tops=np.array([phase - top for phase in self.phases], np.int64),
            phase_lines=self.lines,
            stride_y=convolution.strides[0],
            height=convolution.input.shape[1],
            image_line_bytes=convolution.input.shape[2] * pixel_bytes,
            left_bytes=left * pixel_bytes,
            line_bytes=self.pixels * pixel_bytes,
        )

    def line_of(self, row: int, stride_y: int) -> int:
        """Number of the line that a filter's row begins with."""
        return self.phases.index(row % stride_y) * self.lines + row // stride_y


WINOGRAD = cost.winograd_name(bfloat16_winograd.M)


def choose_bfloat16(
    x: Layout,
    weight: np.ndarray,
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
    algorithm: str = "auto",
) -> str:
    """What `conv2d_bfloat16` does with `algorithm`: "direct" or "winograd_f4".

    The latter for "auto" and any of Winograd's, where products are vectors' and it pays.
    """
    convolution = resolve(x, weight, None, strides, pads, dilations, groups, NO_ACTIVATION, False)
    return _chosen(convolution, algorithm)


def _chosen(convolution: Convolution, algorithm: str) -> str:
    asked = algorithm == "auto" or algorithm.startswith("winograd")
    pays = asked and tile_kind() == "vectors" and bfloat16_winograd.pays(convolution)
    return WINOGRAD if pays else cost.DIRECT


def conv2d_bfloat16(
    x: Layout,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
    activation: Activation = NO_ACTIVATION,
    algorithm: str = "auto",
    residual: bool = False,
) -> BoundKernel:
    """As `conv2d`, in bfloat16: image, output and residual are nhwc_bf16.

    The activation is an interval, `algorithm` as `choose_bfloat16` takes and gives it. Computed
    directly, NaN spoils what sees it, and where groups of channels share a panel of filters, all of
    these; infinity may make NaN of what sees it. Of Winograd's, Program.run tells.
    """
    if x.kind != "nhwc_bf16":
        raise InvalidModelError(f"a convolution in bfloat16 needs nhwc_bf16, not {x}")
    convolution = resolve(x, weight, bias, strides, pads, dilations, groups, activation, residual)
    if _chosen(convolution, algorithm) == WINOGRAD:
        return bfloat16_winograd.bind(convolution)
    output = Layout("nhwc_bf16", convolution.output.shape)
    lines = Lines.of(convolution)
    width = min(DEPTH, output.pixel_items)
    _, out_height, out_width = output.shape
    stride_x = convolution.strides[1]
    pitch = lines.pixels // stride_x
    positions = np.arange((out_height - 1) * pitch + out_width)
    pixels = positions // pitch * out_width + positions % pitch
    places = np.where(positions % pitch < out_width, pixels * 2 * output.pixel_items, -1)
    depth, panels = _filters(convolution, lines, width)
    return _bound(
        Product(
            name="conv2d_bfloat16",
            layouts=(x, output, *([output] if convolution.residual else [])),
            row_bytes=stride_x * 2 * x.pixel_items,
            depth=depth,
            width=width,
            panels=panels,
            places=places,
            bias=convolution.bias,
            activation=convolution.activation,
            error_bound=accuracy.bound_of_factors(convolution.weight, None, UNIT),
            copied=lines.copies(convolution),
        )
    )


def _filters(convolution: Convolution, lines: Lines, width: int) -> tuple[int, Panels]:
    """A convolution's depth of steps, and its panels of `width` filters."""
    weight, x = convolution.weight, convolution.input
    filters, group_channels, taps_y, taps_x = weight.shape
    dilation_y, dilation_x = convolution.dilations
    filters_a_group = filters // convolution.groups
    lanes = max(width, LANES)
    # Pixels of few channels go together, but none that the filter does not see.
    together = min(DEPTH // min(x.pixel_items, DEPTH), taps_x if dilation_x == 1 else 1)
    channels = min(x.pixel_items, DEPTH)
    depth = together * channels
    offsets, weights = [], []
    for start in range(0, filters, width):
        numbers = np.arange(start, min(start + width, filters))
        firsts = numbers // filters_a_group * group_channels
        begin = firsts[0] // channels * channels
        end = firsts[-1] + group_channels
        # [channel of the panel, tap y, tap x, filter]
        own = np.zeros(
            (-(-(end - begin) // channels) * channels, taps_y, taps_x, lanes), np.float32
        )
        for lane, (number, first) in enumerate(zip(numbers, firsts, strict=True)):
            own[first - begin : first - begin + group_channels, :, :, lane] = weight[number]
        places, matrices = [], []
        for tap_y in range(taps_y):
            line = lines.line_of(tap_y * dilation_y, convolution.strides[0]) * lines.pixels
            for done in range(0, taps_x, together):
                tap_x = min(done, taps_x - together)
                for channel in range(0, len(own), channels):
                    matrix = np.zeros((together, channels, lanes), np.float32)
                    taps = own[channel : channel + channels, tap_y, done : tap_x + together]
                    matrix[done - tap_x :] = taps.transpose(1, 0, 2)
                    pixel = (line + tap_x * dilation_x) * x.pixel_items
                    places.append(2 * (pixel + int(begin) + channel))
                    matrices.append(matrix.reshape(depth, lanes))
        offsets.append(places)
        weights.append(np.stack(matrices))
    return depth, Panels(offsets, weights)


def dense_bfloat16(
    x: Layout,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    activation: Activation = NO_ACTIVATION,
) -> BoundKernel:
    """output[o] = activation(sum over i of weight[o, i] * x[i] + bias[o]), planar float32.

    `weight` is [outputs, inputs], the inputs in ONNX's flatten order (channel, row, column) of x,
    an nhwc_bf16 image. The activation is an interval.
    """
    outputs, inputs = weight.shape
    if x.kind != "nhwc_bf16" or inputs != int(np.prod(x.shape)):
        raise InvalidModelError(f"a dense layer of {inputs} inputs in bfloat16 does not fit {x}")
    channels, height, width = x.shape
    ordered = np.zeros((height * width, x.pixel_items, outputs), np.float32)
    ordered[:, :channels] = weight.T.reshape(channels, height * width, outputs).swapaxes(0, 1)
    rows = ordered.reshape(x.num_items, outputs)
    depth = min(DEPTH, x.num_items)
    steps = -(-x.num_items // depth)
    width = LANES if outputs <= LANES else DEPTH
    panels = -(-outputs // width)
    matrix = np.zeros((steps * depth, panels * width), np.float32)
    whole = (steps - 1) * depth
    matrix[:whole, :outputs] = rows[:whole]
    matrix[steps * depth - (x.num_items - whole) :, :outputs] = rows[whole:]
    places = [2 * min(step * depth, x.num_items - depth) for step in range(steps)]
    split = matrix.reshape(steps, depth, panels, width).transpose(2, 0, 1, 3)
    sums = np.abs(weight).sum(axis=1, dtype=np.float64)
    return _bound(
        Product(
            name="dense_bfloat16",
            layouts=(x, Layout("planar", (outputs,))),
            row_bytes=0,
            depth=depth,
            width=width,
            panels=Panels([places] * panels, list(split)),
            places=np.zeros(1, np.int64),
            bias=np.zeros(outputs, np.float32) if bias is None else np.asarray(bias).reshape(-1),
            activation=activation,
            error_bound=float(sums.max() * 2 * UNIT),
        )
    )


def _bound(product: Product) -> BoundKernel:
    kind = tile_kind()
    if kind == "vectors":
        return bfloat16_vectors.bind(product)
    return bfloat16_tiles.bind(product, kind)

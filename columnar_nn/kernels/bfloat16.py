"""Convolutions and dense layers in bfloat16: products of tiles (`jitted.tiles`).

Inputs and weights are rounded to bfloat16, products summed in float32. An image lies as nhwc_bf16,
so that a tile's row is up to 32 channels of a pixel, or a few pixels of fewer channels, and 16
rows are 16 pixels in a row of outputs, or across the end of one into the next: what is computed
for the pixels between two rows of outputs is dropped. A panel of 32 filters goes over all pixels
before the next, two tiles of pixels by two of filters at a time; of up to 16 filters, four by one.
Only the tiles of pixels are multiplied that there are, and only the results stored that are kept.

Where the operator pads, or steps over lines, the lines are copied first: those that a tap of the
filter reads come to lie one after the other, with zeros around. Steps within a line cost nothing: a
tile's rows may lie any distance apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels import host
from columnar_nn.kernels.activation import NO_ACTIVATION, Activation
from columnar_nn.kernels.convolution import Convolution, resolve
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout, aligned, packed
from columnar_nn.kernels.parameters import BLOCK_BYTES, Blocks, Bytes, Words

DEPTH = 32
"""Terms of a tile's product: bfloat16 in a row of the left one."""

TILE_BYTES = 1024

GROUP_BYTES = 4 * TILE_BYTES
"""Of scratch memory: what the sums of a group of pixels take."""

UNIT = 2.0**-9
"""Largest relative error of rounding to bfloat16."""


class TilePanel(NamedTuple):
    """The steps of a panel of filters: how many, the first one's number, its weights' offset."""

    steps: int
    first: int
    offset: int


class TileProduct(NamedTuple):
    """Of a convolution or dense layer.

    `table` holds a TilePanel for each panel, `offsets` where each step's terms begin after a
    pixel's first, in bytes. Groups are of several tiles of pixels, the last perhaps of fewer:
    `tiles` of all groups, of which `starts` holds where each one's first pixel begins. Rows of a
    tile are `row_bytes` apart. Group g's results that are kept are those from `kept[g]` up to
    `kept[g + 1]`: `places` holds where each goes, times GROUP_BYTES, plus where it lies among the
    group's sums. Weights are [step][block of 16 filters][pair of terms][16 filters x 2]. A panel's
    results are `panel_bytes` from the last one's. Lanes where `mask` is negative become zero.
    `outputs` is how many float32 are written. From `phases` on it is a CopiedLines.
    """

    panels: int
    table: Words
    offsets: Words
    groups: int
    tiles: int
    starts: Words
    kept: Words
    places: Words
    row_bytes: int
    configuration: Bytes
    weights: Bytes
    bias: Blocks
    mask: Blocks
    low: float
    high: float
    panel_bytes: int
    outputs: int
    phases: int
    tops: Words
    phase_lines: int
    stride_y: int
    height: int
    image_line_bytes: int
    left_bytes: int
    line_bytes: int


class CopiedLines(NamedTuple):
    """Lines of an image of `height` that are copied before products read them, in `phases`.

    `tops` holds each phase's first line in the image. It has `phase_lines` lines, `stride_y` apart
    in the image, of `line_bytes`: `left_bytes` of zeros, then those of the image, then zeros.
    """

    phases: int = 0
    tops: np.ndarray = np.zeros(1, np.int64)
    phase_lines: int = 0
    stride_y: int = 1
    height: int = 0
    image_line_bytes: int = 0
    left_bytes: int = 0
    line_bytes: int = 0

    @property
    def num_bytes(self) -> int:
        """What they take."""
        return self.phases * self.phase_lines * self.line_bytes


NOTHING_COPIED = CopiedLines()


def tile_kind() -> Literal["amx", "emulated"]:
    """What computes products of tiles here."""
    return "amx" if host.has_tiles() else "emulated"


def to_bfloat16(values: np.ndarray) -> np.ndarray:
    """float32 rounded to the nearest bfloat16, to the even one of two, as uint16; NaN stays NaN."""
    bits = np.ascontiguousarray(values, np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    quiet = (bits >> 16) | 0x40
    result: np.ndarray = np.where(np.isnan(values), quiet, rounded).astype(np.uint16)
    return result


def configuration(rows: int, depth: int) -> np.ndarray:
    """What makes tiles 0 to 3 `rows` x 16 float32, 4 and 5 as many rows of `depth` bfloat16, and 6
    and 7 half as many rows as that of 16 pairs: 64 bytes as AMX's LDTILECFG takes them.
    """
    memory = aligned(64)
    memory[0] = 1
    memory[16:32].view(np.uint16)[:] = [64] * 4 + [2 * depth] * 2 + [64] * 2
    memory[48:56] = [rows] * 6 + [depth // 2] * 2
    return memory


class Panels(NamedTuple):
    """Filters as steps: for each panel the steps' offsets in bytes, and its weights.

    Weights are float32 [step, depth, filters], zeros where a filter has none.
    """

    offsets: list[list[int]]
    weights: list[np.ndarray]


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


def conv2d_bfloat16(
    x: Layout,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    strides: Sequence[int] = (1, 1),
    pads: Sequence[int] = (0, 0, 0, 0),
    dilations: Sequence[int] = (1, 1),
    groups: int = 1,
    activation: Activation = NO_ACTIVATION,
    residual: bool = False,
) -> BoundKernel:
    """As `conv2d`, in bfloat16: image, output and residual are nhwc_bf16.

    The activation is an interval. NaN spoils what sees it, and where groups of channels share a
    panel of filters, all of these; infinity may make NaN of what sees it.
    """
    if x.kind != "nhwc_bf16":
        raise InvalidModelError(f"a convolution in bfloat16 needs nhwc_bf16, not {x}")
    convolution = resolve(x, weight, bias, strides, pads, dilations, groups, activation, residual)
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
    bound = np.abs(convolution.weight).sum(axis=(1, 2, 3), dtype=np.float64).max()
    return _bound(
        _Product(
            name="conv2d_bfloat16",
            layouts=(x, output, *([output] if convolution.residual else [])),
            row_bytes=stride_x * 2 * x.pixel_items,
            depth=depth,
            width=width,
            panels=panels,
            places=places,
            bias=convolution.bias,
            activation=convolution.activation,
            error_bound=float(bound * (2 * UNIT + UNIT)),
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
        _Product(
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


@dataclass(frozen=True, eq=False)
class _Product:
    """What convolutions and dense layers have in common.

    `layouts` are the input's, the output's and perhaps the residual's; `places` where each pixel's
    results go in the output, or -1, pixels being `row_bytes` apart in what is read.
    """

    name: str
    layouts: tuple[Layout, ...]
    row_bytes: int
    depth: int
    width: int
    panels: Panels
    places: np.ndarray
    bias: np.ndarray
    activation: Activation
    error_bound: float
    copied: CopiedLines = NOTHING_COPIED


def _bound(product: _Product) -> BoundKernel:
    assert product.activation.function is None, "applied by a kernel of its own"
    x, output, *residual = product.layouts
    lanes = max(product.width, LANES)
    blocks = lanes // LANES
    panels, is_float = len(product.panels.weights), output.kind == "planar"
    tiles_down = 4 // blocks
    rows, starts, numbers = _tiles(product.places)
    groups = -(-len(starts) // tiles_down)
    in_group = numbers % (tiles_down * LANES) * (blocks * BLOCK_BYTES)
    goals = product.places[product.places >= 0] * GROUP_BYTES + in_group
    table, offset, first = [], 0, 0
    for weights in product.panels.weights:
        table.append(TilePanel(len(weights), first, offset))
        first += len(weights)
        offset += len(weights) * blocks * TILE_BYTES
    filters = len(product.bias)
    bias, mask = np.zeros((2, panels, lanes), np.float32)
    kept = np.arange(lanes) + product.width * np.arange(panels)[:, np.newaxis]
    used = (np.arange(lanes) < product.width) & (kept < filters)
    bias[used], mask[~used] = product.bias, -1.0
    results = panels * 4 * lanes if is_float else 0
    return BoundKernel(
        name=product.name,
        function=Kernel(
            "bfloat16",
            "product",
            (tile_kind(), product.width, output.kind, len(residual)),
        ),
        parameters=TileProduct(
            panels=panels,
            table=np.array(table, np.int64),
            offsets=np.concatenate(product.panels.offsets).astype(np.int64),
            groups=groups,
            tiles=len(starts),
            starts=np.pad(starts * product.row_bytes, (0, groups * tiles_down - len(starts))),
            kept=np.searchsorted(numbers, np.arange(groups + 1) * tiles_down * LANES),
            places=goals,
            row_bytes=product.row_bytes,
            configuration=configuration(rows, product.depth),
            weights=_packed(product.panels.weights, blocks),
            bias=packed(bias),
            mask=packed(mask),
            low=product.activation.low,
            high=product.activation.high,
            panel_bytes=product.width * (4 if is_float else 2),
            outputs=filters if is_float else 0,
            **product.copied._asdict(),
        ),
        input_layouts=(x, *residual),
        output_layout=output,
        scratch_floats=(3 * GROUP_BYTES + results + product.copied.num_bytes) // 4,
        multiply_adds=first * product.depth * lanes * rows * len(starts),
        error_bound=product.error_bound,
    )


def _tiles(places: np.ndarray) -> tuple[int, np.ndarray, np.ndarray]:
    """Rows of the least tiles that hold so many pixels, each one's first pixel, and of the places
    that are known each one's number in tiles of 16.

    No tile reads past the last pixel: it begins earlier, and what is computed twice is dropped.
    """
    count = len(places)
    rows = -(-count // -(-count // LANES))
    wanted = np.arange(0, count, rows)
    starts = np.minimum(wanted, count - rows)
    pixels = np.flatnonzero(places >= 0)
    tiles = pixels // rows
    return rows, starts, tiles * LANES + pixels - starts[tiles]


def _packed(panels: list[np.ndarray], blocks: int) -> np.ndarray:
    """[step, term, filter] of each panel as the kernel reads it: bytes from a cache line on."""
    steps = sum(map(len, panels))
    memory = aligned(steps * blocks * TILE_BYTES)
    tiles = memory.view(np.uint16).reshape(steps, blocks, LANES, LANES, 2)
    first = 0
    for weights in panels:
        count, depth, _ = weights.shape
        pairs = to_bfloat16(weights).reshape(count, depth // 2, 2, blocks, LANES)
        tiles[first : first + count, :, : depth // 2] = pairs.transpose(0, 3, 1, 4, 2)
        first += count
    return memory

"""An inverted bottleneck whose 1x1 convolutions are products in bfloat16, by vectors of pairs.

As in float32 (`bottleneck`), strip by strip, and what lies between the convolutions never exists as
a whole. What is expanded stays float32 in its ring, as the depthwise convolution reads and clamps
it, whose strip is rounded block by block for the projection. So no layer of it is converted to or
from bfloat16 beyond the first-level cache, which is why one kernel pays however small the image.

Where the processor has no AVX512_BF16, float32 vectors compute what its products would be.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels import bfloat16, bottleneck, depthwise, host
from columnar_nn.kernels.bfloat16_product import (
    DEPTH,
    blocks_of,
    constants_of,
    packed_steps,
)
from columnar_nn.kernels.bfloat16_vectors import is_half
from columnar_nn.kernels.bottleneck import Stages
from columnar_nn.kernels.convolution import Convolution
from columnar_nn.kernels.depthwise import Depthwise
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout, lane_mask, packed
from columnar_nn.kernels.parameters import BLOCK_BYTES, Blocks, Bytes, Code, Floats, Words

DEPTHS = (DEPTH, 24, 16, 8)
"""Terms that a step may have."""


class NarrowPointwise(NamedTuple):
    """Of a 1x1 convolution in bfloat16: `panels` of filters; none if there are 0.

    A pixel that it reads takes `row_bytes`. A panel's weights, as `packed_steps` has them, are
    `steps` whose terms begin at `offsets`. Outputs are clamped to the two `bounds`, and changed by
    an `epilogue` if there is one, as in `bottleneck.Pointwise`. Lanes where `mask` is negative
    become zero where they are stored in bfloat16.
    """

    panels: int
    row_bytes: int
    steps: int
    offsets: Words
    weights: Bytes
    bias: Blocks
    mask: Blocks
    bounds: Floats
    epilogue: Code | None
    epilogue_constants: Blocks | None
    ragged_mask: Blocks | None


class NarrowBottleneck(NamedTuple):
    """As `bottleneck.Bottleneck`. From pixel to pixel are `source_bytes` of the input, and
    `target_bytes` of an output that is projected.
    """

    expand: NarrowPointwise
    depthwise: Depthwise
    project: NarrowPointwise
    ring_rows: int
    source_bytes: int
    target_bytes: int


ARGUMENTS = (
    *("pixels", "source", "row_bytes", "weights", "offsets", "steps", "bias", "mask", "bounds"),
    *("residual", "target", "distance", "is_last"),
)


class PanelKind(NamedTuple):
    """Constants of the panels of a 1x1 convolution: pairs of terms a step, filters, the layout and
    what else is stored, whether the processor multiplies pairs, and whether the last panel has one
    block of filters only. None if there are no pairs.
    """

    pairs: int
    width: int
    output: str
    residuals: int
    ragged: int
    by_instruction: int
    half: int


def panel_kernel(kind: PanelKind) -> Kernel:
    """The kernel of a 1x1 convolution's panel, which all bottlenecks call."""
    return Kernel("bfloat16_bottleneck", "panel", tuple(kind), ARGUMENTS)


def applies(stages: Stages) -> bool:
    """Whether one kernel can compute them: as in float32, but that it reads whole blocks, and of a
    projection adds no more than an interval's limits.
    """
    last = stages.project or stages.depthwise
    return (
        bottleneck.applies(stages)
        and Layout("nhwc_bf16", stages.present[0].input.shape).pixel_items >= LANES
        and (stages.project is None or last.activation.function is None)
        and not (stages.project is None and last.residual)
    )


def pays(stages: Stages) -> bool:
    """Whether it takes less time than a kernel each: where AMX's tiles do not multiply."""
    return bfloat16.tile_kind() != "amx"


def bind(stages: Stages, by_instruction: bool) -> BoundKernel:
    """The convolutions as one kernel, whose second input is the last one's residual if it has one.

    It reads nhwc_bf16, and gives that of a projection, else nchw16c. Raises InvalidModelError where
    the kernel does not apply.
    """
    expand, middle, project = stages
    tiles = depthwise.tiling(middle)
    if tiles is None or not applies(stages):
        raise InvalidModelError("an inverted bottleneck is a depthwise convolution beside 1x1 ones")
    source = Layout("nhwc_bf16", stages.present[0].input.shape)
    output = Layout("nhwc_bf16", project.output.shape) if project else middle.output
    between = depthwise.bind(middle, tiles)
    assert isinstance(between.parameters, Depthwise)
    rows = (host.depthwise_rows() - 1) * tiles.stride_y + tiles.height
    ring_rows = 1 << (rows - 1).bit_length()
    ring = middle.input.blocks * ring_rows * middle.input.shape[2]
    strip_pixels = host.depthwise_rows() * middle.output.shape[2] if project else 0
    strip = strip_pixels * (BLOCK_BYTES + middle.output.blocks * BLOCK_BYTES // 2)
    expand_width = LANES * host.tile_blocks(middle.input.blocks)
    project_width = min(DEPTH, output.pixel_items)
    ragged = int(output.shape[0] % project_width > 0)
    kinds = (
        _kind(expand, expand_width, "nchw16c", 0, by_instruction),
        _kind(project, project_width, "nhwc_bf16", ragged, by_instruction),
    )
    last = stages.present[-1]
    return BoundKernel(
        name=f"inverted_bottleneck_bfloat16_{tiles.height}x{tiles.width}",
        function=Kernel(
            "bfloat16_bottleneck",
            "bottleneck",
            (*kinds[0], *kinds[1], *tiles),
            calls=tuple(panel_kernel(kind) for kind in sorted({*kinds}) if kind.pairs),
        ),
        parameters=NarrowBottleneck(
            expand=_pointwise(expand, 2 * source.pixel_items, expand_width),
            depthwise=between.parameters,
            project=_pointwise(project, 2 * LANES * middle.output.blocks, project_width),
            ring_rows=ring_rows,
            source_bytes=2 * source.pixel_items,
            target_bytes=2 * output.pixel_items if project else 0,
        ),
        input_layouts=(source, output) if last.residual else (source,),
        output_layout=output,
        scratch_floats=ring * LANES + strip // 4,
        multiply_adds=between.multiply_adds + _products(expand) + _products(project),
    )


def _depth(stage: Convolution) -> int:
    """Terms a step: the most that leave the fewest without a channel."""
    channels = -(-stage.input.shape[0] // DEPTHS[-1]) * DEPTHS[-1]
    return next(depth for depth in DEPTHS if channels % depth == 0)


def _kind(
    stage: Convolution | None, width: int, output: str, ragged: int, by_instruction: bool
) -> PanelKind:
    if stage is None:
        return PanelKind(0, width, output, 0, 0, 0, 0)
    pairs, residuals = _depth(stage) // 2, int(stage.residual)
    half = int(is_half(stage.weight.shape[0], width))
    return PanelKind(pairs, width, output, residuals, ragged, int(by_instruction), half)


def _products(stage: Convolution | None) -> int:
    """Multiply-adds that are executed."""
    if stage is None:
        return 0
    channels, depth = stage.input.shape[0], _depth(stage)
    filters, height, width = stage.output.shape
    return -(-channels // depth) * depth * -(-filters // LANES) * LANES * height * width


def _pointwise(stage: Convolution | None, row_bytes: int, width: int) -> NarrowPointwise:
    """What a 1x1 convolution is for this kernel, in panels of `width` filters."""
    if stage is None:
        nothing, none = np.zeros(1, np.int64), packed(np.zeros(LANES))
        empty = nothing.view(np.uint8)
        return NarrowPointwise(0, 0, 0, nothing, empty, none, none, none, None, None, None)
    depth = _depth(stage)
    filters, channels = stage.weight.shape[:2]
    steps, panels = -(-channels // depth), -(-filters // width)
    matrix = np.zeros((steps * depth, panels * blocks_of(width) * LANES), np.float32)
    matrix[:channels, :filters] = stage.weight[:, :, 0, 0].T
    split = matrix.reshape(steps, depth, panels, -1).transpose(2, 0, 1, 3)
    bias, mask = constants_of(stage.bias, width)
    activation = stage.activation
    fills_lanes = activation.function is not None or not activation.low <= 0 <= activation.high
    return NarrowPointwise(
        panels=panels,
        row_bytes=row_bytes,
        steps=steps,
        offsets=np.arange(steps, dtype=np.int64) * 2 * depth,
        weights=packed_steps(list(split)),
        bias=bias,
        mask=mask,
        bounds=packed(np.array([activation.low, activation.high], np.float32)),
        epilogue=activation.epilogue,
        epilogue_constants=activation.epilogue_constants,
        ragged_mask=lane_mask(stage.output) if fills_lanes and filters % LANES else None,
    )

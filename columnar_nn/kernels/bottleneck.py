"""An inverted bottleneck bound to weights: expand, depthwise and project as one kernel.

What lies between the three convolutions may be several times as large as what enters and leaves
them. Here it never exists as a whole: for each strip of rows of the depthwise convolution's output,
the rows of its input that are missing are expanded into a ring of the last few, and the strip
itself is projected before the next one. Both stay in the second-level cache.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels import depthwise, direct, host
from columnar_nn.kernels.convolution import Convolution
from columnar_nn.kernels.depthwise import Depthwise
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, packed
from columnar_nn.kernels.parameters import Blocks, Code, Floats

CACHED_BYTES = 2**20
"""Of the tensor between two convolutions, from which on they are better computed by strips: a
second-level cache.
"""


class Pointwise(NamedTuple):
    """Of a 1x1 convolution: `panels` of filters, as in `direct.Direct`; none if there are 0. Each
    reads all `channels`.

    Outputs are clamped to the two `bounds`.
    """

    panels: int
    channels: int
    weights: Floats
    bias: Floats
    bounds: Floats
    epilogue: Code | None
    epilogue_constants: Blocks | None
    ragged_mask: Blocks | None


class Bottleneck(NamedTuple):
    """Of an inverted bottleneck; `ring_rows`, a power of two, are those of the expanded image that
    are kept.
    """

    expand: Pointwise
    depthwise: Depthwise
    project: Pointwise
    ring_rows: int


ARGUMENTS = (
    *(
        "pixels",
        "is_last",
        "channels",
        "source",
        "plane",
        "weights",
        "bias",
        "bounds",
        "residual",
        "target",
    ),
    "out_plane",
)


def panel_kernel(filter_blocks: int, last_lanes: int) -> Kernel:
    """The kernel of a 1x1 convolution's panel, which all bottlenecks call."""
    return Kernel("bottleneck", "panel", (filter_blocks, last_lanes), ARGUMENTS)


def _panel(stage: Convolution | None) -> tuple[int, int]:
    """Constants of the panels of a 1x1 convolution: blocks of filters, none if it is missing, and
    lanes of the last one.
    """
    if stage is None:
        return 0, LANES
    lanes = direct.last_lanes("channels", stage.output.shape[0])
    return host.tile_blocks(stage.output.blocks), lanes


_NONE = packed(np.zeros(1))

NOTHING = Pointwise(0, 0, _NONE, _NONE, _NONE, None, None, None)


class Stages(NamedTuple):
    """Convolutions of which each reads what the one before gives; the first or the last may be
    missing. The last one may have a residual.
    """

    expand: Convolution | None
    depthwise: Convolution
    project: Convolution | None

    @property
    def present(self) -> list[Convolution]:
        """Those that are there, in order."""
        return [stage for stage in self if stage is not None]


def applies(stages: Stages) -> bool:
    """Whether one kernel can compute them."""
    pointwise = [stage for stage in (stages.expand, stages.project) if stage is not None]
    return (
        bool(pointwise)
        and all(_is_plain(stage) for stage in pointwise)
        and not any(stage.residual for stage in stages.present[:-1])
        and depthwise.tiling(stages.depthwise) is not None
    )


def _is_plain(stage: Convolution) -> bool:
    return stage.is_pointwise and stage.groups == 1 and stage.weight.shape[0] > direct.FEW_FILTERS


def pays(stages: Stages) -> bool:
    """Whether what then is not written as a whole would not stay in the cache."""
    between = [stages.depthwise.input] if stages.expand else []
    between += [stages.depthwise.output] if stages.project else []
    return max(layout.num_bytes for layout in between) > CACHED_BYTES


def bind(stages: Stages) -> BoundKernel:
    """The convolutions as one kernel, whose second input is the last one's residual if it has one.

    Every output is, bit for bit, what they give one by one. Raises InvalidModelError where the
    kernel does not apply.
    """
    expand, middle, project = stages
    tiles = depthwise.tiling(middle)
    if tiles is None or not applies(stages):
        raise InvalidModelError("an inverted bottleneck is a depthwise convolution beside 1x1 ones")
    expanding = direct.bind(expand) if expand else None
    projecting = direct.bind(project) if project else None
    between = depthwise.bind(middle, tiles)
    assert isinstance(between.parameters, Depthwise)
    rows = (host.depthwise_rows() - 1) * tiles.stride_y + tiles.height
    ring_rows = 1 << (rows - 1).bit_length() if expand else 0
    ring = middle.input.blocks * ring_rows * middle.input.shape[2]
    strip = middle.output.blocks * host.depthwise_rows() * middle.output.shape[2] if project else 0
    panels = _panel(expand), _panel(project)
    first, last = stages.present[0], stages.present[-1]
    return BoundKernel(
        name=f"inverted_bottleneck_{tiles.height}x{tiles.width}",
        function=Kernel(
            "bottleneck",
            "bottleneck",
            (*panels[0], *panels[1], *tiles),
            calls=tuple(panel_kernel(*panel) for panel in sorted({*panels}) if panel[0]),
        ),
        parameters=Bottleneck(
            _pointwise(expanding), between.parameters, _pointwise(projecting), ring_rows
        ),
        input_layouts=(first.input, last.output) if last.residual else (first.input,),
        output_layout=last.output,
        scratch_floats=(ring + strip) * LANES,
        multiply_adds=sum(k.multiply_adds for k in (expanding, between, projecting) if k),
    )


def _pointwise(stage: BoundKernel | None) -> Pointwise:
    """What a 1x1 convolution bound by `direct` has, for this kernel."""
    if stage is None:
        return NOTHING
    p = stage.parameters
    assert isinstance(p, direct.Direct)
    return Pointwise(
        panels=p.panels,
        channels=direct.Panel(*map(int, p.table[0])).channels,
        weights=p.weights,
        bias=p.bias,
        bounds=packed(np.array([p.low, p.high], np.float32)),
        epilogue=p.epilogue,
        epilogue_constants=p.epilogue_constants,
        ragged_mask=p.ragged_mask,
    )

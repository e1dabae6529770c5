"""Dense layer (ONNX Gemm with transB, or MatMul) bound to its weights."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels import host
from columnar_nn.kernels.activation import NO_ACTIVATION, Activation
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout, lane_mask, packed
from columnar_nn.kernels.parameters import Blocks, Code


class Dense(NamedTuple):
    """Of a dense layer whose inputs are `runs` of `inner` floats, each from another block on.

    A group of images is a product of matrices: weights are read once for all of them.

    Weights are [block of outputs][run][inner][16]. Outputs are clamped to `low` and `high`,
    and changed by an `epilogue` if there is one. `ragged_mask` is the last block's lanes past the
    last output, if there are any; those are written, as zeros, if the output `fills_blocks`.
    """

    outputs: int
    runs: int
    inner: int
    weights: Blocks
    bias: Blocks
    low: float
    high: float
    epilogue: Code | None
    epilogue_constants: Blocks | None
    ragged_mask: Blocks | None
    fills_blocks: bool


def dense(
    x: Layout,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    activation: Activation = NO_ACTIVATION,
    as_image: bool = False,
) -> BoundKernel:
    """output[o] = activation(sum over i of weight[o, i] * x[i] + bias[o]), planar; or nchw16c, an
    image of one pixel.

    `weight` is [outputs, inputs] with the inputs in ONNX's flatten order (channel, row,
    column); where x is nchw16c it is permuted here, once.
    """
    outputs, inputs = weight.shape
    if inputs != int(np.prod(x.shape)) or x.kind not in ("planar", "nchw16c"):
        raise InvalidModelError(f"a dense layer of {inputs} inputs does not fit {x}")
    target = Layout("nchw16c", (outputs, 1, 1)) if as_image else Layout("planar", (outputs,))
    blocks = -(-outputs // LANES)
    rows = np.zeros((blocks * LANES, inputs), np.float32)
    rows[:outputs] = weight
    if x.kind == "nchw16c":
        channels, height, width = x.shape
        pixels, inner = height * width, min(channels, LANES)
        padded = np.zeros((blocks * LANES, x.blocks * inner, pixels), np.float32)
        padded[:, :channels] = rows.reshape(blocks * LANES, channels, pixels)
        split = padded.reshape(blocks, LANES, x.blocks, inner, pixels)
        ordered = split.transpose(0, 2, 4, 3, 1)
        runs, inner = (pixels, inner) if inner < LANES else (1, x.num_items)
    else:
        runs, inner = 1, inputs
        ordered = rows.reshape(blocks, LANES, inputs).transpose(0, 2, 1)
    weights = packed(ordered)
    offsets = np.zeros(blocks * LANES, np.float32)
    if bias is not None:
        offsets[:outputs] = np.asarray(bias).reshape(-1)
    return BoundKernel(
        name="dense",
        function=Kernel("dense", "dense"),
        parameters=Dense(
            outputs=outputs,
            runs=runs,
            inner=inner,
            weights=weights,
            bias=packed(offsets),
            low=activation.low,
            high=activation.high,
            epilogue=activation.epilogue,
            epilogue_constants=activation.epilogue_constants,
            ragged_mask=lane_mask(target) if outputs % LANES else None,
            fills_blocks=target.kind == "nchw16c",
        ),
        input_layouts=(x,),
        output_layout=target,
        scratch_floats=LANES * (1 + host.tile_pixels()),
        multiply_adds=weights.size,
        at_once=True,
    )

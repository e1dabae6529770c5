"""Dense layer (ONNX Gemm with transB, or MatMul) bound to its weights."""

from __future__ import annotations

import numpy as np

from columnar_nn.errors import InvalidModelError, UsageError
from columnar_nn.kernels.convolution import BOUNDS
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout, packed
from columnar_nn.kernels.parameters import address


def dense(
    x: Layout, weight: np.ndarray, bias: np.ndarray | None = None, activation: str | None = None
) -> BoundKernel:
    """output[o] = activation(sum over i of weight[o, i] * x[i] + bias[o]), planar.

    `weight` is [outputs, inputs] with the inputs in ONNX's flatten order (channel, row,
    column); where x is nchw16c it is permuted here, once.
    """
    if activation not in BOUNDS:
        known = ", ".join(str(name) for name in BOUNDS)
        raise UsageError(f"no dense layer applies activation {activation!r}: use {known}")
    outputs, inputs = weight.shape
    if inputs != int(np.prod(x.shape)) or x.kind not in ("planar", "nchw16c"):
        raise InvalidModelError(f"a dense layer of {inputs} inputs does not fit {x}")
    blocks = -(-outputs // LANES)
    rows = np.zeros((blocks * LANES, inputs), np.float32)
    rows[:outputs] = weight
    if x.kind == "nchw16c":
        channels, height, width = x.shape
        inner = min(channels, LANES)
        planes, runs, run_bytes = x.blocks, height * width, 4 * LANES
        padded = np.zeros((blocks * LANES, planes * inner, height * width), np.float32)
        padded[:, :channels] = rows.reshape(blocks * LANES, channels, height * width)
        ordered = padded.reshape(blocks, LANES, planes, inner, runs).transpose(0, 2, 4, 3, 1)
    else:
        inner = next(size for size in (16, 8, 4, 2, 1) if inputs % size == 0)
        planes, runs, run_bytes = 1, inputs // inner, 4 * inner
        ordered = rows.reshape(blocks, LANES, inputs).transpose(0, 2, 1)
    weights = packed(ordered)
    offsets = np.zeros(blocks * LANES, np.float32)
    if bias is not None:
        offsets[:outputs] = np.asarray(bias).reshape(-1)
    offsets = packed(offsets)
    bounds = np.array(BOUNDS[activation], np.float32)
    parameters = [
        outputs,
        planes,
        runs * run_bytes,
        runs,
        run_bytes,
        *map(address, (weights, offsets, bounds)),
    ]
    return BoundKernel(
        name="dense",
        function=Kernel("dense", "dense", (inner,)),
        parameters=np.array(parameters, np.int64),
        input_layouts=(x,),
        output_layout=Layout("planar", (outputs,)),
        keep_alive=(weights, offsets, bounds),
        scratch_floats=LANES,
        multiply_adds=weights.size,
    )

"""Dense layer: 16 outputs at a time, inputs broadcast one by one."""

from __future__ import annotations

from columnar_nn.kernels.emit import tile
from columnar_nn.kernels.emit.emitter import FLOAT, Emitter, Value


def dense(
    e: Emitter,
    parameters: Value,
    source: Value,
    _second: Value,
    target: Value,
    scratch: Value,
    part: Value,
    parts: Value,
    inner: int,
) -> None:
    """Inputs come in runs of `inner` consecutive floats. Parts share the 16-output blocks.

    Parameters: outputs, planes, bytes from plane to plane, runs in a plane, bytes from run to
    run, addresses of the weights, the bias and the bounds.
    """
    outputs, planes, plane_bytes, runs, run_bytes, weights, bias, bounds = e.load_words(
        parameters, 8
    )
    low = e.splat(e.load(bounds, FLOAT), e.width)
    high = e.splat(e.load(bounds + 4, FLOAT), e.width)
    first, last = e.share((outputs + 15) // 16, part, parts)
    with e.loop(last, first) as block:
        sums = tile.tile_of(e, 1, tile.load_row(e, bias + block * 64))
        panel = weights + block * (planes * runs * (inner * 64))
        loops = ((planes, plane_bytes), (runs, run_bytes))
        tile.add_channels(e, sums, 64, inner, source, panel, loops)
        whole = (block + 1) * 16 <= outputs
        row = target + block * 64
        destination = whole.select(row, scratch)
        for _, place, value in tile.placed(e, tile.values(sums)):
            e.store(destination + place, e.clamp(value, low, high))
        with e.when(destination.equals(scratch)):
            e.copy(row, scratch, (outputs - block * 16) * 4)

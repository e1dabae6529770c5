"""Resize of any axes of a row, by passes over images."""

from __future__ import annotations

import math

from columnar_nn.expressions.expression import Expression
from columnar_nn.functions.resize import DEFAULTS
from columnar_nn.lowering.registry import Gap, call, lowers, need_one_tensor
from columnar_nn.model.shape_rules.operands import Operands
from columnar_nn.model.shape_rules.resize import Resized, resized_axes


@lowers("Resize")
def _resize(operands: Operands, inputs: list[Expression]) -> Expression:
    """The last two axes are an image's; any other is the height of one as wide as what follows."""
    need_one_tensor(operands, inputs)
    resized = resized_axes(operands)
    rows = resized.pop(0, None)
    if rows is not None and rows != Resized(rows.size, rows.size, 1.0):
        raise Gap("resized rows")
    row = [size for size in operands.shape(0)[1:] if size is not None]
    given = {name: operands.attribute(name) for name in DEFAULTS if name != "roi"}
    value, rank = inputs[0], len(row)
    image = {rank - 1, rank - 2} & {axis - 1 for axis in resized}
    passes = [[rank - 2, rank - 1]] if image else []
    passes += [[axis - 1] for axis in sorted(resized) if axis - 1 not in image]
    for axes in passes:
        down = axes[0]
        height = row[down] if down >= 0 else 1
        behind = math.prod(row[down + 1 :])
        shape = [math.prod(row[: max(down, 0)]), height, behind]
        vertical = resized.get(down + 1) if down >= 0 else None
        both = [vertical or Resized(height, height, 1.0)]
        across = resized.get(axes[1] + 1) if len(axes) > 1 else None
        both.append(across or Resized(behind, behind, 1.0))
        if shape != row:
            value = call(operands, "reshape", [value], shape=shape)
        value = call(
            operands,
            "resize",
            [value],
            sizes=[axis.count for axis in both],
            scales=[axis.scale for axis in both],
            roi=[*(axis.start for axis in both), *(axis.end for axis in both)],
            **given,
        )
        for axis in axes:
            if axis >= 0 and axis + 1 in resized:
                row[axis] = resized[axis + 1].count
        made = [shape[0], both[0].count, both[1].count]
        if made != row:
            value = call(operands, "reshape", [value], shape=list(row))
    return value

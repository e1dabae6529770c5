"""Operators that only move or rename elements: none may move them from row to row."""

from __future__ import annotations

from columnar_nn.expressions.expression import Expression
from columnar_nn.lowering.registry import Gap, call, lowers, need_one_tensor
from columnar_nn.model.operators import RENAMING
from columnar_nn.model.shape_rules.movement import gathered, permutation, slice_bounds
from columnar_nn.model.shape_rules.operands import Operands, normalized_axes, normalized_axis
from columnar_nn.model.shapes import output_shapes


@lowers("Flatten", "Reshape", "Squeeze", "Unsqueeze")
def _reshape(operands: Operands, inputs: list[Expression]) -> Expression:
    """Flatten, Reshape, Squeeze and Unsqueeze, as long as a row stays a row."""
    need_one_tensor(operands, inputs)
    (target,) = output_shapes(operands)
    source = operands.shape(0)
    if not target or not source or target[0] != source[0] or None in target[1:]:
        raise Gap(f"{source} as {target} would mix rows")
    row = [dimension for dimension in target[1:] if dimension is not None]
    if len(row) == 1:
        return call(operands, "flatten", inputs)
    return call(operands, "reshape", inputs, shape=row)


@lowers(*RENAMING)
def _identity(operands: Operands, inputs: list[Expression]) -> Expression:
    if not inputs:
        raise Gap("of a constant")
    return inputs[0]


@lowers("Concat")
def _concat(operands: Operands, inputs: list[Expression]) -> Expression:
    shape = operands.shape(0)
    if len(inputs) != len(operands.shapes):
        raise Gap("a constant among its inputs")
    if len(inputs) == 1:
        return inputs[0]
    axis = normalized_axis(operands.attribute("axis"), len(shape))
    if axis == 0:
        raise Gap("axis 0 would mix rows")
    return call(operands, "concat", inputs, axis=axis)


@lowers("Slice")
def _slice(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    shape = operands.shape(0)
    bounds = slice_bounds(operands)
    rows = bounds.pop(0, slice(None))
    if rows != slice(None) and (shape[0] is None or range(shape[0])[rows] != range(shape[0])):
        raise Gap("a slice of the rows")
    of_axes = [bounds.get(axis, slice(None)) for axis in range(1, len(shape))]
    (result,) = output_shapes(operands)
    if 0 in result:
        raise Gap(f"a result without elements, {result}")
    return call(
        operands,
        "slice",
        inputs,
        starts=[bound.start or 0 for bound in of_axes],
        stops=[bound.stop for bound in of_axes],
        steps=[bound.step or 1 for bound in of_axes],
    )


@lowers("Transpose")
def _transpose(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    batch, *perm = permutation(operands)
    if batch != 0:
        raise Gap("a row would not stay a row")
    return call(operands, "transpose", inputs, perm=[axis - 1 for axis in perm])


@lowers("Pad")
def _pad(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    rank = len(operands.shape(0))
    pads, axes = operands.integer_input(1, "pads"), operands.integer_input(3, "axes")
    axes = normalized_axes(range(rank) if axes is None else axes, rank)
    value = operands.constant(2, "the value")
    begins, ends = [0] * rank, [0] * rank
    for index, axis in enumerate(axes):
        assert pads is not None
        begins[axis], ends[axis] = pads[index], pads[index + len(axes)]
    if begins[0] or ends[0]:
        raise Gap("rows added or left out")
    return call(
        operands,
        "pad",
        inputs,
        pads=[*begins[1:], *ends[1:]],
        mode=operands.attribute("mode"),
        value=0.0 if value is None else float(value.reshape(-1)[0]),
    )


@lowers("Expand")
def _expand(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    (result,) = output_shapes(operands)
    source = operands.shape(0)
    if len(result) > len(source) or result[0] != source[0]:
        raise Gap(f"expanding {source} to {result} would mix rows")
    if 0 in result:
        raise Gap(f"a result without elements, {result}")
    return call(operands, "expand", inputs, shape=list(result[1:]))


@lowers("Tile")
def _tile(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    rows, *repeats = operands.integer_input(1, "the repeats") or []
    if rows != 1:
        raise Gap("repeated rows")
    if 0 in repeats:
        raise Gap("a result without elements")
    return call(operands, "tile", inputs, repeats=repeats)


@lowers("Gather")
def _gather(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    axis, indices = gathered(operands)
    (result,) = output_shapes(operands)
    if axis == 0 and operands.shape(0)[0] == 1 and indices.shape == (1,):
        return inputs[0]
    if axis == 0:
        raise Gap("rows picked")
    row = [size for size in result[1:] if size is not None]
    if 0 in row:
        raise Gap(f"a result without elements, {result}")
    picked = call(operands, "gather", inputs, {"indices": indices.reshape(-1)}, axis=axis)
    return picked if indices.ndim == 1 else call(operands, "reshape", [picked], shape=row)

"""Operators that work element by element."""

from __future__ import annotations

from typing import Any

import numpy as np

from columnar_nn.expressions.expression import Expression
from columnar_nn.functions.vector_function import function_name
from columnar_nn.lowering.registry import Gap, Lowering, call, lowers, need_one_tensor
from columnar_nn.model.operators import OPERATORS, UNARY
from columnar_nn.model.shape_rules.operands import Operands
from columnar_nn.model.shapes import output_shapes


@lowers("BatchNormalization")
def _batch_norm(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    weights = {}
    for index, role in enumerate(("scale", "bias", "mean", "variance"), start=1):
        value = operands.constant(index, role)
        assert value is not None
        weights[role] = value
    epsilon = operands.attribute("epsilon")
    return call(operands, "batch_norm", inputs, weights, epsilon=epsilon)


@lowers(*UNARY)
def _unary(operands: Operands, inputs: list[Expression]) -> Expression:
    """The vector function that is called as the operator is, with its attributes."""
    op_type = operands.node.op_type
    given = {name: operands.attribute(name) for name in OPERATORS[op_type].defaults}
    return call(operands, function_name(op_type), inputs, **given)


@lowers("Gelu")
def _gelu(operands: Operands, inputs: list[Expression]) -> Expression:
    form = operands.attribute("approximate")
    if form not in ("none", "tanh"):
        raise Gap(f"no approximation {form!r}")
    return call(operands, "gelu" if form == "none" else "gelu_tanh", inputs)


@lowers("Clip")
def _clip(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    bounds: dict[str, Any] = {}
    for index, name in ((1, "min"), (2, "max")):
        bound = operands.constant(index, name)
        if bound is not None:
            bounds[name] = float(bound.reshape(-1)[0])
    return call(operands, "clip", inputs, **bounds)


def _computed(operands: Operands) -> int:
    """Which of two inputs is no constant."""
    return 0 if operands.constants[0] is None else 1


def _fitting(operands: Operands, constant: np.ndarray) -> np.ndarray:
    """A constant as [1], [C] or the shape of a whole row of the result."""
    constant = constant.astype(np.float32, copy=False)  # truth values too
    (shape,) = output_shapes(operands)
    if constant.size == 1:
        return constant.reshape(1)
    batch, *row = (1,) * (len(shape) - constant.ndim) + constant.shape
    if batch != 1:
        raise Gap(f"a constant of shape {constant.shape} differs from row to row")
    if row and constant.size == row[0] == shape[1]:
        return constant.reshape(-1)
    whole = np.broadcast_to(constant.reshape(row), [size for size in shape[1:] if size is not None])
    return np.ascontiguousarray(whole)


def broadcast(operands: Operands, index: int, value: Expression) -> Expression:
    """A computed input in the shape of the result."""
    (result,) = output_shapes(operands)
    shape = operands.shape(index)
    if shape == result:
        return value
    if len(shape) != len(result) or shape[0] != result[0]:
        raise Gap(f"broadcasting {shape} to {result} would mix rows")
    return call(operands, "expand", [value], shape=list(result[1:]))


@lowers("PRelu")
def _prelu(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    slope = operands.constant(1, "the slope")
    assert slope is not None
    return call(operands, "prelu", inputs, {"slope": _fitting(operands, slope)})


def _arithmetic(operation: str) -> Lowering:
    def lowering(operands: Operands, inputs: list[Expression]) -> Expression:
        if len(inputs) == 2:
            return _of_two_tensors(operation, operands, inputs)
        left, right = operands.constants
        given = right if left is None else left
        assert given is not None
        constant = _fitting(operands, given)
        tensor = [broadcast(operands, _computed(operands), inputs[0])]
        one_each = constant.ndim == 1
        if operation == "mul" and one_each:
            return call(operands, "vec_scal_mul", tensor, {"scale": constant})
        if operation == "add" and one_each:
            return call(operands, "vec_scal_add", tensor, {"offset": constant})
        if operation == "sub" and one_each and left is None:
            return call(operands, "vec_scal_add", tensor, {"offset": -constant})
        result = call(operands, f"vec_{operation}", tensor, {"constant": constant})
        return result if left is None else result.replaced(inputs=result.inputs[::-1])

    return lowering


_COMMUTATIVE = frozenset({"add", "mul", "max", "min", "equal", "and", "or"})


def _of_two_tensors(operation: str, operands: Operands, inputs: list[Expression]) -> Expression:
    first, second = operands.shape(0), operands.shape(1)
    if operation in _COMMUTATIVE and len(second) == 4 and first == (*second[:2], 1, 1):
        first, second, inputs = second, first, inputs[::-1]
    elif not (len(first) == 4 and second == (*first[:2], 1, 1)):  # which kernels broadcast
        inputs = [broadcast(operands, index, value) for index, value in enumerate(inputs)]
    return call(operands, f"vec_{operation}", inputs)


for _op_type in (
    *("Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"),
    *("Max", "Min", "Mul", "Or", "Sub"),
):
    lowers(_op_type)(_arithmetic(function_name(_op_type)))


@lowers("Pow")
def _pow(operands: Operands, inputs: list[Expression]) -> Expression:
    """A small whole power as products, which are exact or nearly, and many times as fast."""
    exponent = operands.constants[1]
    if exponent is not None and exponent.size == 1 and exponent.item() in (2.0, 3.0):
        tensor = broadcast(operands, 0, inputs[0])
        square = call(operands, "vec_mul", [tensor, tensor])
        return square if exponent.item() == 2 else call(operands, "vec_mul", [square, tensor])
    return _arithmetic("pow")(operands, inputs)


@lowers("Not")
def _not(operands: Operands, inputs: list[Expression]) -> Expression:
    one_less = call(operands, "vec_sub", inputs, {"constant": np.ones(1, np.float32)})
    return one_less.replaced(inputs=one_less.inputs[::-1])


@lowers("Where")
def _where(operands: Operands, inputs: list[Expression]) -> Expression:
    """What is kept of one and what of the other, added: zeros where the mask says so."""
    computed = iter(inputs)
    condition, yes, no = (
        broadcast(operands, index, next(computed)) if constant is None else constant
        for index, constant in enumerate(operands.constants)
    )
    parts = [_masked("keep", operands, yes, condition), _masked("drop", operands, no, condition)]
    tensors = [part for part in parts if isinstance(part, Expression)]
    constants = [part for part in parts if isinstance(part, np.ndarray) and part.any()]
    if not constants:
        return tensors[0] if len(tensors) == 1 else call(operands, "vec_add", tensors)
    return call(operands, "vec_add", tensors, {"constant": _fitting(operands, constants[0])})


def _masked(
    operation: str,
    operands: Operands,
    value: Expression | np.ndarray,
    mask: Expression | np.ndarray,
) -> Expression | np.ndarray:
    function, role = f"vec_{operation}", f"{operation}.constant"
    if isinstance(value, np.ndarray):
        if isinstance(mask, np.ndarray):
            kept: np.ndarray = np.where(mask if operation == "keep" else ~mask, value, 0)
            return kept
        if not value.any():
            return value
        made = call(operands, function, [mask], {role: _fitting(operands, value)})
        return made.replaced(inputs=made.inputs[::-1])
    if isinstance(mask, np.ndarray):
        return call(operands, function, [value], {role: _fitting(operands, mask)})
    return call(operands, function, [value, mask])

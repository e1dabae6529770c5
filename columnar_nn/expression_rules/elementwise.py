"""Operators that work element by element."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from columnar_nn.expression_rules.rule import Gap, Rule, call, need_one_tensor
from columnar_nn.expressions import Expression
from columnar_nn.shape_rules.operands import Operands


def _batch_norm(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    weights = {}
    for index, role in enumerate(("scale", "bias", "mean", "variance"), start=1):
        value = operands.constant(index, role)
        assert value is not None
        weights[role] = value
    epsilon = operands.attribute("epsilon", 1e-5)
    return call(operands, "batch_norm", inputs, weights, epsilon=epsilon)


def _unary(function: str, **defaults: float) -> Callable[[Operands, list[Expression]], Expression]:
    def rule(operands: Operands, inputs: list[Expression]) -> Expression:
        given = {name: operands.attribute(name, value) for name, value in defaults.items()}
        return call(operands, function, inputs, **given)

    return rule


def _clip(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    bounds: dict[str, Any] = {}
    for index, name in ((1, "min"), (2, "max")):
        bound = operands.constant(index, name)
        if bound is not None:
            bounds[name] = float(bound.reshape(-1)[0])
    return call(operands, "clip", inputs, **bounds)


def _by_channel(operands: Operands, constant: np.ndarray) -> np.ndarray:
    """A constant that broadcasts against the first input, as [1] or [C]; or a Gap."""
    if constant.size == 1:
        return constant.reshape(1)
    rank = len(operands.shape(operands.constants.index(None)))
    aligned = (1,) * (rank - constant.ndim) + constant.shape
    if len(aligned) > rank or rank < 2 or constant.size != aligned[1]:
        raise Gap(f"a constant of shape {constant.shape} is not one value a channel")
    return constant.reshape(-1)


def _prelu(operands: Operands, inputs: list[Expression]) -> Expression:
    need_one_tensor(operands, inputs)
    slope = operands.constant(1, "the slope")
    assert slope is not None
    return call(operands, "prelu", inputs, {"slope": _by_channel(operands, slope)})


def _arithmetic(operation: str) -> Callable[[Operands, list[Expression]], Expression]:
    def rule(operands: Operands, inputs: list[Expression]) -> Expression:
        if len(inputs) == 2:
            return _of_two_tensors(operation, operands, inputs)
        left, right = operands.constants
        constant = _by_channel(operands, right if left is None else left)  # type: ignore[arg-type]
        if operation == "div":
            if left is not None:
                raise Gap("a constant divided by a tensor")
            return call(operands, "vec_scal_mul", inputs, {"scale": _reciprocal(constant)})
        if operation == "mul":
            return call(operands, "vec_scal_mul", inputs, {"scale": constant})
        if operation == "sub" and left is not None:
            inputs = [
                call(operands, "vec_scal_mul", inputs, {"sign": np.array([-1.0], np.float32)})
            ]
        elif operation == "sub":
            constant = -constant
        return call(operands, "vec_scal_add", inputs, {"offset": constant})

    return rule


def _reciprocal(constant: np.ndarray) -> np.ndarray:
    """1 / constant where that loses nothing; otherwise the quotient would be rounded twice."""
    mantissas, _ = np.frexp(constant)
    if not np.all(np.abs(mantissas) == 0.5):
        raise Gap("division by a constant that is not a power of two")
    result: np.ndarray = np.float32(1) / constant
    return result


def _of_two_tensors(operation: str, operands: Operands, inputs: list[Expression]) -> Expression:
    first, second = operands.shape(0), operands.shape(1)
    per_channel = len(first) == 4 and second == (*first[:2], 1, 1)
    commutes = operation in ("add", "mul")
    if commutes and len(second) == 4 and first == (*second[:2], 1, 1) and first != second:
        inputs = inputs[::-1]
    elif first != second and not per_channel:
        raise Gap(f"broadcasting {second} against {first}")
    return call(operands, f"vec_{operation}", inputs)


RULES: dict[str, Rule] = {
    "BatchNormalization": _batch_norm,
    "Relu": _unary("relu"),
    "LeakyRelu": _unary("leaky_relu", alpha=0.01),
    "Sigmoid": _unary("sigmoid"),
    "Tanh": _unary("tanh"),
    "HardSigmoid": _unary("hard_sigmoid", alpha=0.2, beta=0.5),
    "HardSwish": _unary("hard_swish"),
    "Clip": _clip,
    "PRelu": _prelu,
    "Add": _arithmetic("add"),
    "Sub": _arithmetic("sub"),
    "Mul": _arithmetic("mul"),
    "Div": _arithmetic("div"),
}

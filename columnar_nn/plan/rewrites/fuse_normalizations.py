"""fuse_normalizations: a layer normalization that exporters write as single operators.

    vec_div(d, sqrt(vec_scal_add(reduce_mean(vec_mul(d, d)), epsilon)))  ->  layer_norm(x)
        where d = vec_sub(x, reduce_mean(x))
    vec_add(vec_mul(layer_norm(x), s), b)                                ->  layer_norm(x, s, b)

So it was written before ONNX had LayerNormalization. The means are those of the last axes. A
product with the reciprocal root, or with a power, is as good as a quotient; a difference that is
written twice is one call already (`share_networks`). Nothing that is read elsewhere is swallowed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from columnar_nn.expressions.expression import Call, Expression, Weight, transform, with_inputs
from columnar_nn.expressions.types import tensor_shape
from columnar_nn.plan.rewrites.along_end import along_end
from columnar_nn.plan.rewrites.patterns import number, own
from columnar_nn.plan.rewrites.usage import joined, use_counts

_ROOTS = {"vec_div": (("sqrt",),), "vec_mul": (("reciprocal", "sqrt"), ("vec_pow",))}
"""By what applies it, what may make of a variance the deviation, or one over it; the last first."""

_MULTIPLIES, _ADDS = ("vec_mul", "vec_scal_mul"), ("vec_add", "vec_scal_add", "mat_add")


class Deviation(NamedTuple):
    """The root of a mean of squares and epsilon, or one over it; its calls, the last first."""

    square: Call
    mean: Call
    epsilon: float
    calls: list[Call]


class Difference(NamedTuple):
    """x less its mean over some axes, and the calls of both."""

    x: Expression
    mean: Call
    calls: list[Call]


def fuse_normalizations(roots: Sequence[Expression]) -> list[Expression]:
    """The roots with such quotients, and the constants behind them, as calls of layer_norm."""
    uses = use_counts(roots)
    changed: dict[int, Expression] = {}

    def change(expression: Expression, inputs: tuple[Expression, ...]) -> Expression:
        made: Expression | None = _normalized(expression, uses, changed)
        if made is None:
            made = with_inputs(expression, inputs)
            if isinstance(made, Call) and len(made.inputs) == 2:
                is_own = [uses[id(source)] == 1 for source in expression.inputs]
                made = _with_constant(made, is_own)
        changed[id(expression)] = made
        return made

    return transform(roots, change)


def _normalized(
    expression: Expression, uses: Counter[int], changed: dict[int, Expression]
) -> Call | None:
    """A quotient, or a product, as a layer_norm without constants; None if it is another."""
    if not isinstance(expression, Call) or len(expression.tensors) != 2:
        return None
    roots = _ROOTS.get(expression.function, ())
    pairs = [expression.inputs]
    if expression.function == "vec_mul":
        pairs.append(expression.inputs[::-1])
    for over, under in pairs:
        deviation = _deviation(under, uses, roots)
        if deviation is None:
            continue
        difference = _difference(over, uses)
        if difference is None or deviation.square.inputs[0] is not over:
            continue
        axis = _first_of_last_axes(difference.mean)
        if axis is None or difference.mean.attributes != deviation.mean.attributes:
            continue
        nodes = joined(*difference.calls, *deviation.calls[::-1], expression)
        attributes = {"axis": axis, "epsilon": deviation.epsilon}
        return Call("layer_norm", (changed[id(difference.x)],), attributes, nodes, expression.type)
    return None


def _deviation(
    under: Expression, uses: Counter[int], roots: Sequence[Sequence[str]]
) -> Deviation | None:
    expanded = own(under, uses, "expand")
    start = under if expanded is None else expanded.inputs[0]
    for root in roots:
        calls = _chain(start, uses, (*root, "vec_scal_add", "reduce_mean", "vec_mul"))
        if not calls:
            continue
        *powers, added, mean, square = calls
        epsilon = number(added)
        fits = powers[0].function != "vec_pow" or number(powers[0]) == -0.5
        if fits and epsilon is not None and square.inputs[0] is square.inputs[1]:
            return Deviation(square, mean, epsilon, [*([expanded] if expanded else []), *calls])
    return None


def _chain(start: Expression, uses: Counter[int], functions: Sequence[str]) -> list[Call]:
    """Calls of these functions, each with the next one's result; none if there are others."""
    calls: list[Call] = []
    for function in functions:
        call = own(start, uses, function)
        if call is None or isinstance(call.inputs[0], Weight):
            return []
        calls.append(call)
        start = call.inputs[0]
    return calls


def _difference(expression: Expression, uses: Counter[int]) -> Difference | None:
    call = own(expression, uses, "vec_sub", readers=3)  # twice by its square
    if call is None or len(call.tensors) != 2:
        return None
    x, mean = call.inputs
    expanded = own(mean, uses, "expand")
    found = own(mean if expanded is None else expanded.inputs[0], uses, "reduce_mean")
    if found is None or found.inputs[0] is not x:
        return None
    return Difference(x, found, [found, *([] if expanded is None else [expanded]), call])


def _first_of_last_axes(mean: Call) -> int | None:
    """The first axis that a mean is taken over, if it is over all from there to the last."""
    shape = tensor_shape(mean.inputs[0].type)
    axes = sorted(mean.attributes["axes"])
    if shape is None or axes != list(range(axes[0], len(shape) + 1)):
        return None
    return int(axes[0])


def _with_constant(call: Call, is_own: Sequence[bool]) -> Call:
    """A product with, or sum of, a layer_norm and a constant as that with its scale, or bias."""
    if call.function not in _MULTIPLIES + _ADDS:
        return call
    for index in (0, 1):
        layer, constant = call.inputs[index], call.inputs[1 - index]
        if not (is_own[index] and isinstance(layer, Call) and isinstance(constant, Weight)):
            continue
        shape = tensor_shape(layer.type)
        if layer.function != "layer_norm" or shape is None:
            continue
        axis = layer.attributes["axis"] % (len(shape) + 1) - 1
        values = along_end(constant.array, shape, axis)
        if values is None:
            continue
        weights = [source for source in layer.inputs[1:] if isinstance(source, Weight)]
        if call.function in _MULTIPLIES and not weights:
            weights = [Weight(constant.name, values)]
        elif call.function in _ADDS and len(weights) < 2:
            ones = Weight("ones", np.ones(shape[axis:], np.float32))
            weights = [*(weights or [ones]), Weight(constant.name, values)]
        else:
            continue
        inputs = (layer.inputs[0], *weights)
        return Call("layer_norm", inputs, layer.attributes, joined(layer, call), call.type)
    return call

"""fuse_activations: an activation that exporters write as several nodes, as one function.

    vec_mul(x, sigmoid(x))                                       ->  silu(x)
    vec_mul(x, tanh(softplus(x)))                                ->  mish(x)
    0.5 * vec_mul(x, vec_scal_add(erf(x / sqrt(2)), 1))          ->  gelu(x)
    0.5 * vec_mul(x, vec_scal_add(tanh(c * (x + d * x**3)), 1))  ->  gelu_tanh(x)
    vec_mul(x, hard_sigmoid(x)), x * clip(x + 3, 0, 6) / 6       ->  hard_swish(x)

Constant factors may stand anywhere in a product. Each is a function of each element, so that the
layer before it can apply it. Nothing that is read elsewhere is swallowed.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from columnar_nn.expressions.expression import Call, Expression, transform, with_inputs
from columnar_nn.plan.rewrites.patterns import number, own
from columnar_nn.plan.rewrites.usage import is_call, joined, use_counts

_CLOSE = 1e-6
"""How far a constant may be off, relatively: it was rounded to float32, or cut in print."""


_CUBE = 0.044715
"""What GELU by tanh has of the cube of x."""


class Product(NamedTuple):
    """A number times `factors`, and the calls that multiply them, the last first."""

    number: float
    factors: list[Expression]
    calls: list[Call]


class Gate(NamedTuple):
    """What makes `function` of x, multiplied by it and by `number`; its calls, inputs first."""

    function: str
    x: Expression
    number: float
    calls: list[Call]


def fuse_activations(roots: Sequence[Expression]) -> list[Expression]:
    """The roots with such products as calls of one function."""
    uses = use_counts(roots)
    changed: dict[int, Expression] = {}

    def change(expression: Expression, inputs: tuple[Expression, ...]) -> Expression:
        gate = _activation(expression, uses)
        if gate is None or not isinstance(expression, Call):
            changed[id(expression)] = with_inputs(expression, inputs)
        else:
            x, nodes = changed[id(gate.x)], joined(*gate.calls)
            changed[id(expression)] = Call(gate.function, (x,), {}, nodes, expression.type)
        return changed[id(expression)]

    return transform(roots, change)


def _activation(expression: Expression, uses: Counter[int]) -> Gate | None:
    """The gate of a product that is an activation, with the calls of the product."""
    if not is_call(expression, "vec_mul", "vec_scal_mul", "vec_div"):
        return None
    product = _product(expression, uses)
    if len(product.factors) != 2:
        return None
    for x, other in (product.factors, product.factors[::-1]):
        if not isinstance(other, Call) or uses[id(other)] > 1 or other.function not in _GATES:
            continue
        gate = _GATES[other.function](other, uses)
        if gate is not None and gate.x is x and _is(product.number, gate.number):
            return gate._replace(calls=[*gate.calls, *product.calls[::-1]])
    return None


def _silu(call: Call, uses: Counter[int]) -> Gate:
    return Gate("silu", call.inputs[0], 1.0, [call])


def _hard_swish(call: Call, uses: Counter[int]) -> Gate | None:
    fits = _is(call.attributes["alpha"], 1 / 6) and _is(call.attributes["beta"], 0.5)
    return Gate("hard_swish", call.inputs[0], 1.0, [call]) if fits else None


def _hard_swish_by_clip(call: Call, uses: Counter[int]) -> Gate | None:
    added = own(call.inputs[0], uses, "vec_scal_add")
    bounds = call.attributes.get("min"), call.attributes.get("max")
    if added is None or number(added) != 3.0 or bounds != (0.0, 6.0):
        return None
    return Gate("hard_swish", added.inputs[0], 1 / 6, [added, call])


def _mish(call: Call, uses: Counter[int]) -> Gate | None:
    softplus = own(call.inputs[0], uses, "softplus")
    return None if softplus is None else Gate("mish", softplus.inputs[0], 1.0, [softplus, call])


def _gelu(call: Call, uses: Counter[int]) -> Gate | None:
    """By the error function, or by the tanh that comes near it."""
    curve = own(call.inputs[0], uses, "erf", "tanh")
    if curve is None or number(call) != 1.0 or uses[id(curve.inputs[0])] > 1:
        return None
    scaled = _product(curve.inputs[0], uses)
    calls = [*scaled.calls[::-1], curve, call]
    if curve.function == "tanh":
        found = _cubic(scaled, uses) if _is(scaled.number, math.sqrt(2 / math.pi)) else None
        return None if found is None else Gate("gelu_tanh", found[0], 0.5, [*found[1], *calls])
    if len(scaled.factors) != 1 or not _is(scaled.number, math.sqrt(0.5)):
        return None
    return Gate("gelu", scaled.factors[0], 0.5, calls)


def _cubic(product: Product, uses: Counter[int]) -> tuple[Expression, list[Call]] | None:
    """The x of x + _CUBE * x**3, perhaps written as x * (1 + _CUBE * x * x), and its calls."""
    total = own(product.factors[0], uses, "vec_add")
    if len(product.factors) == 1 and total is not None and len(total.tensors) == 2:
        for x, other in (total.inputs, total.inputs[::-1]):
            cube = _product(other, uses)
            if uses[id(other)] == 1 and _is_power(cube, x, 3):
                return x, [*cube.calls[::-1], total]
    if len(product.factors) == 2:
        for x, other in (product.factors, product.factors[::-1]):
            added = own(other, uses, "vec_scal_add")
            if added is not None and number(added) == 1.0 and uses[id(added.inputs[0])] == 1:
                square = _product(added.inputs[0], uses)
                if _is_power(square, x, 2):
                    return x, [*square.calls[::-1], added]
    return None


def _is_power(product: Product, x: Expression, power: int) -> bool:
    """Whether a product is _CUBE times so many x."""
    same = all(factor is x for factor in product.factors)
    return same and len(product.factors) == power and _is(product.number, _CUBE)


_GATES: dict[str, Callable[[Call, Counter[int]], Gate | None]] = {
    "clip": _hard_swish_by_clip,
    "hard_sigmoid": _hard_swish,
    "sigmoid": _silu,
    "tanh": _mish,
    "vec_scal_add": _gelu,
}
"""By the function that is applied last."""


def _product(expression: Expression, uses: Counter[int]) -> Product:
    """An expression as a product of at most three factors; what is read elsewhere is a factor."""
    total = 1.0
    factors: list[Expression] = []
    calls: list[Call] = []
    waiting = [expression]
    while waiting and len(factors) < 3:
        part = waiting.pop()
        constant = number(part)
        is_own = part is expression or uses[id(part)] == 1
        if not is_own or not isinstance(part, Call):
            factors.append(part)
        elif is_call(part, "vec_mul") and len(part.tensors) == 2:
            calls.append(part)
            waiting += part.inputs[::-1]
        elif is_call(part, "vec_scal_mul", "vec_div") and constant:
            calls.append(part)
            waiting.append(part.inputs[0])
            total *= constant if part.function == "vec_scal_mul" else 1.0 / constant
        else:
            factors.append(part)
    return Product(total, [*factors, *waiting], calls)


def _is(value: float, wanted: float) -> bool:
    return math.isclose(value, wanted, rel_tol=_CLOSE)

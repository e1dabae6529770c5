"""What operators mean in Python functions that become kernels.

What they do in Python, of integers of 64 bits: one that these do not hold, or a division of
integers by zero, ends the function with a status. Floats follow IEEE 754.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types

from columnar_nn.kernels.jitted.compiler import MEANINGS_OF_PYTHON, emitted, meant_of
from columnar_nn.kernels.jitted.convention import fail_if
from columnar_nn.kernels.jitted.emitter import WORD, Emitter, Value
from columnar_nn.kernels.tables import OVERFLOW, ZERO_DIVISION

LEAST = -(2**63)


def _is_integer(kind: types.Type) -> bool:
    inner = kind.type if isinstance(kind, types.Optional) else kind
    return isinstance(inner, types.Integer | types.Boolean)


def _of_integers(operation: Callable, emit: Callable[..., Value]) -> None:
    """Gives an operator a meaning of its own of integers."""
    MEANINGS_OF_PYTHON[operation] = meant_of(operation, _is_integer, types.int64)(emit)


def _with_overflow(name: str) -> Callable[..., Value]:
    def emit(e: Emitter, a: Value, b: Value) -> Value:
        pair = ir.LiteralStructType([WORD, ir.IntType(1)])
        both = e.call(f"llvm.{name}.with.overflow.i64", pair, a.ir, b.ir)
        fail_if(e.builder, e.builder.extract_value(both, 1), OVERFLOW)
        return e.of(e.builder.extract_value(both, 0))

    return emit


def _negative(e: Emitter, a: Value) -> Value:
    fail_if(e.builder, a.equals(LEAST).ir, OVERFLOW)
    return e.of(e.builder.neg(a.ir))


def _magnitude(e: Emitter, a: Value) -> Value:
    fail_if(e.builder, a.equals(LEAST).ir, OVERFLOW)
    return (a < 0).select(e.of(e.builder.neg(a.ir)), a)


def _divided(e: Emitter, a: Value, b: Value) -> tuple[Value, Value]:
    """Quotient and remainder, the quotient rounded down."""
    fail_if(e.builder, b.equals(0).ir, ZERO_DIVISION)
    fail_if(e.builder, (a.equals(LEAST) & b.equals(-1)).ir, OVERFLOW)
    quotient = e.of(e.builder.sdiv(a.ir, b.ir))
    rest = e.of(e.builder.srem(a.ir, b.ir))
    signs_differ = e.of(e.builder.xor(rest.ir, b.ir)) < 0
    down = rest.differs(0) & signs_differ
    return down.select(quotient - 1, quotient), down.select(rest + b, rest)


def _shifted_left(e: Emitter, a: Value, b: Value) -> Value:
    fail_if(e.builder, e.builder.icmp_unsigned(">", b.ir, WORD(63)), OVERFLOW)  # or negative
    shifted = e.of(e.builder.shl(a.ir, b.ir))
    fail_if(e.builder, e.of(e.builder.ashr(shifted.ir, b.ir)).differs(a).ir, OVERFLOW)
    return shifted


def _shifted_right(e: Emitter, a: Value, b: Value) -> Value:
    fail_if(e.builder, (b < 0).ir, OVERFLOW)
    return e.of(e.builder.ashr(a.ir, e.least(b, e.word(63)).ir))


_of_integers(operator.add, _with_overflow("sadd"))
_of_integers(operator.sub, _with_overflow("ssub"))
_of_integers(operator.mul, _with_overflow("smul"))
_of_integers(operator.floordiv, lambda e, a, b: _divided(e, a, b)[0])
_of_integers(operator.mod, lambda e, a, b: _divided(e, a, b)[1])
_of_integers(operator.lshift, _shifted_left)
_of_integers(operator.rshift, _shifted_right)
_of_integers(operator.neg, _negative)
_of_integers(abs, _magnitude)


def _of_numbers(emit: Callable) -> Any:
    two = types.int64(types.int64, types.int64), types.float64(types.float64, types.float64)
    return emitted(*two)(emit)


least = _of_numbers(lambda e, a, b: (b < a).select(b, a))
greatest = _of_numbers(lambda e, a, b: (b > a).select(b, a))
"""Of two: the first one where they are equal, or where either is NaN."""


@emitted(types.float64(types.float64, types.float64))
def power(e: Emitter, a: Value, b: Value) -> Value:
    """A float, of integers too."""
    return e.of(e.call("llvm.pow.f64", ir.DoubleType(), a.ir, b.ir))


@emitted(types.int64(types.int64), types.int64(types.float64))
def truncated(e: Emitter, number: Value) -> Value:
    """What `int` makes of a number."""
    if number.is_integer:
        return number
    held = (number >= float(LEAST)) & (number < -float(LEAST))
    fail_if(e.builder, e.builder.not_(held.ir), OVERFLOW)  # NaN too
    return e.of(e.builder.fptosi(number.ir, WORD))


MEANINGS_OF_PYTHON.update({min: least, max: greatest, operator.pow: power, int: truncated})

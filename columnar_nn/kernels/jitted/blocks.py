"""The type of kernels' vectors: 16 float32, one channel block of a pixel, with its operators.

A number beside a block is taken as float32 in every lane. Comparisons give a mask, false where
either is NaN. LLVM splits a block into the registers that the processor has.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from typing import Any

from llvmlite import ir
from numba import types
from numba.extending import lower_cast, models, register_model

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted.compiler import CONVERTS, emitted, emitted_as
from columnar_nn.kernels.jitted.emitter import BLOCK, INT32, Emitter, Value
from columnar_nn.kernels.primitives import clamp, fma, where


class BlockType(types.Type):
    """Numba's type of a block."""

    def __init__(self) -> None:
        super().__init__(name="block")

    def can_convert_from(self, _: Any, other: types.Type) -> Any:
        """Numbers do."""
        return CONVERTS if isinstance(other, types.Integer | types.Float) else None


class MaskType(types.Type):
    """Numba's type of a truth value a lane."""

    def __init__(self) -> None:
        super().__init__(name="mask")


@register_model(BlockType)
class _BlockModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: types.Type) -> None:
        super().__init__(manager, kind, BLOCK)


@register_model(MaskType)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: types.Type) -> None:
        super().__init__(manager, kind, ir.VectorType(ir.IntType(1), LANES))


@lower_cast(types.Integer, BlockType)
@lower_cast(types.Float, BlockType)
def _splat(context: Any, builder: ir.IRBuilder, given: types.Type, _: Any, value: Any) -> Any:
    emitter = Emitter(builder)
    scalar = context.cast(builder, value, types.unliteral(given), types.float32)
    return emitter.splat(emitter.of(scalar), LANES).ir


block_type, mask_type, number = BlockType(), MaskType(), types.float32


def _operators(kind: types.Type, *functions: Callable) -> None:
    """Operators of two blocks that are those of the emitting language."""
    for function in functions:
        emitted_as(function, kind(block_type, block_type))(lambda e, a, b, f=function: f(a, b))


_operators(block_type, operator.add, operator.sub, operator.mul, operator.truediv)
_operators(mask_type, operator.lt, operator.le, operator.gt, operator.ge)
emitted_as(operator.eq, mask_type(block_type, block_type))(lambda e, a, b: a.equals(b))


@emitted_as(operator.pow, block_type(block_type, block_type))
def _power(e: Emitter, base: Value, exponent: Value) -> Value:
    return e.of(e.call(f"llvm.pow.v{LANES}f32", BLOCK, base.ir, exponent.ir))


@emitted_as(math.sqrt, block_type(block_type))
def _root(e: Emitter, a: Value) -> Value:
    return e.of(e.call(f"llvm.sqrt.v{LANES}f32", BLOCK, a.ir))


@emitted_as(abs, block_type(block_type))
def _magnitude(e: Emitter, a: Value) -> Value:
    return e.of(e.call(f"llvm.fabs.v{LANES}f32", BLOCK, a.ir))


@emitted(block_type(block_type))
def block(e: Emitter, value: Value) -> Value:
    """A number in every lane."""
    return value


_three_blocks = block_type(block_type, block_type, block_type)
_three_numbers = types.float64(types.float64, types.float64, types.float64)

emitted_as(
    where,
    block_type(mask_type, block_type, block_type),
    types.float64(types.boolean, types.float64, types.float64),
)(lambda e, condition, yes, no: condition.select(yes, no))
emitted_as(clamp, _three_blocks, _three_numbers)(Emitter.clamp)
emitted_as(fma, number(number, number, number), _three_blocks, _three_numbers)(Emitter.multiply_add)


@emitted(block_type(block_type, block_type))
def maximum(e: Emitter, a: Value, b: Value) -> Value:
    """The greater, or NaN where either is NaN."""
    return a.is_nan().select(a, e.greatest(a, b))


@emitted(block_type(block_type, block_type))
def minimum(e: Emitter, a: Value, b: Value) -> Value:
    """The lesser, or NaN where either is NaN."""
    return a.is_nan().select(a, e.least(a, b))


def _of_lanes(combine: Callable[[Emitter, Value, Value], Value]) -> Callable[..., Any]:
    """A function for kernels: all lanes combined, halved again and again."""

    def emit(e: Emitter, a: Value) -> Value:
        while a.type.count > 1:
            half = a.type.count // 2
            none = ir.Constant(a.type, ir.Undefined)
            low, high = (
                e.of(
                    e.builder.shuffle_vector(
                        a.ir, none, ir.Constant(ir.VectorType(INT32, half), list(lanes))
                    )
                )
                for lanes in (range(half), range(half, 2 * half))
            )
            a = combine(e, low, high)
        return a.lane(0)

    made: Callable[..., Any] = emitted(number(block_type))(emit)
    return made


sum_of_lanes = _of_lanes(lambda e, a, b: a + b)
product_of_lanes = _of_lanes(lambda e, a, b: a * b)
least_lane = _of_lanes(minimum)
greatest_lane = _of_lanes(maximum)


def _alternating(first: int) -> Callable[..., Any]:
    """A function for kernels: half of the lanes of two blocks, from one on, by turns."""
    lanes = [first + lane // 2 + lane % 2 * LANES for lane in range(LANES)]

    def emit(e: Emitter, a: Value, b: Value) -> Value:
        mask = ir.Constant(ir.VectorType(INT32, LANES), lanes)
        return e.of(e.builder.shuffle_vector(a.ir, b.ir, mask))

    made: Callable[..., Any] = emitted(block_type(block_type, block_type))(emit)
    return made


first_halves, second_halves = _alternating(0), _alternating(LANES // 2)

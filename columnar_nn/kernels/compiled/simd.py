"""Vectors and raw memory for numba: intrinsics that become a few LLVM instructions each.

Addresses are int64. A `Block` is 16 float32 lanes, one channel block of a pixel; LLVM splits it
into the processor's registers, which costs nothing where few are alive (element-wise kernels,
pooling). Kernels that fill the register file choose the width themselves: see `tile.py`.
Loads and stores assume no alignment beyond that of the item.
"""

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

from columnar_nn.kernels import host
from columnar_nn.kernels.host import LANES

FLOAT = ir.FloatType()
INT32 = ir.IntType(32)
INT64 = ir.IntType(64)
BYTE = ir.IntType(8)


def vector_of(width: int, item: ir.Type = FLOAT) -> ir.Type:
    """LLVM's vector of `width` items."""
    return ir.VectorType(item, width)


def splat(vector: ir.Type, value: float) -> ir.Constant:
    """A vector constant with `value` in every lane."""
    return ir.Constant(vector, [ir.Constant(vector.element, value)] * vector.count)


def pointer(builder, address, item: ir.Type):
    """A typed pointer from an int64 address."""
    return builder.inttoptr(address, item.as_pointer())


def load(builder, address, item: ir.Type, align: int = 4):
    """Reads an item or a vector from an int64 address."""
    return builder.load(pointer(builder, address, item), align=align)


def store(builder, value, address, align: int = 4):
    """Writes an item or a vector to an int64 address."""
    builder.store(value, pointer(builder, address, value.type), align=align)


def offset(builder, address, num_bytes: int):
    """An int64 address moved by a constant."""
    return builder.add(address, INT64(num_bytes)) if num_bytes else address


def broadcast(builder, scalar, width: int):
    """A vector whose lanes all hold `scalar`."""
    vector = vector_of(width, scalar.type)
    single = builder.insert_element(ir.Constant(vector, ir.Undefined), scalar, INT32(0))
    mask = ir.Constant(vector_of(width, INT32), [0] * width)
    return builder.shuffle_vector(single, ir.Constant(vector, ir.Undefined), mask)


def multiply_add(builder, a, b, c):
    """a * b + c, with one rounding where the processor can."""
    if not host.has_fused_multiply_add():
        return builder.fadd(builder.fmul(a, b), c)
    kind = a.type
    name = f"llvm.fma.v{kind.count}f32" if isinstance(kind, ir.VectorType) else "llvm.fma.f32"
    function = cgutils.get_or_insert_function(
        builder.module, ir.FunctionType(kind, (kind, kind, kind)), name
    )
    return builder.call(function, (a, b, c))


def clamp(builder, value, low, high):
    """min(max(value, low), high) where a NaN stays NaN: operand order picks it on x86 too."""
    value = builder.select(builder.fcmp_ordered(">", low, value), low, value)
    return builder.select(builder.fcmp_ordered("<", high, value), high, value)


class BlockType(types.Type):
    """16 float32 lanes."""

    def __init__(self) -> None:
        super().__init__(name="Block")


BLOCK = BlockType()
BLOCK_VECTOR = vector_of(LANES)


@register_model(BlockType)
class BlockModel(models.PrimitiveModel):
    """A Block is LLVM's <16 x float>."""

    def __init__(self, data_model_manager, frontend_type) -> None:
        super().__init__(data_model_manager, frontend_type, BLOCK_VECTOR)


def _intrinsic(result, *arguments):
    """Makes an intrinsic from a function (builder, *values) -> value, with fixed types."""

    def decorate(emit):
        count = len(arguments)

        def codegen(_context, builder, _signature, values):
            value = emit(builder, *values)
            return _context.get_dummy_value() if result is types.void else value

        # numba reads the parameter names of a typing function: it needs one an arity
        if count == 0:
            return intrinsic(lambda typing_context: (result(*arguments), codegen))
        if count == 1:
            return intrinsic(lambda typing_context, a: (result(*arguments), codegen))
        if count == 2:
            return intrinsic(lambda typing_context, a, b: (result(*arguments), codegen))
        if count == 3:
            return intrinsic(lambda typing_context, a, b, c: (result(*arguments), codegen))
        return intrinsic(lambda typing_context, a, b, c, d: (result(*arguments), codegen))

    return decorate


@_intrinsic(types.int64, types.int64, types.int64)
def word(builder, parameters, index):
    """The int64 at parameters[index]."""
    return load(builder, builder.add(parameters, builder.mul(index, INT64(8))), INT64, 8)


@_intrinsic(types.void, types.int64, types.int64, types.int64)
def set_word(builder, parameters, index, value):
    """parameters[index] = value, int64."""
    store(builder, value, builder.add(parameters, builder.mul(index, INT64(8))), 8)


@_intrinsic(types.float32, types.int64)
def load_float(builder, address):
    """The float32 at an address."""
    return load(builder, address, FLOAT)


@_intrinsic(types.void, types.int64, types.float32)
def store_float(builder, address, value):
    """Writes a float32."""
    store(builder, value, address)


@_intrinsic(BLOCK, types.int64)
def load_block(builder, address):
    """16 float32 from an address."""
    return load(builder, address, BLOCK_VECTOR)


@_intrinsic(types.void, types.int64, BLOCK)
def store_block(builder, address, value):
    """Writes 16 float32."""
    store(builder, value, address)


@_intrinsic(BLOCK, types.int64)
def load_pixels(builder, address):
    """16 uint8 from an address, as float32."""
    pixels = load(builder, address, vector_of(LANES, BYTE), 1)
    return builder.uitofp(pixels, BLOCK_VECTOR)


@_intrinsic(types.float32, types.int64)
def load_pixel(builder, address):
    """A uint8 from an address, as float32."""
    return builder.uitofp(load(builder, address, BYTE, 1), FLOAT)


@_intrinsic(BLOCK, types.float32)
def block_of(builder, value):
    """A Block with the same value in every lane."""
    return broadcast(builder, value, LANES)


@_intrinsic(types.float32, BLOCK, types.int64)
def lane(builder, block, index):
    """One lane of a Block."""
    return builder.extract_element(block, builder.trunc(index, INT32))


@_intrinsic(BLOCK, BLOCK, BLOCK)
def add(builder, a, b):
    """a + b."""
    return builder.fadd(a, b)


@_intrinsic(BLOCK, BLOCK, BLOCK)
def subtract(builder, a, b):
    """a - b."""
    return builder.fsub(a, b)


@_intrinsic(BLOCK, BLOCK, BLOCK)
def multiply(builder, a, b):
    """a * b."""
    return builder.fmul(a, b)


@_intrinsic(BLOCK, BLOCK, BLOCK)
def divide(builder, a, b):
    """a / b."""
    return builder.fdiv(a, b)


@_intrinsic(BLOCK, BLOCK, BLOCK, BLOCK)
def fused(builder, a, b, c):
    """a * b + c."""
    return multiply_add(builder, a, b, c)


@_intrinsic(BLOCK, BLOCK, BLOCK)
def maximum(builder, a, b):
    """The greater, or NaN where either is NaN."""
    greater = builder.select(builder.fcmp_ordered(">", a, b), a, b)
    return builder.select(builder.fcmp_unordered("uno", a, a), a, greater)


@_intrinsic(BLOCK, BLOCK, BLOCK)
def minimum(builder, a, b):
    """The lesser, or NaN where either is NaN."""
    lesser = builder.select(builder.fcmp_ordered("<", a, b), a, b)
    return builder.select(builder.fcmp_unordered("uno", a, a), a, lesser)


@_intrinsic(BLOCK, BLOCK, BLOCK, BLOCK)
def where_negative(builder, value, negative, other):
    """`negative` in the lanes where value < 0, `other` elsewhere and where value is NaN."""
    below = builder.fcmp_ordered("<", value, splat(BLOCK_VECTOR, 0.0))
    return builder.select(below, negative, other)


def _exponential(builder, x):
    """exp(x) within 2 ulp: x = n ln 2 + r, a polynomial of r, n added to the exponent.

    Saturates below -87 to the smallest normal number, overflows to infinity above 88.7.
    """
    integer = vector_of(LANES, INT32)
    constant = lambda value: splat(BLOCK_VECTOR, value)  # noqa: E731
    bounded = clamp(builder, x, constant(-87.0), constant(89.0))
    scaled = builder.fmul(bounded, constant(1.4426950408889634))
    magic = constant(12582912.0)  # 1.5 * 2**23: adding it rounds to an integer
    rounded = builder.fsub(builder.fadd(scaled, magic), magic)
    rest = multiply_add(builder, rounded, constant(-0.693359375), bounded)
    rest = multiply_add(builder, rounded, constant(2.12194440e-4), rest)
    power = constant(1.9875691500e-4)
    for coefficient in (1.3981999507e-3, 8.3334519073e-3, 4.1665795894e-2, 1.6666665459e-1, 0.5):
        power = multiply_add(builder, power, rest, constant(coefficient))
    square = builder.fmul(rest, rest)
    value = builder.fadd(multiply_add(builder, power, square, rest), constant(1.0))
    # 2**n in two factors, since n may be 128
    count = builder.fptosi(rounded, integer)
    half = builder.ashr(count, ir.Constant(integer, [1] * LANES))
    for exponent in (half, builder.sub(count, half)):
        biased = builder.add(exponent, ir.Constant(integer, [127] * LANES))
        bits = builder.shl(biased, ir.Constant(integer, [23] * LANES))
        value = builder.fmul(value, builder.bitcast(bits, BLOCK_VECTOR))
    return builder.select(builder.fcmp_unordered("uno", x, x), x, value)


@_intrinsic(BLOCK, BLOCK)
def exponential(builder, x):
    """exp(x) in every lane."""
    return _exponential(builder, x)


def _memory_function(builder, name: str, argument: ir.Type):
    pointer_type = BYTE.as_pointer()
    kind = ir.FunctionType(ir.VoidType(), (pointer_type, argument, INT64, ir.IntType(1)))
    return cgutils.get_or_insert_function(builder.module, kind, name)


@_intrinsic(types.void, types.int64, types.int64, types.int64)
def copy_bytes(builder, target, source, num_bytes):
    """memcpy."""
    function = _memory_function(builder, "llvm.memcpy.p0.p0.i64", BYTE.as_pointer())
    arguments = (pointer(builder, target, BYTE), pointer(builder, source, BYTE), num_bytes)
    builder.call(function, (*arguments, ir.IntType(1)(0)))


@_intrinsic(types.void, types.int64, types.int64)
def clear_bytes(builder, target, num_bytes):
    """memset to zero."""
    function = _memory_function(builder, "llvm.memset.p0.i64", BYTE)
    builder.call(function, (pointer(builder, target, BYTE), BYTE(0), num_bytes, ir.IntType(1)(0)))

"""A small language for what Python cannot say: values with operators and loops, as LLVM code.

Register tiles, transforms, and what is one instruction are written in it. Addresses and sizes are
int64 words. Floats come alone, as vectors of the processor's width, or as blocks of 16 lanes, which
LLVM splits into the registers it has. That costs nothing where few are alive; tiles that fill the
register file use vectors. Loads and stores assume no alignment beyond that of an item.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from llvmlite import ir

from columnar_nn.kernels import host
from columnar_nn.kernels.host import LANES

WORD = ir.IntType(64)
INT32 = ir.IntType(32)
BYTE = ir.IntType(8)
FLOAT = ir.FloatType()
BLOCK = ir.VectorType(FLOAT, LANES)


def vector_type() -> ir.VectorType:
    """A vector register's worth of float32."""
    return ir.VectorType(FLOAT, host.vector_width())


LOOP_ALIGNMENT = 32
"""Bytes that the code of a loop begins at: a small one that lies across two cache lines takes up
to 1.6 times as long, measured.
"""


def align_loop(back: ir.Instruction) -> None:
    """Aligns the loop that a branch back to its head ends."""
    module = back.parent.parent.module
    size = [ir.MetaDataString(module, "llvm.loop.align"), ir.Constant(INT32, LOOP_ALIGNMENT)]
    loop = module.add_metadata([module.add_metadata(size)])
    if loop not in loop.operands:
        loop.operands = (loop, *loop.operands)  # as LLVM knows a loop
    back.set_metadata("llvm.loop", loop)


class Value:
    """An LLVM value; Python numbers beside it become constants of its type.

    Integers are signed; `//` and `%` take them as not negative, since that is faster.
    Comparisons of floats are false where either is NaN.
    """

    __slots__ = ("builder", "ir")

    def __init__(self, builder: ir.IRBuilder, value: ir.Value) -> None:
        self.builder = builder
        self.ir = value

    @property
    def type(self) -> ir.Type:
        """LLVM's type."""
        return self.ir.type

    @property
    def is_integer(self) -> bool:
        """Whether it is an integer or a vector of integers."""
        return isinstance(getattr(self.type, "element", self.type), ir.IntType)

    def constant(self, number: float) -> ir.Value:
        """A constant of this value's type, in every lane."""
        if isinstance(self.type, ir.VectorType):
            item = ir.Constant(self.type.element, number)
            return ir.Constant(self.type, [item] * self.type.count)
        return ir.Constant(self.type, number)

    def _other(self, other: Value | float) -> ir.Value:
        return other.ir if isinstance(other, Value) else self.constant(other)

    def _binary(self, integer: str, floating: str, other: Value | float) -> Value:
        operation = getattr(self.builder, integer if self.is_integer else floating)
        return Value(self.builder, operation(self.ir, self._other(other)))

    def __add__(self, other: Value | float) -> Value:
        if self.is_integer and not isinstance(other, Value) and other == 0:
            return self
        return self._binary("add", "fadd", other)

    def __sub__(self, other: Value | float) -> Value:
        return self._binary("sub", "fsub", other)

    def __mul__(self, other: Value | float) -> Value:
        return self._binary("mul", "fmul", other)

    def __truediv__(self, other: Value) -> Value:
        return Value(self.builder, self.builder.fdiv(self.ir, self._other(other)))

    def __floordiv__(self, other: Value | int) -> Value:
        return Value(self.builder, self.builder.udiv(self.ir, self._other(other)))

    def __mod__(self, other: Value | int) -> Value:
        return Value(self.builder, self.builder.urem(self.ir, self._other(other)))

    def __or__(self, other: Value | int) -> Value:
        return Value(self.builder, self.builder.or_(self.ir, self._other(other)))

    def __and__(self, other: Value | int) -> Value:
        return Value(self.builder, self.builder.and_(self.ir, self._other(other)))

    def _compare(self, sign: str, other: Value | float) -> Value:
        compare = self.builder.icmp_signed if self.is_integer else self.builder.fcmp_ordered
        return Value(self.builder, compare(sign, self.ir, self._other(other)))

    def __lt__(self, other: Value | float) -> Value:
        return self._compare("<", other)

    def __le__(self, other: Value | float) -> Value:
        return self._compare("<=", other)

    def __gt__(self, other: Value | float) -> Value:
        return self._compare(">", other)

    def __ge__(self, other: Value | float) -> Value:
        return self._compare(">=", other)

    def equals(self, other: Value | float) -> Value:
        """Whether both are the same number."""
        return self._compare("==", other)

    def differs(self, other: Value | float) -> Value:
        """Whether they are different integers."""
        return self._compare("!=", other)

    def is_nan(self) -> Value:
        """Whether it is no number, lane by lane."""
        return self.has_nan(self)

    def has_nan(self, other: Value) -> Value:
        """Whether it or another is no number, lane by lane."""
        return Value(self.builder, self.builder.fcmp_unordered("uno", self.ir, other.ir))

    def select(self, yes: Value | float, no: Value) -> Value:
        """`yes` where this condition holds, `no` elsewhere, lane by lane."""
        chosen = yes.ir if isinstance(yes, Value) else no.constant(yes)
        return Value(self.builder, self.builder.select(self.ir, chosen, no.ir))

    def lane(self, index: int) -> Value:
        """One lane of a vector."""
        return Value(self.builder, self.builder.extract_element(self.ir, INT32(index)))


class Variable:
    """A value that loops and branches change; it lives in a register."""

    __slots__ = ("builder", "slot")

    def __init__(self, builder: ir.IRBuilder, slot: ir.Value) -> None:
        self.builder = builder
        self.slot = slot

    @property
    def value(self) -> Value:
        """What it holds here."""
        return Value(self.builder, self.builder.load(self.slot))

    @value.setter
    def value(self, new: Value) -> None:
        self.builder.store(new.ir, self.slot)


class Emitter:
    """Emits a part of a function."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.builder = builder
        self.width = host.vector_width()
        self.vector = vector_type()

    # constants, variables

    def of(self, value: ir.Value) -> Value:
        """A Value of an LLVM value."""
        return Value(self.builder, value)

    def word(self, number: int) -> Value:
        """An int64 constant."""
        return self.of(WORD(number))

    def constant(self, kind: ir.Type, number: float) -> Value:
        """A float constant, in every lane of a vector."""
        return self.of(Value(self.builder, ir.Constant(kind, ir.Undefined)).constant(number))

    def variable(self, initial: Value) -> Variable:
        """A variable that starts as `initial`, set here."""
        with self.builder.goto_entry_block():
            slot = self.builder.alloca(initial.type)
        made = Variable(self.builder, slot)
        made.value = initial
        return made

    def splat(self, scalar: Value, count: int) -> Value:
        """A vector with a scalar in every lane."""
        kind = ir.VectorType(scalar.type, count)
        none = ir.Constant(kind, ir.Undefined)
        single = self.builder.insert_element(none, scalar.ir, INT32(0))
        mask = ir.Constant(ir.VectorType(INT32, count), [0] * count)
        return self.of(self.builder.shuffle_vector(single, none, mask))

    # memory

    def pointer(self, address: Value, kind: ir.Type) -> ir.Value:
        """An address as LLVM's pointer to a type."""
        return self.builder.inttoptr(address.ir, kind.as_pointer())

    def load(self, address: Value, kind: ir.Type, align: int = 4) -> Value:
        """Reads an item or a vector."""
        return self.of(self.builder.load(self.pointer(address, kind), align=align))

    def store(self, address: Value, value: Value, align: int = 4) -> None:
        """Writes an item or a vector."""
        self.builder.store(value.ir, self.pointer(address, value.type), align=align)

    def load_word(self, address: Value, index: int = 0) -> Value:
        """The int64 at an index of an array."""
        return self.load(address + 8 * index, WORD, 8)

    def copy(self, target: Value, source: Value, num_bytes: Value) -> None:
        """memcpy."""
        self._memory("llvm.memcpy.p0.p0.i64", self.pointer(source, BYTE), target, num_bytes)

    def prefetch(self, address: Value) -> None:
        """Asks for the cache line at an address, which need not be readable."""
        pointer = self.pointer(address, BYTE)
        read, soon, data = INT32(0), INT32(3), INT32(1)
        self.call("llvm.prefetch.p0", ir.VoidType(), pointer, read, soon, data)

    def forget_loads(self) -> None:
        """Has what is loaded after here be loaded, though it was before: that frees its register.

        An empty piece of assembly that may change memory, for all that LLVM knows.
        """
        kind = ir.FunctionType(ir.VoidType(), [])
        self.builder.asm(kind, "", "~{memory}", [], side_effect=True)

    def clear(self, target: Value, num_bytes: Value | int) -> None:
        """memset to zero."""
        size = num_bytes if isinstance(num_bytes, Value) else self.word(num_bytes)
        self._memory("llvm.memset.p0.i64", BYTE(0), target, size)

    def _memory(self, name: str, argument: ir.Value, target: Value, num_bytes: Value) -> None:
        flag = ir.IntType(1)
        arguments = (self.pointer(target, BYTE), argument, num_bytes.ir, flag(0))
        self.call(name, ir.VoidType(), *arguments)

    # control

    @contextmanager
    def loop(self, count: Value) -> Iterator[Value]:
        """Runs its body with an index from 0 up to, not including, `count`."""
        builder = self.builder
        before = builder.block
        head, body, after = (builder.append_basic_block(name) for name in ("for", "do", "done"))
        builder.branch(head)
        builder.position_at_end(head)
        index = builder.phi(WORD)
        index.add_incoming(WORD(0), before)
        builder.cbranch(builder.icmp_signed("<", index, count.ir), body, after)
        builder.position_at_end(body)
        yield self.of(index)
        index.add_incoming(builder.add(index, WORD(1)), builder.block)
        align_loop(builder.branch(head))
        builder.position_at_end(after)

    @contextmanager
    def when(self, condition: Value, likely: bool | None = None) -> Iterator[None]:
        """Runs its body if the condition holds, which may be said to be likely or not."""
        with self.builder.if_then(condition.ir, likely):
            yield

    def switch(self, value: Value, cases: Sequence[int], emit: Callable[[int], None]) -> None:
        """Emits a branch for each case; the value is one of them."""
        builder = self.builder
        after = builder.append_basic_block("after")
        impossible = builder.append_basic_block("impossible")
        switch = builder.switch(value.ir, impossible)
        builder.position_at_end(impossible)
        builder.unreachable()
        for case in cases:
            block = builder.append_basic_block(f"case{case}")
            switch.add_case(WORD(case), block)
            builder.position_at_end(block)
            emit(case)
            builder.branch(after)
        builder.position_at_end(after)

    def call(self, name: str, result: ir.Type, *arguments: ir.Value) -> ir.Value:
        """Calls an LLVM intrinsic or a function of the C library."""
        function = self.builder.module.globals.get(name)
        if function is None:
            kind = ir.FunctionType(result, [argument.type for argument in arguments])
            function = ir.Function(self.builder.module, kind, name)
        return self.builder.call(function, arguments)

    def call_kernel(self, file_name: str, *arguments: Value) -> None:
        """Calls another kernel, which must be among the `calls` of the one that is emitted."""
        self.call(file_name, ir.VoidType(), *(argument.ir for argument in arguments))

    # arithmetic

    def least(self, a: Value, b: Value) -> Value:
        """The lesser; b where either is NaN."""
        return (a < b).select(a, b)

    def greatest(self, a: Value, b: Value) -> Value:
        """The greater; b where either is NaN."""
        return (a > b).select(a, b)

    def clamp(self, value: Value, low: Value, high: Value) -> Value:
        """At least low, at most high; NaN stays NaN."""
        return self.least(high, self.greatest(low, value))

    def multiply_add(self, a: Value, b: Value, c: Value) -> Value:
        """a * b + c, with one rounding where the processor can."""
        if not host.has_fused_multiply_add():
            return a * b + c
        kind = a.type
        suffix = f"v{kind.count}f32" if isinstance(kind, ir.VectorType) else kind.intrinsic_name
        return self.of(self.call(f"llvm.fma.{suffix}", kind, a.ir, b.ir, c.ir))

    def any_lane(self, mask: Value) -> Value:
        """Whether a condition holds in some lane."""
        bits = self.builder.bitcast(mask.ir, ir.IntType(mask.type.count))
        return self.of(bits).differs(0)

"""Denormals (float32 below 1.2e-38) taken for zero while kernels run: FTZ and DAZ of a thread."""

from __future__ import annotations

from llvmlite import ir
from numba import types

from columnar_nn.kernels import host
from columnar_nn.kernels.jitted.compiler import emitted
from columnar_nn.kernels.jitted.emitter import BYTE, INT32, WORD, Emitter, Value
from columnar_nn.kernels.jitted.memory import integer

FLUSH = 0x8040 if host.is_x86() else 1 << 24
"""x86's MXCSR: results that are denormal become zero (FTZ), operands that are count as zero (DAZ).
ARM's FPCR: both of that (FZ).
"""


@emitted(integer())
def float_control(e: Emitter) -> Value:
    """The thread's control register of float arithmetic, 0 on other processors than x86, ARM."""
    if host.is_x86():
        with e.builder.goto_entry_block():
            place = e.builder.alloca(INT32)
        pointer = e.builder.bitcast(place, BYTE.as_pointer())
        e.call("llvm.x86.sse.stmxcsr", ir.VoidType(), pointer)
        return e.of(e.builder.zext(e.builder.load(place), WORD))
    if host.is_arm():
        return e.of(e.call("llvm.aarch64.get.fpcr", WORD))
    return e.word(0)


@emitted(types.none(integer))
def set_float_control(e: Emitter, register: Value) -> None:
    """Sets it to what it was, or to that with or without FLUSH."""
    if host.is_x86():
        with e.builder.goto_entry_block():
            place = e.builder.alloca(INT32)
        e.builder.store(e.builder.trunc(register.ir, INT32), place)
        pointer = e.builder.bitcast(place, BYTE.as_pointer())
        e.call("llvm.x86.sse.ldmxcsr", ir.VoidType(), pointer)
    elif host.is_arm():
        e.call("llvm.aarch64.set.fpcr", ir.VoidType(), register.ir)

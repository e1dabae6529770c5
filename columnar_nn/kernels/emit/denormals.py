"""Denormals (float32 below 1.2e-38) taken for zero while kernels run: FTZ and DAZ of a thread."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from llvmlite import ir

from columnar_nn.kernels import host
from columnar_nn.kernels.emit.emitter import BYTE, INT32, WORD, Emitter, Value

MXCSR_FLUSH = 0x8040
"""x86: results that are denormal become zero (FTZ), operands that are count as zero (DAZ)."""

FPCR_FLUSH = 1 << 24
"""ARM: both of that (FZ)."""


@contextmanager
def flushing(e: Emitter, flush: Value) -> Iterator[None]:
    """Runs its body in a thread that flushes denormals, or, if `flush` is 0, that keeps them.

    Afterwards the thread's control register is as it was: its caller's arithmetic does not change.
    Other processors than x86 and ARM do as their threads are set.
    """
    if host.is_x86():
        before, during = (e.builder.alloca(INT32) for _ in range(2))
        _control(e, "stmxcsr", before)
        old = e.of(e.builder.load(before))
        e.builder.store(_with_bits(old, MXCSR_FLUSH, flush).ir, during)
        _control(e, "ldmxcsr", during)
        yield
        _control(e, "ldmxcsr", before)
    elif host.is_arm():
        old = e.of(e.call("llvm.aarch64.get.fpcr", WORD))
        e.call("llvm.aarch64.set.fpcr", ir.VoidType(), _with_bits(old, FPCR_FLUSH, flush).ir)
        yield
        e.call("llvm.aarch64.set.fpcr", ir.VoidType(), old.ir)
    else:
        yield


def _control(e: Emitter, instruction: str, place: ir.Value) -> None:
    pointer = e.builder.bitcast(place, BYTE.as_pointer())
    e.call(f"llvm.x86.sse.{instruction}", ir.VoidType(), pointer)


def _with_bits(register: Value, bits: int, wanted: Value) -> Value:
    return wanted.differs(0).select(register | bits, register & ~bits)

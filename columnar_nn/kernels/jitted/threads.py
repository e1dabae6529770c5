"""What threads share, wait for and call."""

from __future__ import annotations

import sys
import time

from llvmlite import ir
from numba import types

from columnar_nn.kernels import host
from columnar_nn.kernels.jitted.compiler import emitted, inlined
from columnar_nn.kernels.jitted.emitter import INT32, WORD, Emitter, Value
from columnar_nn.kernels.jitted.memory import POINTERS, integer
from columnar_nn.kernels.parameters import Words

SPINS = 100
"""Looks at a shared counter before a waiting thread offers its core to others."""

_counter = POINTERS["word"]


@emitted(integer(_counter))
def add_atomically(e: Emitter, counter: Value) -> Value:
    """Adds 1 to a word that threads share, and orders memory; what it was before."""
    return e.of(e.builder.atomic_rmw("add", e.pointer(counter, WORD), WORD(1), "seq_cst"))


@emitted(integer(_counter))
def load_shared(e: Emitter, counter: Value) -> Value:
    """A word that other threads write; what they wrote before it is seen after."""
    return e.of(e.builder.load_atomic(e.pointer(counter, WORD), "acquire", 8))


@emitted(integer())
def nanoseconds(e: Emitter) -> Value:
    """The C library's monotonic clock."""
    with e.builder.goto_entry_block():
        moment = e.builder.alloca(WORD, 2)
    e.call("clock_gettime", INT32, INT32(int(time.CLOCK_MONOTONIC)), moment)
    address = e.of(e.builder.ptrtoint(moment, WORD))
    return e.load_word(address, 0) * 10**9 + e.load_word(address, 1)


@emitted(types.none())
def pause(e: Emitter) -> None:
    """Tells the processor that this thread spins, so that another one on its core may run."""
    if host.is_x86():
        e.call("llvm.x86.sse2.pause", ir.VoidType())
    elif host.is_arm():
        e.call("llvm.aarch64.hint", ir.VoidType(), INT32(1))


@emitted(types.none())
def offer_core(e: Emitter) -> None:
    """Lets another thread run on this core."""
    if sys.platform != "win32":
        e.call("sched_yield", INT32)


@emitted(*(types.none(*[integer] * count) for count in (2, 8, 12)))
def call(e: Emitter, function: Value, *arguments: Value) -> None:
    """Calls the function at an address: one of one word, an epilogue of seven, or a kernel."""
    kind = ir.FunctionType(ir.VoidType(), [WORD] * len(arguments))
    e.builder.call(e.pointer(function, kind), [argument.ir for argument in arguments])


@inlined
def spin(spins: int) -> None:
    """One turn of a loop that waits for another thread, the first being number 1."""
    pause()
    if spins > SPINS:
        offer_core()


@inlined
def await_counter(counter: Words, awaited: int) -> None:
    """Spins until a counter that other threads add to has reached a number; orders memory."""
    spins = 0
    while load_shared(counter) < awaited:
        spins += 1
        spin(spins)

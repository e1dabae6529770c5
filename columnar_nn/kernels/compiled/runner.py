"""Runs a program's steps over the rows of a batch: the only caller of kernels."""

import sys
import time

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from columnar_nn.kernels.compiled.simd import INT32, INT64, pointer, set_word, word
from columnar_nn.kernels.jit import NUM_ARGUMENTS

HEADER_WORDS = 8
STEP_WORDS = 8


@intrinsic
def call_kernel(typing_context, function, parameters, source, second, target, scratch, part, parts):
    """Calls the kernel at address `function`."""
    signature = types.void(*[types.int64] * (NUM_ARGUMENTS + 1))

    def codegen(context, builder, _signature, values):
        kind = ir.FunctionType(ir.VoidType(), [INT64] * NUM_ARGUMENTS)
        builder.call(builder.inttoptr(values[0], kind.as_pointer()), values[1:])
        return context.get_dummy_value()

    return signature, codegen


@intrinsic
def nanoseconds(typing_context):
    """The monotonic clock of the C library."""

    def codegen(_context, builder, _signature, _values):
        kind = ir.FunctionType(INT32, (INT32, INT64.as_pointer()))
        clock = cgutils.get_or_insert_function(builder.module, kind, "clock_gettime")
        moment = cgutils.alloca_once(builder, ir.ArrayType(INT64, 2))
        first = builder.bitcast(moment, INT64.as_pointer())
        builder.call(clock, (INT32(int(time.CLOCK_MONOTONIC)), first))
        seconds = builder.load(first)
        rest = builder.load(builder.gep(first, (INT64(1),), source_etype=INT64))
        return builder.add(builder.mul(seconds, INT64(10**9)), rest)

    return types.int64(), codegen


@intrinsic
def arrive(typing_context, counter):
    """Adds one to a counter shared by threads and returns the sum; orders memory."""

    def codegen(_context, builder, _signature, values):
        place = pointer(builder, values[0], INT64)
        return builder.add(builder.atomic_rmw("add", place, INT64(1), "seq_cst"), INT64(1))

    return types.int64(types.int64), codegen


@intrinsic
def shared_word(typing_context, counter):
    """Reads a counter shared by threads; what they wrote before is then visible."""

    def codegen(_context, builder, _signature, values):
        place = pointer(builder, values[0], INT64)
        return builder.load_atomic(place, "acquire", 8)

    return types.int64(types.int64), codegen


@intrinsic
def give_way(typing_context):
    """Lets the operating system run another thread."""

    def codegen(context, builder, _signature, _values):
        if sys.platform != "win32":
            kind = ir.FunctionType(INT32, ())
            builder.call(cgutils.get_or_insert_function(builder.module, kind, "sched_yield"), ())
        return context.get_dummy_value()

    return types.void(), codegen


def run():
    """The function (table): runs rows through steps.

    Header of the int64 table: steps, rows, step-by-step order (0 or 1), scratch, part, parts,
    shared counter (0: this thread runs alone), nanoseconds array (0: not timed). Then for each
    step: kernel, parameters, and address and bytes a row of the first input, the second input
    and the output.
    """

    def kernel(table):
        steps = word(table, 0)
        rows = word(table, 1)
        by_step = word(table, 2)
        scratch = word(table, 3)
        part = word(table, 4)
        parts = word(table, 5)
        counter = word(table, 6)
        times = word(table, 7)
        outer = steps if by_step else rows
        inner = rows if by_step else steps
        before = nanoseconds() if times else 0
        for i in range(outer):
            for j in range(inner):
                step = i if by_step else j
                row = j if by_step else i
                entry = table + 8 * (HEADER_WORDS + STEP_WORDS * step)
                call_kernel(
                    word(entry, 0),
                    word(entry, 1),
                    word(entry, 2) + row * word(entry, 3),
                    word(entry, 4) + row * word(entry, 5),
                    word(entry, 6) + row * word(entry, 7),
                    scratch,
                    part,
                    parts,
                )
                if counter:
                    arrived = arrive(counter)
                    awaited = (arrived + parts - 1) // parts * parts
                    spins = 0
                    while shared_word(counter) < awaited:
                        spins += 1
                        if spins > 1000:
                            give_way()
                if times and (not by_step or j == inner - 1):
                    now = nanoseconds()
                    set_word(times, step, word(times, step) + now - before)
                    before = now

    return kernel

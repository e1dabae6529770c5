"""Runs a program's steps over the rows of a batch: the only caller of kernels."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from llvmlite import ir

from columnar_nn.kernels.emit.denormals import flushing
from columnar_nn.kernels.emit.emitter import INT32, WORD, Emitter, Value, Variable
from columnar_nn.kernels.emit.tables import (
    FIRST_INPUT,
    HEADER_WORDS,
    KERNEL,
    OUTPUT,
    PARAMETERS,
    SECOND_INPUT,
    STEP_WORDS,
)

SPINS = 100
"""Looks at the shared counter before a waiting thread offers its core to others."""


def nanoseconds(e: Emitter, moment: ir.Value) -> Value:
    """The C library's monotonic clock; `moment` is memory for two words."""
    e.call("clock_gettime", INT32, INT32(int(time.CLOCK_MONOTONIC)), moment)
    address = e.of(e.builder.ptrtoint(moment, WORD))
    return e.load_word(address, 0) * 10**9 + e.load_word(address, 1)


def spin(e: Emitter, spins: Variable) -> None:
    """One turn of a loop that waits for another thread; `spins` counts them."""
    e.pause()
    spins.value = spins.value + 1
    if sys.platform != "win32":
        with e.when(spins.value > SPINS):
            e.call("sched_yield", INT32)


def await_counter(e: Emitter, counter: Value, awaited: Value) -> None:
    """Spins until a counter that other threads add to has reached a number; orders memory."""
    spins = e.variable(e.word(0))
    with e.loop_while(lambda: e.load_shared(counter) < awaited):
        spin(e, spins)


def _wait_for_others(e: Emitter, counter: Value, parts: Value) -> None:
    """Returns once all parts have come here as often as this one."""
    arrived = e.add_atomically(counter) + 1
    await_counter(e, counter, (arrived + parts - 1) // parts * parts)


def _claim(e: Emitter, claims: Value, following: Value) -> Value:
    """The first index that no thread has claimed; the following one if this thread runs all."""
    row = e.variable(following)
    with e.when(claims.differs(0)):
        row.value = e.add_atomically(claims)
    return row.value


@contextmanager
def _loop_of_claims(e: Emitter, claims: Value, count: Value) -> Iterator[Value]:
    """Runs its body with each index below `count` that this thread claims."""
    index = e.variable(_claim(e, claims, e.word(0)))
    with e.loop_while(lambda: index.value < count):
        yield index.value
        index.value = _claim(e, claims, index.value + 1)


def run(e: Emitter, table: Value) -> None:
    """Runs rows through steps.

    Header of the int64 table: steps, rows, step-by-step order (0 or 1), whether denormals are
    flushed to zero (0 or 1), scratch, part, parts, counter that the parts meet at (0: this thread
    runs steps alone), nanoseconds array (0: not timed), counter of rows that threads have claimed
    (0: this thread runs all rows; step by step it does so always). Then for each step: kernel,
    parameters, and address and bytes a row of the first input, the second input and the output.
    """
    header = e.load_words(table, HEADER_WORDS)
    steps, rows, by_step, flush, scratch, part, parts, counter, times, claims = header
    stepwise = by_step.differs(0)
    moment = e.builder.alloca(WORD, 2)
    before = e.variable(e.word(0))
    with e.when(times.differs(0)):
        before.value = nanoseconds(e, moment)
    inner = stepwise.select(rows, steps)
    outer = stepwise.select(steps, rows)
    with flushing(e, flush), _loop_of_claims(e, claims, outer) as i, e.loop(inner) as j:
        step = stepwise.select(i, j)
        row = stepwise.select(j, i)
        words = e.load_words(table + step * (8 * STEP_WORDS) + 8 * HEADER_WORDS, STEP_WORDS)
        images = [
            words[slot] + row * words[slot + 1] for slot in (FIRST_INPUT, SECOND_INPUT, OUTPUT)
        ]
        e.call_at(words[KERNEL], words[PARAMETERS], *images, scratch, part, parts)
        with e.when(counter.differs(0)):
            _wait_for_others(e, counter, parts)
        with e.when(times.differs(0) & (stepwise.equals(0) | (j + 1).equals(inner))):
            now = nanoseconds(e, moment)
            place = times + step * 8
            e.store(place, e.load_word(place) + now - before.value, 8)
            before.value = now

"""Runs a program's steps over the rows of a batch: the only caller of kernels."""

from __future__ import annotations

from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.denormals import FLUSH, float_control, set_float_control
from columnar_nn.kernels.jitted.memory import words
from columnar_nn.kernels.jitted.records import record_at
from columnar_nn.kernels.jitted.threads import add_atomically, await_counter, call, nanoseconds
from columnar_nn.kernels.parameters import Words
from columnar_nn.kernels.tables import HEADER_WORDS, STEP_WORDS, Header, TableStep

header_at, step_at = record_at(Header), record_at(TableStep)


@inlined
def claimed(claims: Words, following: int) -> int:
    """The first index that no thread has claimed; the following one if this thread runs all."""
    index: int = add_atomically(claims) if claims else following
    return index


@inlined
def wait_for_others(meetings: Words, parts: int) -> None:
    """Returns once all parts have come here as often as this one."""
    arrived = add_atomically(meetings) + 1
    await_counter(meetings, (arrived + parts - 1) // parts * parts)


def run(table: Words) -> None:
    """Runs rows through steps: see `tables.Header`."""
    p = header_at(table)
    meetings, times, claims = words(p.meetings), words(p.times), words(p.claims)
    before = nanoseconds() if times else 0
    outer, inner = (p.steps, p.rows) if p.by_step else (p.rows, p.steps)
    control = float_control()
    set_float_control(control | FLUSH if p.flush else control & ~FLUSH)
    i = claimed(claims, 0)
    while i < outer:
        for j in range(inner):
            number, row = (i, j) if p.by_step else (j, i)
            step = step_at(table + (HEADER_WORDS + number * STEP_WORDS))
            call(
                step.kernel,
                step.parameters,
                step.first + row * step.first_bytes,
                step.second + row * step.second_bytes,
                step.output + row * step.output_bytes,
                p.scratch,
                p.part,
                p.parts,
            )
            if meetings:
                wait_for_others(meetings, p.parts)
            if times and (not p.by_step or j + 1 == inner):
                now = nanoseconds()
                times[number] += now - before
                before = now
        i = claimed(claims, i + 1)
    set_float_control(control)

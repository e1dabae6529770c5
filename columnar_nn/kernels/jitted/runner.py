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
    """The first group that no thread has claimed; the following one if this thread runs all."""
    index: int = add_atomically(claims) if claims else following
    return index


@inlined
def wait_for_others(meetings: Words, parts: int) -> None:
    """Returns once all parts have come here as often as this one."""
    arrived = add_atomically(meetings) + 1
    await_counter(meetings, (arrived + parts - 1) // parts * parts)


@inlined
def add_time(times: Words, number: int, before: int) -> int:
    """Adds to a step's time what has passed since a moment; the present one."""
    now: int = nanoseconds()
    times[number] += now - before
    return now


@inlined
def run_step(p: Header, table: Words, number: int, start: int, index: int, images: int) -> None:
    """Calls a step's kernel on images from `index` on of the group that begins at row `start`."""
    step = step_at(table + (HEADER_WORDS + number * STEP_WORDS))
    call(
        step.kernel,
        step.parameters,
        step.first + start * step.first_row + index * step.first_image,
        step.second + start * step.second_row + index * step.second_image,
        step.output + start * step.output_row + index * step.output_image,
        p.scratch,
        p.part,
        p.parts,
        images,
        step.first_image,
        step.second_image,
        step.output_image,
    )
    if p.meetings:
        wait_for_others(words(p.meetings), p.parts)


def run(table: Words) -> None:
    """Runs rows through steps: see `tables.Header`."""
    p = header_at(table)
    times, claims = words(p.times), words(p.claims)
    before = nanoseconds() if times else 0
    control = float_control()
    set_float_control(control | FLUSH if p.flush else control & ~FLUSH)
    group = claimed(claims, 0)
    while group * p.group < p.rows:
        start = group * p.group
        images = min(p.group, p.rows - start)
        for index in range(images):
            for number in range(p.first_grouped):
                run_step(p, table, number, start, index, 1)
                if times:
                    before = add_time(times, number, before)
        for number in range(p.first_grouped, p.steps):
            at_once = step_at(table + (HEADER_WORDS + number * STEP_WORDS)).at_once
            calls = 1 if at_once else images
            for index in range(calls):
                run_step(p, table, number, start, index, images if at_once else 1)
            if times:
                before = add_time(times, number, before)
        group = claimed(claims, group + 1)
    set_float_control(control)

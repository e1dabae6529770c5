"""Threads that share a small batch: they wait for work by spinning, for waking takes too long."""

from __future__ import annotations

from columnar_nn.kernels.jitted.compiler import inlined
from columnar_nn.kernels.jitted.threads import (
    add_atomically,
    await_counter,
    call,
    load_shared,
    nanoseconds,
    spin,
)
from columnar_nn.kernels.parameters import Words
from columnar_nn.kernels.tables import (
    FINISHED,
    FIRST_TABLE,
    MEMBER_WORDS,
    MEMBERS,
    POSTED,
    RUNNER,
    SECOND_TABLE,
    SEEN,
    TICKET,
)


@inlined
def run_tables(control: Words, member: Words) -> None:
    """Runs the tables that a member has."""
    for slot in range(FIRST_TABLE, SECOND_TABLE + 1):
        if member[slot]:
            call(control[RUNNER], member[slot])


def post(control: Words, members: int) -> None:
    """Publishes the tables of the first members; the others are left alone."""
    for number in range(1, members):
        add_atomically(control + (MEMBERS + number * MEMBER_WORDS + TICKET))
    control[POSTED] += members - 1


def lead(control: Words) -> None:
    """Runs the tables of member 0; returns when the others have run what was posted to them."""
    run_tables(control, control + MEMBERS)
    await_counter(control + FINISHED, control[POSTED])


def serve(control: Words, number: int, patience: int) -> None:
    """Runs a member's tables for each new ticket; returns after `patience` ns without one."""
    member = control + (MEMBERS + number * MEMBER_WORDS)
    deadline = nanoseconds() + patience
    seen, spins = member[SEEN], 0
    while nanoseconds() < deadline:
        spins += 1
        spin(spins)
        ticket = load_shared(member + TICKET)
        if ticket != seen:
            seen = ticket
            member[SEEN] = ticket
            run_tables(control, member)
            add_atomically(control + FINISHED)
            spins = 0
            deadline = nanoseconds() + patience

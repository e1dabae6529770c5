"""Threads that share a small batch: they wait for work by spinning, for waking takes too long."""

from __future__ import annotations

from columnar_nn.kernels.emit.emitter import WORD, Emitter, Value
from columnar_nn.kernels.emit.runner import await_counter, nanoseconds, spin
from columnar_nn.kernels.emit.tables import (
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


def _run_tables(e: Emitter, control: Value, member: Value) -> None:
    runner = e.load_word(control, RUNNER)
    for slot in (FIRST_TABLE, SECOND_TABLE):
        table = e.load_word(member, slot)
        with e.when(table.differs(0)):
            e.call_at(runner, table)


def post(e: Emitter, control: Value, members: Value) -> None:
    """Publishes the tables of the first members; the others are left alone."""
    with e.loop(members, first=e.word(1)) as number:
        member = control + (8 * MEMBERS) + number * (8 * MEMBER_WORDS)
        e.add_atomically(member + 8 * TICKET)
    e.store(control + 8 * POSTED, e.load_word(control, POSTED) + members - 1, 8)


def lead(e: Emitter, control: Value) -> None:
    """Runs the tables of member 0; returns when the others have run what was posted to them."""
    _run_tables(e, control, control + 8 * MEMBERS)
    await_counter(e, control + 8 * FINISHED, e.load_word(control, POSTED))


def serve(e: Emitter, control: Value, member_number: Value, patience: Value) -> None:
    """Runs a member's tables for each new ticket; returns after `patience` ns without one."""
    member = control + (8 * MEMBERS) + member_number * (8 * MEMBER_WORDS)
    moment = e.builder.alloca(WORD, 2)
    deadline = e.variable(nanoseconds(e, moment) + patience)
    seen = e.variable(e.load_word(member, SEEN))
    spins = e.variable(e.word(0))
    with e.loop_while(lambda: nanoseconds(e, moment) < deadline.value):
        spin(e, spins)
        ticket = e.load_shared(member + 8 * TICKET)
        with e.when(ticket.differs(seen.value)):
            seen.value = ticket
            e.store(member + 8 * SEEN, ticket, 8)
            _run_tables(e, control, member)
            e.add_atomically(control + 8 * FINISHED)
            spins.value = e.word(0)
            deadline.value = nanoseconds(e, moment) + patience

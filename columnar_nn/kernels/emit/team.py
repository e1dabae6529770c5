"""Threads that share a small batch: they wait for work by spinning, for waking takes too long."""

from __future__ import annotations

from llvmlite import ir

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


def _pointer(e: Emitter, address: Value, word: int) -> ir.Value:
    return e.builder.inttoptr((address + 8 * word).ir, WORD.as_pointer())


def _run_tables(e: Emitter, control: Value, member: Value) -> None:
    kind = ir.FunctionType(ir.VoidType(), [WORD])
    runner = e.builder.inttoptr(e.load_word(control, RUNNER).ir, kind.as_pointer())
    for slot in (FIRST_TABLE, SECOND_TABLE):
        table = e.load_word(member, slot)
        with e.when(table.differs(0)):
            e.builder.call(runner, [table.ir])


def post(e: Emitter, control: Value, members: Value) -> None:
    """Publishes the tables of the first members; the others are left alone."""
    with e.loop(members, first=e.word(1)) as number:
        member = control + (8 * MEMBERS) + number * (8 * MEMBER_WORDS)
        e.builder.atomic_rmw("add", _pointer(e, member, TICKET), WORD(1), "seq_cst")
    e.store(control + 8 * POSTED, e.load_word(control, POSTED) + members - 1, 8)


def lead(e: Emitter, control: Value) -> None:
    """Runs the tables of member 0; returns when the others have run what was posted to them."""
    _run_tables(e, control, control + 8 * MEMBERS)
    await_counter(e, _pointer(e, control, FINISHED), e.load_word(control, POSTED))


def serve(e: Emitter, control: Value, member_number: Value, patience: Value) -> None:
    """Runs a member's tables for each new ticket; returns after `patience` ns without one."""
    member = control + (8 * MEMBERS) + member_number * (8 * MEMBER_WORDS)
    moment = e.builder.alloca(WORD, 2)
    deadline = e.variable(nanoseconds(e, moment) + patience)
    seen = e.variable(e.load_word(member, SEEN))
    spins = e.variable(e.word(0))
    with e.loop_while(lambda: nanoseconds(e, moment) < deadline.value):
        spin(e, spins)
        ticket = e.of(e.builder.load_atomic(_pointer(e, member, TICKET), "acquire", 8))
        with e.when(ticket.differs(seen.value)):
            seen.value = ticket
            e.store(member + 8 * SEEN, ticket, 8)
            _run_tables(e, control, member)
            e.builder.atomic_rmw("add", _pointer(e, control, FINISHED), WORD(1), "seq_cst")
            spins.value = e.word(0)
            deadline.value = nanoseconds(e, moment) + patience

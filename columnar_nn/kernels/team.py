"""Threads that share a small batch with the caller's thread, inside the kernels."""

from __future__ import annotations

import threading
from collections.abc import Sequence

import numpy as np

from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import aligned
from columnar_nn.kernels.parameters import address
from columnar_nn.kernels.placement import side_by_side
from columnar_nn.kernels.program import RUNNER as PROGRAM_RUNNER
from columnar_nn.kernels.program import Memory, Order, Program
from columnar_nn.kernels.tables import (
    FINISHED,
    FIRST_TABLE,
    HEADER,
    MEMBER_WORDS,
    MEMBERS,
    POSTED,
    RUNNER,
    SECOND_TABLE,
    SEEN,
    TICKET,
)
from columnar_nn.kernels.threads import Threads

PATIENCE_NANOSECONDS = 1_000_000
"""How long a helper spins for more work before it gives its core back.

To wake a sleeping thread takes about as long as a whole image of a small network. Thread pools
of other engines spin for the same reason, by default as long or longer.
"""

SHARE_MULTIPLY_ADDS = 2**21
"""Work of each member when several share an image. They meet after every step: more members with
less work are slower (plain9 on 16 virtual cores: 4 members 0.26 ms, 16 members 0.38 ms).
"""

APART_BYTES = 2**19
"""Of each member, half of a cache of 1 MB: up to so much the tensors of an image that they share do
not use memory again. Each writes the same lines in every image, which no other core holds then.
plain9 by two, 494 kB, fastest runs: 122 us instead of 125 on cores beside each other (60 ns there
and back), 165 instead of 173 on distant ones (320 ns).
"""

POST = Kernel("team", "post", arguments=("control", "members"))
LEAD = Kernel("team", "lead", arguments=("control",))
SERVE = Kernel("team", "serve", arguments=("control", "number", "patience"))


class Team:
    """The caller's thread and `size` - 1 helpers, on threads that others use too.

    Helpers occupy their threads while they spin; after PATIENCE_NANOSECONDS without work they
    leave, and are called back by the next run that needs them.
    """

    def __init__(self, size: int, pool: Threads) -> None:
        self.size = size
        self._pool = pool
        memory = aligned(8 * (MEMBERS + MEMBER_WORDS * size)).view(np.int64)
        memory[RUNNER] = PROGRAM_RUNNER.address
        self._memory = memory
        self._members = memory[MEMBERS:].reshape(size, MEMBER_WORDS)
        self._address = address(memory)
        self._lock = threading.Lock()
        self._absent = set(range(1, size))  # not called since they left
        self._present: set[int] = set()
        self._tables: np.ndarray | None = None  # the members' at present

    def run(self, tables: np.ndarray, members: int) -> None:
        """Runs up to two tables of each of the first members, one call at a time.

        `tables` holds the addresses of theirs [at least so many, 2], int64, 0 for none. It is
        kept, and must not change. An interrupt is raised once all have run what was posted:
        they wait for each other, and what they work on may be gone once this returns.
        """
        if tables is not self._tables:
            self._members[: len(tables), FIRST_TABLE : SECOND_TABLE + 1] = tables
            self._tables = tables
        pool = self._pool
        if pool.started < members - 1 or pool.forked:
            pool.start(members - 1)
        try:
            with self._lock:
                POST.run(self._address, members)
                self._call(members)
        except BaseException:
            if self._memory[FINISHED] < self._memory[POSTED]:
                with self._lock:
                    self._call(members)
                LEAD.run(self._address)
            raise
        LEAD.run(self._address)

    def _call(self, members: int) -> None:
        """Calls those of the first members who are absent; may be interrupted and begun again."""
        for member in [member for member in self._absent if member < members]:
            self._pool.submit(self._serve, member)
            self._absent.discard(member)

    def _serve(self, member: int) -> None:
        """A helper's work, until there has been none for a while."""
        with self._lock:
            if member in self._present:  # called twice
                return
            self._present.add(member)
        while True:
            SERVE.run(self._address, member, PATIENCE_NANOSECONDS)
            with self._lock:
                if self._members[member, TICKET] == self._members[member, SEEN]:
                    self._present.discard(member)
                    self._absent.add(member)
                    return


class _Memories:
    """What members of a team keep between runs in one order, as Memory for one thread.

    `tables` holds their tables, [words, members], `addresses` where these begin.
    """

    def __init__(self, memories: Sequence[Memory]) -> None:
        rows = np.stack([memory.table for memory in memories])
        self.tables = rows.T
        self.addresses = address(rows) + rows.strides[0] * np.arange(len(rows))
        self.rows = memories[0].rows
        self._memories = memories

    def take_report(self) -> int:
        """As Memory.take_report, the gravest of all members."""
        return max(memory.take_report() for memory in self._memories)  # all are to forget


def useful_parts(program: Program, team: Team) -> int:
    """How many members of a team should share an image."""
    work = sum(step.kernel.multiply_adds for step in program.steps)
    return max(1, min(team.size, round(work / SHARE_MULTIPLY_ADDS)))


class TeamProgram:
    """A program with memory for every member of a team, of whom `parts` may share an image."""

    def __init__(self, program: Program, team: Team, parts: int) -> None:
        self._program = program
        self.team = team
        self._parts = parts
        counters = aligned(2 * 64).view(np.int64)
        self._meetings, self._claims = counters[:8], counters[8:]
        placement = program.group_placement
        if placement.unshared_bytes <= parts * APART_BYTES:
            placement = side_by_side(placement, program.group_buffers())
        shared = placement, aligned(placement.num_bytes)
        self._together = _Memories(
            [program.allocate("image", 1, shared) for _ in range(self._parts)]
        )
        self._together.tables[HEADER.part] = range(self._parts)
        self._together.tables[HEADER.parts] = self._parts
        self._together.tables[HEADER.meetings] = address(self._meetings)
        self._alone: dict[Order, _Memories] = {}
        self._tables: dict[tuple[Order | None, bool], np.ndarray] = {}

    def run_at(self, addresses: Sequence[int], rows: int, order: Order) -> bool:
        """As Program.run_at: in the order "image" each member takes one row, or group of rows,
        after another.

        In the order "step" members get equal shares. Few rows that would be left over are taken
        together: each member does its part of every step, and waits for the others before the
        next.
        """
        left = rows % self.team.size
        together = left if 2 * left <= self._parts else 0
        alone = rows - together
        members = min(alone, self.team.size) if alone else self._parts
        if alone:
            self._set_alone(addresses, alone, members, order)
        if together:
            self._program.set_run(self._together.tables, addresses, alone, together)
            self._together.tables[HEADER.group] = self._program.regions.group(together)
        key = (order if alone else None, together > 0)
        tables = self._tables.get(key)
        if tables is None:
            tables = self._tables[key] = self._make_tables(*key)
        self.team.run(tables, members)
        report = self._alone[order].take_report() if alone else 0
        if together:
            report = max(report, self._together.take_report())
        return self._program.judge(report)

    def _set_alone(self, addresses: Sequence[int], rows: int, members: int, order: Order) -> None:
        """Tells the first members to run whole rows."""
        most = -(-rows // members)
        memories = self._alone.get(order)
        if memories is None or memories.rows < most:
            memories = self._alone[order] = _Memories(
                [self._program.allocate(order, most) for _ in range(self.team.size)]
            )
            if order == "image":
                memories.tables[HEADER.claims] = address(self._claims)
            self._tables.clear()
        if order == "image":
            self._claims[0] = 0
            self._program.set_run(memories.tables, addresses, 0, rows)
            memories.tables[HEADER.group] = self._program.regions.group(rows, members)
        else:
            ends = np.arange(members + 1) * rows // members
            tables = memories.tables[:, :members]
            self._program.set_run(tables, addresses, ends[:-1], np.diff(ends))

    def _make_tables(self, order: Order | None, together: bool) -> np.ndarray:
        """What Team.run takes: tables of rows taken alone in an order, and of rows together."""
        members = self._parts if order is None else self.team.size
        tables = np.zeros((members, 2), np.int64)
        if order is not None:
            tables[:, 0] = self._alone[order].addresses
        if together:
            tables[: self._parts, 1] = self._together.addresses
        return tables

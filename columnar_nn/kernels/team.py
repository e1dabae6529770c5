"""Threads that share a small batch with the caller's thread, inside the kernels."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from columnar_nn.kernels.emit.tables import (
    FIRST_TABLE,
    MEMBER_WORDS,
    MEMBERS,
    RUNNER,
    SEEN,
    SIZE,
    TICKET,
)
from columnar_nn.kernels.jit import Kernel, function
from columnar_nn.kernels.layout import address, aligned
from columnar_nn.kernels.program import RUNNER as PROGRAM_RUNNER
from columnar_nn.kernels.program import Memory, Order, Program

PATIENCE_NANOSECONDS = 1_000_000
"""How long a helper spins for more work before it gives its core back.

To wake a sleeping thread takes about as long as a whole image of a small network. Thread pools
of other engines spin for the same reason, by default as long or longer.
"""

POST = Kernel("team", "post", num_arguments=1)
LEAD = Kernel("team", "lead", num_arguments=1)
SERVE = Kernel("team", "serve", num_arguments=3)


class Team:
    """The caller's thread and `size` - 1 helpers, threads of a pool that others use too.

    Helpers occupy the pool while they spin; after PATIENCE_NANOSECONDS without work they leave
    it, and are called back by the next run.
    """

    def __init__(self, size: int, pool: ThreadPoolExecutor) -> None:
        self.size = size
        self._pool = pool
        self._memory = aligned(8 * (MEMBERS + MEMBER_WORDS * size))
        self._control = self._memory.view(np.int64)
        self._control[RUNNER] = PROGRAM_RUNNER.address
        self._control[SIZE] = size
        self._address = address(self._memory)
        self._lock = threading.Lock()
        self._absent = set(range(1, size))

    def run(self, runs: Sequence[Sequence[Memory]]) -> None:
        """Runs for each member the tables of up to two memories; one call at a time."""
        for member, memories in enumerate(runs):
            first = MEMBERS + MEMBER_WORDS * member + FIRST_TABLE
            for slot in range(2):
                given = slot < len(memories)
                self._control[first + slot] = memories[slot].address if given else 0
        with self._lock:
            function(POST)(self._address)
            absent, self._absent = self._absent, set()
        for member in absent:
            self._pool.submit(self._serve, member)
        function(LEAD)(self._address)

    def _serve(self, member: int) -> None:
        """A helper's work, until there has been none for a while."""
        while True:
            function(SERVE)(self._address, member, PATIENCE_NANOSECONDS)
            with self._lock:
                seen = self._control[MEMBERS + MEMBER_WORDS * member + SEEN]
                if self._control[TICKET] == seen:
                    self._absent.add(member)
                    return


class TeamProgram:
    """A program with memory for every member of a team."""

    def __init__(self, program: Program, team: Team) -> None:
        self._program = program
        self.team = team
        self._own: dict[Order, list[Memory]] = {}
        self._counter = aligned(64)
        arena = aligned(program.placement.num_bytes)
        self._shared = [program.allocate("image", 1, arena) for _ in range(team.size)]
        for part, memory in enumerate(self._shared):
            memory.table[4:7] = [part, team.size, address(self._counter)]

    def run_at(self, addresses: Sequence[int], rows: int, order: Order) -> None:
        """As Program.run_at: each member takes as many rows as the others by itself.

        Rows that are left over, fewer than members, are taken together: each member does its part
        of every step, and waits for the others before the next.
        """
        size = self.team.size
        share, left = divmod(rows, size)
        runs: list[list[Memory]] = [[] for _ in range(size)]
        if share:
            for member, memory in enumerate(self._own_memory(order, share)):
                self._program.set_run(memory, addresses, member * share, share)
                runs[member].append(memory)
        if left:
            for member, memory in enumerate(self._shared):
                self._program.set_run(memory, addresses, size * share, left)
                runs[member].append(memory)
        self.team.run(runs)

    def _own_memory(self, order: Order, rows: int) -> list[Memory]:
        memory = self._own.get(order)
        if memory is None or memory[0].rows < rows:
            size = self.team.size
            memory = self._own[order] = [self._program.allocate(order, rows) for _ in range(size)]
        return memory

"""The int64 tables that Python fills and the runner, teams and Arrow's reader work on."""

from __future__ import annotations

from typing import NamedTuple

from columnar_nn.kernels.parameters import positions


class Header(NamedTuple):
    """What a program's table begins with.

    Numbers of steps and rows; whether all rows go through a step before the next; whether
    denormals are flushed to zero; the thread's scratch memory; its part of how many; a counter
    that the parts meet at (0: this thread runs steps alone), nanoseconds a step (0: not timed),
    a counter of rows that threads have claimed (0: this thread runs all rows; step by step it
    does so always).
    """

    steps: int
    rows: int
    by_step: int
    flush: int
    scratch: int
    part: int
    parts: int
    meetings: int
    times: int
    claims: int


class TableStep(NamedTuple):
    """What follows for each step: addresses of a kernel, its parameters and its tensors' first
    rows, and bytes from row to row.
    """

    kernel: int
    parameters: int
    first: int
    first_bytes: int
    second: int
    second_bytes: int
    output: int
    output_bytes: int


HEADER, STEP = positions(Header), positions(TableStep)
HEADER_WORDS, STEP_WORDS = len(HEADER), len(STEP)

SPOILED_BYTES = 64
"""How far before a thread's scratch memory a word lies that Winograd's convolutions set to 1 where
an input is not finite or so large that their transforms might overflow.
"""

OUTSIDE, OVERFLOW, ZERO_DIVISION = 2, 3, 4
"""What the same word holds once a Python function has used an index outside of a row or a tuple, an
integer that 64 bits do not hold, or zero as the divisor of one.
"""

FINISHED, POSTED, RUNNER, MEMBERS = 0, 8, 9, 16
"""Words of a team's control block: runs that helpers have finished, runs posted to them, address of
the runner; then MEMBER_WORDS for each member. Each member has a cache line of its own.
"""

MEMBER_WORDS = 8
TICKET, SEEN, FIRST_TABLE, SECOND_TABLE = 0, 1, 2, 3
"""Words of a member: runs posted to it, the last of them that it has begun, and the tables to
run, 0 for none.
"""

NULL_COUNT, OFFSET, BUFFERS, CHILDREN, RELEASE, ARRAY_WORDS = 1, 2, 5, 6, 8, 10
"""Words of Arrow's struct ArrowArray, and how many it has."""


class TensorColumn(NamedTuple):
    """A column to find in a batch: its position there, bytes of a row and of a number."""

    position: int
    row_bytes: int
    item_bytes: int


TENSOR_COLUMN_WORDS = len(TensorColumn._fields)


class Column(NamedTuple):
    """A column of Arrow's as a scalar function's kernel reads it.

    Addresses of its values, or bits of booleans, and of the bits that are 0 where it is null (0: it
    is not); the number of its first row, and 1, or 0 if that row is every row.
    """

    values: int
    validity: int
    first: int
    step: int

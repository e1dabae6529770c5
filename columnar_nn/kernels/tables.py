"""The int64 tables that Python fills and the runner, teams and Arrow's reader work on."""

from __future__ import annotations

from typing import NamedTuple

from columnar_nn.kernels.parameters import positions


class Header(NamedTuple):
    """What a program's table begins with.

    Numbers of steps and rows; the first of the steps that all images of a group go through before
    the next, and the images of a group; whether denormals are flushed to zero; the thread's scratch
    memory; its part of how many; a counter that the parts meet at (0: this thread runs steps
    alone), nanoseconds a step (0: not timed), a counter of groups that threads have claimed (0:
    this thread runs all rows; step by step it does so always).
    """

    steps: int
    rows: int
    first_grouped: int
    group: int
    flush: int
    scratch: int
    part: int
    parts: int
    meetings: int
    times: int
    claims: int


class TableStep(NamedTuple):
    """What follows for each step: addresses of a kernel, its parameters and its tensors' first
    images; whether one call takes all images of a group.

    Of each tensor the bytes from image to image of a group, and from row to row of what comes from
    outside or goes there; 0 where the next image takes the place of the one before.
    """

    kernel: int
    parameters: int
    at_once: int
    first: int
    first_image: int
    first_row: int
    second: int
    second_image: int
    second_row: int
    output: int
    output_image: int
    output_row: int


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

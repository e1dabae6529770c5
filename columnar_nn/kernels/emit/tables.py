"""Where words lie in the int64 tables that Python fills and the runner and teams read."""

(
    STEPS,
    ROWS,
    BY_STEP,
    FLUSH,
    SCRATCH,
    PART,
    PARTS,
    MEETINGS,
    TIMES,
    CLAIMS,
    HEADER_WORDS,
) = range(11)
"""Words of a program's table before the first step, and how many they are: see runner.run."""

SPOILED_BYTES = 64
"""How far before a thread's scratch memory a word lies that Winograd's convolutions set to 1 where
an input is not finite or so large that their transforms might overflow.
"""

KERNEL, PARAMETERS, FIRST_INPUT, SECOND_INPUT, OUTPUT, STEP_WORDS = 0, 1, 2, 4, 6, 8
"""Words of each step: of a tensor its address, in the word after it the bytes of a row."""

FINISHED, POSTED, RUNNER, MEMBERS = 0, 8, 9, 16
"""Words of the control block: runs that helpers have finished, runs posted to them, address of the
runner; then MEMBER_WORDS for each member. Each member has a cache line of its own.
"""

MEMBER_WORDS = 8
TICKET, SEEN, FIRST_TABLE, SECOND_TABLE = 0, 1, 2, 3
"""Words of a member: runs posted to it, the last of them that it has begun, and the tables to
run, 0 for none.
"""

NULL_COUNT, OFFSET, BUFFERS, CHILDREN, RELEASE, ARRAY_WORDS = 1, 2, 5, 6, 8, 10
"""Words of Arrow's struct ArrowArray, and how many it has."""

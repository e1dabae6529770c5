"""Where words lie in the int64 tables that Python fills and the runner and teams read."""

HEADER_WORDS = 8
STEP_WORDS = 8
"""Words of a program's table before the first step, and of each step: see runner.run."""

TICKET, FINISHED, RUNNER, SIZE, MEMBERS = 0, 8, 16, 17, 24
"""Words of the control block: runs posted, runs finished by helpers, address of the runner,
members of the team; then MEMBER_WORDS for each member. What different threads write lies on
cache lines of its own.
"""

MEMBER_WORDS = 8
SEEN, FIRST_TABLE, SECOND_TABLE = 0, 1, 2
"""Words of a member: the last ticket it has worked on, and tables to run, 0 for none."""

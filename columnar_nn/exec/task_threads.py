"""The threads of an executable, given to one task at a time."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Protocol

from columnar_nn.errors import UsageError
from columnar_nn.kernels import Threads

if TYPE_CHECKING:
    from columnar_nn.kernels import Team

SHORT_STREAM_ROWS = 256
"""Rows for each thread up to which a stream is not worth drivers on other threads.

Drivers take turns with the interpreter's lock, each for every morsel of its own; one driver, whose
kernels the threads share, takes it once a batch, but the others wait meanwhile. plain9 in batches
of 128, how many times as fast one driver is as many: 512 images 1.9 on 16 threads, 1.2 on 8, 1.06
on 4, 1.04 on 2; 8,000 images 0.97, 0.98, 0.93, and 2,000 on 2 threads 0.96.
"""


class Closes(Protocol):
    """A task, or a call."""

    def close(self) -> None:
        """Ends it."""


class Call:
    """A batch that is being computed without a task: it comes to its end by itself."""

    def close(self) -> None:
        """Nothing."""


class TaskThreads:
    """`size` threads, one of which is the caller's; a `team` shares kernels if there are several.

    The others, and the scratch memory that they keep, live until `close`.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.driver_ended = threading.Condition()
        self._lock = threading.RLock()  # a finalizer may end a task while another begins
        self._running: Closes | None = None
        self._closed = False
        self._start()

    def _start(self) -> None:
        self.pool = Threads(self.size - 1)
        self.team: Team | None = None
        if self.size > 1:
            from columnar_nn.kernels import Team  # one thread has none

            self.team = Team(self.size, self.pool)

    def refuse_if_over(self) -> None:
        """Raises UsageError after `close`, and in the child of a fork."""
        if self.pool.forked:
            raise UsageError("a forked process cannot use its parent's executable: prepare its own")
        if self._closed:
            raise UsageError("this executable has been closed: prepare another")

    def begin(self, task: Closes) -> None:
        """Gives the threads to a task or a call until it ends.

        Raises UsageError if they are not free.
        """
        self.refuse_if_over()  # after a fork the lock may be held by a thread that is no more
        with self._lock:
            self.refuse_if_over()
            if self._running is not None:
                raise UsageError(
                    "this executable runs another task: read that to its end or close it first; "
                    "threads that work at the same time need an executable each"
                )
            self._running = task

    def end(self, task: Closes, left_behind: bool) -> None:
        """Takes the threads back; `left_behind` says that drivers still occupy some."""
        with self._lock:
            if self._running is not task:
                return
            if left_behind:
                self.pool.stop()
                self._start()
            self._running = None
            if self._closed:
                self.pool.stop()

    def close(self) -> None:
        """Ends the threads, once a task that runs has ended; that is closed."""
        self._closed = True
        if self.pool.forked:
            return
        with self._lock:
            running = self._running
            if running is None:
                self.pool.stop()
        if running is not None:
            running.close()

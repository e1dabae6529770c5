"""Threads that wait for work, as long as their executable lives."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

from columnar_nn.errors import UsageError

Job = tuple[Callable[..., None], tuple[Any, ...]]


class Threads:
    """At most `size` threads that do what is submitted, in order.

    A process may end while one of them waits, for a source perhaps that gives nothing more: they
    are daemons. Those of concurrent.futures would be waited for, whatever they wait for.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.started = 0
        self.forked = False
        """Whether this is the child of a fork, which has none of its parent's threads."""
        self._jobs: SimpleQueue[Job | None] = SimpleQueue()
        _all.add(self)

    def start(self, count: int) -> None:
        """Sees to it that at least `count` of them run; before anything is submitted to these.

        Raises UsageError where the system gives no more threads, and in the child of a fork.
        """
        if self.forked:
            raise UsageError("a forked process has none of its parent's threads: prepare a plan")
        while self.started < min(count, self.size):
            name = f"driver_{self.started}"
            thread = threading.Thread(target=_work, args=(self._jobs,), name=name, daemon=True)
            try:
                thread.start()
            except RuntimeError as error:
                raise UsageError(f"{error}: prepare the plan for fewer threads") from None
            self.started += 1

    def submit(self, function: Callable[..., None], *arguments: Any) -> None:
        """Calls a function on one of the threads, as soon as one has nothing else to do."""
        self._jobs.put((function, arguments))

    def stop(self) -> None:
        """Ends each thread once it has nothing to do; does not wait."""
        for _ in range(self.started):
            self._jobs.put(None)

    def __del__(self) -> None:
        self.stop()


_all: weakref.WeakSet[Threads] = weakref.WeakSet()


def _forked() -> None:
    for threads in _all:
        threads.forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def _work(jobs: SimpleQueue[Job | None]) -> None:
    while (job := jobs.get()) is not None:
        function, arguments = job
        function(*arguments)
        del job, function, arguments  # nothing is kept alive between two jobs

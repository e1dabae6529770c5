"""No process of a worker outlives it: a guard, forked beside it, ends what the worker started.

The kernel ends a worker with its parent, however that ends, and a stopped one too. It does not
end what the worker has started; those, in the worker's process group, the guard ends. It waits
in a session of its own, so that it is not stopped with the group.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent(parent: int) -> None:
    """Called first thing in a worker that leads its process group. On Linux only."""
    if sys.platform != "linux":
        return
    end_with_parent(signal.SIGKILL)
    if os.getppid() != parent:  # it was faster
        os._exit(1)
    worker = os.getpid()
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    if os.fork() == 0:
        _guard(worker)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})


def _guard(worker: int) -> None:
    """Waits for the worker's end, then ends its process group; never returns."""
    os.setsid()
    # The worker's socket among them: the parent must see it closed.
    os.closerange(0, os.sysconf("SC_OPEN_MAX"))
    end_with_parent(signal.SIGTERM)
    if os.getppid() == worker:
        signal.sigwait({signal.SIGTERM})
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(worker, signal.SIGKILL)
    os._exit(0)


def end_with_parent(number: signal.Signals) -> None:
    """Has the kernel send this process a signal when its parent ends. On Linux only."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number)

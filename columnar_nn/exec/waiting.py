"""Waits of drivers for one another that an interrupt can end."""

from __future__ import annotations

import threading
from collections.abc import Callable

WAIT_SECONDS = 1.0
"""How long one driver waits for another at a time: where a system does not let a signal end a wait,
it is answered between two.
"""


def wait_until(condition: threading.Condition, predicate: Callable[[], bool]) -> None:
    """Returns once the predicate holds; whoever changes that notifies the condition."""
    with condition:
        while not condition.wait_for(predicate, WAIT_SECONDS):
            pass


def acquire_unless(lock: threading.Lock, given_up: Callable[[], bool]) -> bool:
    """Whether the lock is the caller's now: not so if `given_up` while another had it."""
    while not lock.acquire(timeout=WAIT_SECONDS):
        if given_up():
            return False
    return True

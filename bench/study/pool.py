"""Processes that are held between their turns, as many as memory has room for."""

from __future__ import annotations

import psutil

from bench.compare.contender import Contender
from bench.machine import environment

_SHARE = 0.5
"""Of the memory that is free at the beginning: the rest is for what a run takes besides."""


def free_bytes() -> int:
    """Memory that processes may take, within the container's limit."""
    available = psutil.virtual_memory().available
    limit = environment.machine()["memory_limit_bytes"]
    return int(min(available, limit or available) * _SHARE)


class Pool:
    """Contenders whose workers live. Where memory is short, those end that waited longest."""

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._held: dict[Contender, None] = {}
        self.overflowed = False
        """Whether one had to end; it is started anew for its next turn."""

    def make_room(self, contender: Contender) -> None:
        """Before a contender's worker runs: ends others', as what it is known to take demands."""
        self._held.pop(contender, None)
        while self._held and self._taken(contender) > self._budget:
            oldest = next(iter(self._held))
            del self._held[oldest]
            if oldest.running:
                oldest.finish()
                self.overflowed = True
        self._held[contender] = None

    def wake(self, contender: Contender) -> None:
        """Makes room, and starts the contender's worker again if it has had to end."""
        self.make_room(contender)
        if not contender.running:
            contender.wake()

    def _taken(self, contender: Contender) -> int:
        running = [held for held in self._held if held.running]
        return contender.peak_rss_bytes + sum(held.peak_rss_bytes for held in running)

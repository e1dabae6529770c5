"""One turn of a cell: some timed runs in a row, and what others took of their time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.machine.disturbance import Disturbance, disturbed


@dataclass(frozen=True)
class Share:
    """What one of several processes did in a turn: seconds of its part of each run.

    `rss_bytes` is its resident memory after them, `pss_bytes` the same with every page that is
    shared divided by those who share it; None where the system does not tell.
    """

    seconds: Sequence[float]
    rss_bytes: int | None
    pss_bytes: int | None


@dataclass(frozen=True)
class Turn:
    """Seconds of each run of one turn, in all and of each phase by name, in order.

    `switches` has how often a thread of the backend had to leave its CPU in each run; it is empty
    where that was not counted. The
    `disturbance` is that of the turn as a whole; None where it is not known. `order` is its number
    among all turns, `round` that of the round it was in, and `start_s` when it began, in seconds
    after the first one did. `shares` are those of processes that worked together, one each.
    """

    times: Sequence[float]
    phases: Sequence[dict[str, float]]
    switches: Sequence[int]
    disturbance: Disturbance | None = None
    round: int = 0
    order: int = 0
    start_s: float = 0.0
    shares: Sequence[Share] = ()

    def undisturbed(self) -> list[float]:
        """Times of the runs that were not disturbed: all of a quiet turn, else those in which
        no thread had to leave its CPU."""
        if not disturbed([self.disturbance]):
            return list(self.times)
        return [s for s, count in zip(self.times, self.switches, strict=True) if not count]

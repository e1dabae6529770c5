"""What a backend says of the time of its own operators, by the names of the network's nodes."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from columnar_nn.errors import CnnBenchError


class ProfilingUnavailableError(CnnBenchError):
    """This backend, or this configuration of it, tells no operator times; the message is why."""


@dataclass(frozen=True)
class OperatorProfile:
    """Wall time of one operator of a backend, over all of its `calls` as that counts them.

    `nodes` are the graph's nodes that it computes, in graph order: several if they are fused,
    none for work of the backend's own, such as reordering a tensor. `operator` is what the backend
    calls it. A call is an execution of a kernel; of a task in Velox, of a row in columnar.
    """

    nodes: tuple[str, ...]
    operator: str
    seconds: float
    calls: int


def merged(profiles: Iterable[OperatorProfile]) -> tuple[OperatorProfile, ...]:
    """Profiles of the same nodes and operator added up, in the order in which each first came."""
    totals: dict[tuple[tuple[str, ...], str], tuple[float, int]] = {}
    for profile in profiles:
        seconds, calls = totals.get((profile.nodes, profile.operator), (0.0, 0))
        totals[profile.nodes, profile.operator] = (
            seconds + profile.seconds,
            calls + profile.calls,
        )
    return tuple(OperatorProfile(*key, *total) for key, total in totals.items())


class OperatorClock:
    """Takes the times of a backend that calls its operators one by one and keeps none itself."""

    def __init__(self) -> None:
        self._profiles: list[OperatorProfile] = []

    @contextmanager
    def operator(self, node: str, operator: str) -> Iterator[None]:
        """Adds the wall time of the block to the operator that computes `node`."""
        start = time.perf_counter()
        yield
        seconds = time.perf_counter() - start
        self._profiles.append(OperatorProfile((node,), operator, seconds, 1))

    def profiles(self) -> tuple[OperatorProfile, ...]:
        """What was timed so far, merged."""
        return merged(self._profiles)

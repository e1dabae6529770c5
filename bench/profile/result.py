"""What profiling backends gave, as immutable records and an Arrow table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import pyarrow as pa

from adapters.operator_profile import OperatorProfile
from bench.machine.disturbance import Disturbance, disturbed
from bench.verdict.status import UNSUCCESSFUL


@dataclass(frozen=True)
class ProfiledRun:
    """One run with operator clocks on: seconds from Arrow in to Arrow out, and its operators."""

    seconds: float
    operators: tuple[OperatorProfile, ...]


@dataclass(frozen=True)
class BackendProfile:
    """One backend in one configuration.

    `source` says whose clock timed the operators, or `unavailable` why none did. `plain` has the
    seconds of runs with those clocks off, `profiled` the runs with them on, `disturbances` what
    others took of each pair of them. `counts` are hardware events of one run, or
    `counters_unavailable` says why there are none.
    """

    backend: str
    configuration: str
    status: str
    reason: str = ""
    source: str = ""
    unavailable: str = ""
    plain: tuple[float, ...] = ()
    disturbances: tuple[Disturbance | None, ...] = ()
    profiled: tuple[ProfiledRun, ...] = ()
    counts: Mapping[str, float] = field(default_factory=dict)
    counters_unavailable: str = ""
    description: Mapping[str, Any] = field(default_factory=dict)

    @property
    def label(self) -> str:
        return f"{self.backend}:{self.configuration}"

    @property
    def disturbed(self) -> bool:
        """Whether others took so much of its time that its figures say little."""
        return disturbed(self.disturbances)

    @property
    def plain_seconds(self) -> float | None:
        """Median of the runs with the clocks off (the lower one of two in the middle)."""
        return sorted(self.plain)[(len(self.plain) - 1) // 2] if self.plain else None

    @property
    def profiling_cost(self) -> float | None:
        """How much slower, as a share, the fastest profiled run is: noise only adds."""
        if not (self.plain and self.profiled):
            return None
        return min(run.seconds for run in self.profiled) / min(self.plain) - 1

    @property
    def median_run(self) -> ProfiledRun | None:
        """The profiled run of median time, whose rows, sum and total belong together."""
        ordered = sorted(self.profiled, key=lambda run: run.seconds)
        return ordered[(len(ordered) - 1) // 2] if ordered else None


@dataclass(frozen=True)
class ProfileResult:
    """All backends on the same images; `samples` is the images of a run."""

    context: Mapping[str, Any]
    samples: int
    backends: tuple[BackendProfile, ...]

    def exit_code(self) -> int:
        """0 if nothing that ran failed, else 1; a backend without operator times is no failure."""
        return int(any(backend.status in UNSUCCESSFUL for backend in self.backends))

    def operators_table(self) -> pa.Table:
        """One row an operator of every backend's median run; seconds are of the whole run."""
        records = [
            {"engine": backend.label, "position": position, **asdict(operator)}
            for backend in self.backends
            if backend.median_run is not None
            for position, operator in enumerate(backend.median_run.operators)
        ]
        return pa.Table.from_pylist(records, schema=_OPERATORS)


_OPERATORS = pa.schema(
    [
        ("engine", pa.string()),
        ("position", pa.int32()),
        ("nodes", pa.list_(pa.string())),
        ("operator", pa.string()),
        ("seconds", pa.float64()),
        ("calls", pa.int64()),
    ]
)

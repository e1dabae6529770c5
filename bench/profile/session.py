"""What a worker does to profile its backend: the same images with and without operator clocks."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pyarrow as pa

from adapters.base import Stopwatch
from adapters.operator_profile import ProfilingUnavailableError
from bench.machine.hardware_counters import CountersUnavailableError, counting
from bench.workers.session import Session, WrongOutputError, take_turn
from columnar_nn.data import tensor_column

SAME = 1e-4
"""Largest difference, in share of the largest output, between runs that count as the same."""


class ProfileSession(Session):
    """A session that can also ask its backend for the times of its operators."""

    def warm_up(self, images: str, samples: int, batch_size: int) -> dict[str, Any]:
        """Runs once without and once with profiling, neither of them timed.

        Replies with the `source` of operator times, or the reason why there are none as
        `unavailable`. Raises WrongOutputError if profiling changes what is computed.
        """
        batches = list(self._batches(images, samples, batch_size))
        plain = self._infer(batches)
        try:
            source = self._backend.start_profiling()
        except ProfilingUnavailableError as error:
            return self._reply(source="", unavailable=str(error))
        profiled = self._infer(batches)
        self._backend.stop_profiling()
        for name, expected in plain.items():
            tolerance = SAME * float(np.abs(expected).max(initial=0.0))
            if not np.allclose(profiled[name], expected, SAME, tolerance, equal_nan=True):
                raise WrongOutputError(f"output {name} is another one with profiling on")
        return self._reply(source=source, unavailable="")

    def profile(
        self, images: str, samples: int, batch_size: int, operators: bool
    ) -> dict[str, Any]:
        """Times one run as it is and, with `operators`, one more with their clocks on.

        Replies with `plain` and `profiled` seconds, and `operators` as OperatorProfile's fields.
        """
        batches = list(self._batches(images, samples, batch_size))
        # Other workers had the caches meanwhile.
        plain = self._seconds(batches, prime=True)
        if not operators:
            return self._reply(plain=plain)
        self._backend.start_profiling()
        profiled = self._seconds(batches, prime=False)
        profiles = self._backend.stop_profiling()
        return self._reply(
            plain=plain,
            profiled=profiled,
            operators=[dataclasses.asdict(profile) for profile in profiles],
        )

    def count_events(self, images: str, samples: int, batch_size: int) -> dict[str, Any]:
        """Hardware events of one run by name as `counts`, or why there are none."""
        batches = list(self._batches(images, samples, batch_size))
        try:
            with counting() as read:
                self._infer(batches)
                return self._reply(counts=read(), unavailable="")
        except CountersUnavailableError as error:
            return self._reply(counts={}, unavailable=str(error))

    def _infer(self, batches: list[pa.RecordBatch]) -> dict[str, np.ndarray]:
        """The outputs by name, checked to be the graph's."""
        outputs = list(self._backend.infer(iter(batches), Stopwatch()))
        self._check(outputs, sum(batch.num_rows for batch in batches))
        return {
            name: np.concatenate([tensor_column.to_numpy(batch.column(name)) for batch in outputs])
            for name in outputs[0].schema.names
        }

    def _seconds(self, batches: list[pa.RecordBatch], prime: bool) -> float:
        def infer(stopwatch: Stopwatch) -> None:
            for _ in self._backend.infer(iter(batches), stopwatch):
                pass

        (seconds,) = take_turn(infer, min_runs=1, min_seconds=0.0, prime=prime).times
        return seconds

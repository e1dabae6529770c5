"""A worker process with the columnar engine in it, for one part of the engine benchmark."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.engine.setup import BATCH_SIZE, Setup
from bench.workers import start as cold_start
from bench.workers.process import WorkerProcess

SESSION = "bench.engine.session:EngineSession"


class EngineWorker:
    """The worker, stopped while it is not being asked anything."""

    def __init__(self, process: WorkerProcess, timeout: float) -> None:
        self._process = process
        self._timeout = timeout

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """A command of EngineSession and its reply; raises WorkerError."""
        return self._process.request_then_pause(command, self._timeout, **arguments)

    def start(self, setup: Setup, configuration: str, threads: int = 1) -> dict[str, Any]:
        """Builds the engine and runs one image; the parts of the start in seconds."""
        return cold_start.start(
            self.ask,
            setup.data,
            backend="columnar",
            configuration=configuration,
            threads=threads,
            batch_size=BATCH_SIZE,
            algorithm="auto",
        )


@contextlib.contextmanager
def engine_worker(
    setup: Setup, threads: int = 1, variables: Mapping[str, str] | None = None
) -> Iterator[EngineWorker]:
    """A new worker on the first `threads` CPUs, nothing imported yet; ended at the end."""
    folder = Path(tempfile.mkdtemp(prefix="worker-", dir=setup.folder))
    with WorkerProcess(folder, setup.cpus[:threads], SESSION, variables) as process:
        yield EngineWorker(process, setup.limits.timeout)

"""How a backend is run, whichever it is: what every command that runs one passes on."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from bench.workers.partitioning import Partitioning

ALGORITHMS = ("auto", "direct", "winograd", "textbook")
"""Of convolution, for backends that choose how to convolve."""


@dataclass(frozen=True)
class Options:
    """CPUs to be pinned to, one for each thread, and how much patience, batches and algorithm.

    The images of every run are shared by `processes`, each with as many of the CPUs. They are cut
    as `partitions` say, or else, with several processes, as evenly as may be
    (bench/workers/crew.py).
    `timeout` is in seconds a command: a worker that takes longer is hanging. `batch_size` is the
    rows of the largest batch; a network that is tied to a batch size is run in batches of that.
    `algorithm` is one of ALGORITHMS.
    """

    cpus: tuple[int, ...]
    timeout: float
    batch_size: int = 1
    algorithm: str = "auto"
    processes: int = 1
    partitions: Partitioning | None = None

    @property
    def threads(self) -> int:
        """Of each process: one for each of its CPUs."""
        return len(self.cpus) // self.processes

    @property
    def shape(self) -> str:
        """Processes x threads of each."""
        return f"{self.processes}x{self.threads}"

    @property
    def asked(self) -> dict[str, Any]:
        """What else is asked of a backend, as the table subject has it."""
        cut = {} if self.partitions is None else {"partitions": str(self.partitions)}
        return {"algorithm": self.algorithm, **cut}

    def on_threads(self, most: int | None) -> Options:
        """The same with at most so many threads a process; with all of them if that is None."""
        return replace(self, cpus=self.cpus[: most and most * self.processes])

    def of_process(self, number: int) -> Options:
        """Those of one of the processes alone."""
        cpus = self.cpus[number * self.threads : (number + 1) * self.threads]
        return replace(self, cpus=cpus, processes=1, partitions=None)

"""How a backend is run, whichever it is: what every command that runs one passes on."""

from __future__ import annotations

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Options:
    """CPUs to be pinned to, one for each thread, and how much patience, batches and algorithm.

    `timeout` is in seconds a command: a worker that takes longer is hanging. `batch_size` is the
    rows of the largest batch; a network that is tied to a batch size is run in batches of that.
    `algorithm` ("auto", "direct", "winograd" or "textbook") is of backends that choose how to
    convolve.
    """

    cpus: tuple[int, ...]
    timeout: float
    batch_size: int = 1
    algorithm: str = "auto"

    @property
    def threads(self) -> int:
        """One for each CPU."""
        return len(self.cpus)

    def on_threads(self, most: int | None) -> Options:
        """The same on the first `most` CPUs; on all of them if that is None."""
        return replace(self, cpus=self.cpus[:most])

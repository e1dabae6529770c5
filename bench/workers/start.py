"""The start of a worker's backend, from its process to the first result, in timed parts.

The first run is of one image, or of as many as a network takes that is tied to a batch size.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.workers.inputs import Inputs


def start(
    ask: Callable[..., dict[str, Any]],
    data: Inputs,
    *,
    backend: str,
    configuration: str,
    threads: int,
    batch_size: int,
    algorithm: str,
) -> dict[str, Any]:
    """Imports, builds and runs a backend once, by commands that `ask` sends to a new worker.

    Returns the fields of result.BackendRecord that a start has. Raises as `ask` does.
    """
    imported = ask("import_framework", backend=backend)
    built = ask(
        "build",
        graph=str(data.graph),
        configuration=configuration,
        threads=threads,
        batch_size=batch_size,
        algorithm=algorithm,
    )
    rows = data.first_batch
    first = ask("run", images=str(data.images), samples=rows, batch_size=rows)
    return {
        "process_s": imported["process_seconds"],
        "import_s": imported["seconds"],
        "build_s": built["seconds"],
        "first_inference_s": first["times"][0],
        "cold_start_s": first["since_start"],
        "start_rss_bytes": imported["start_rss_bytes"],
    }

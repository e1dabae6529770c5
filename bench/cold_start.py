"""The start of a worker's backend, from its process to the result of one image, in timed parts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.inputs import Inputs


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
    """Imports, builds and runs one image, by commands that `ask` sends to a new worker.

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
    first = ask("run", images=str(data.images), samples=1, batch_size=1)
    return {
        "process_s": imported["process_seconds"],
        "import_s": imported["seconds"],
        "build_s": built["seconds"],
        "first_inference_s": first["times"][0],
        "cold_start_s": first["since_start"],
        "start_rss_bytes": imported["start_rss_bytes"],
    }

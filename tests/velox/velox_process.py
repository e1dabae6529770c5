"""Runs the velox backend in a process of its own, as Velox may abort when its process ends."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from columnar_nn.graph import Graph

ROOT = Path(__file__).parents[2]


def infer(graph: Graph, batches: list[np.ndarray], configuration: str) -> list[list[np.ndarray]]:
    """The graph's outputs for each batch of images [N, C, H, W], computed by Velox."""
    with tempfile.TemporaryDirectory() as name:
        request, answer = Path(name, "request"), Path(name, "answer")
        request.write_bytes(pickle.dumps((graph, batches, configuration)))
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        command = [sys.executable, __file__, str(request), str(answer)]
        subprocess.run(command, check=True, env=environment, timeout=300)
        return pickle.loads(answer.read_bytes())


def main() -> None:
    """The process itself: reads the request, writes the answer, leaves without exit handlers."""
    import pyarrow as pa

    from adapters.base import Settings, Stopwatch
    from adapters.velox_backend import VeloxBackend
    from columnar_nn import tensor_column

    request, answer = map(Path, sys.argv[1:])
    graph, batches, configuration = pickle.loads(request.read_bytes())
    VeloxBackend.import_framework()
    backend = VeloxBackend(graph, Settings(configuration, 1, max(map(len, batches))))
    rows = [
        pa.RecordBatch.from_arrays([tensor_column.from_numpy(batch)], names=["image"])
        for batch in batches
    ]
    results = [
        [tensor_column.to_numpy(column) for column in output.columns]
        for output in backend.infer(rows, Stopwatch())
    ]
    answer.write_bytes(pickle.dumps(results))
    os._exit(0)


if __name__ == "__main__":
    main()

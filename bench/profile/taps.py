"""Named tensors of a network, as any backend computes them, streamed to an Arrow file."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pyarrow as pa

from bench.files.output import OutputFile
from bench.files.temporary import temporary_folder
from bench.golden.streamed_backend import StreamedBackend
from bench.golden.tap_selection import select
from bench.workers.options import Options
from bench.workers.selection import Selection
from columnar_nn.data import tensor_column
from columnar_nn.errors import UsageError
from columnar_nn.model.graph import Graph

ID = "id"


def write_taps(
    output: OutputFile,
    graph: Graph,
    tensors: Iterable[str],
    batches: Iterable[pa.RecordBatch],
    selection: Selection,
    options: Options,
) -> int:
    """Writes an Arrow IPC file: `id` counts the images, then a column for each tensor asked for.

    `tensors` are names, "all" or "outputs"; all are computed in one run of the network, in graph
    order, float32 in ONNX's layout. No more is held than one turn of the worker. The file
    appears whole or not at all. Returns its rows. Raises UsageError and WorkerError.
    """
    taps = select(graph, list(tensors))
    if any(spec.name == ID for spec in taps):
        raise UsageError(f"a tensor called {ID} would hide the images' numbers: rename it")
    schema = pa.schema(
        [
            (ID, pa.int64()),
            *((t.name, tensor_column.tensor_type("float32", _fixed(t.shape))) for t in taps),
        ]
    )
    num_rows = 0
    with (
        temporary_folder() as folder,
        output.new_file() as file,
        pa.ipc.new_file(str(file), schema) as writer,
    ):
        backend = StreamedBackend(selection, options, folder)
        try:
            backend.build(graph.with_outputs(taps))
            for arrays in backend.infer(batches):
                columns = [tensor_column.from_numpy(arrays[t.name]) for t in taps]
                ids = pa.array(np.arange(num_rows, num_rows + len(columns[0])))
                writer.write_batch(pa.record_batch([ids, *columns], schema=schema))
                num_rows += len(ids)
        finally:
            backend.close()
    return num_rows


def _fixed(shape: tuple[int | None, ...]) -> list[int]:
    return [size for size in shape[1:] if size is not None]

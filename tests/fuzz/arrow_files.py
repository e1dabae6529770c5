"""Arrow IPC and Parquet files with anything wrong in them, scanned from end to end."""

from __future__ import annotations

import io
import random
from pathlib import Path

import pyarrow as pa
from exec.networks import images
from fuzz.mutations import mutated
from fuzz.outcome import MEBIBYTE, emptied, problem
from pyarrow import parquet

from columnar_nn.data import tensor_column
from columnar_nn.exec.executable import prepare
from columnar_nn.plan.builder import PlanBuilder

MEMORY = 512 * MEBIBYTE


def _table(chance: random.Random) -> pa.Table:
    """Images with labels and other columns; with dictionaries, nulls, empty batches, slices."""
    rows = chance.choice((0, 1, 5, 40))
    table = pa.Table.from_batches([images(rows)])
    words = [chance.choice(("some", "text", None, "")) for _ in range(rows)]
    columns = {
        "name": pa.array(words, pa.string()),
        "code": pa.array(words, pa.string()).dictionary_encode(),
        "sizes": pa.array([[1.5] * (row % 4) for row in range(rows)], pa.list_(pa.float64())),
        "pair": pa.array([{"a": 1, "b": None}] * rows, pa.struct({"a": pa.int8(), "b": pa.utf8()})),
        "flag": pa.array([row % 3 == 0 or None for row in range(rows)], pa.bool_()),
        "view": pa.array(words, pa.string_view()),
    }
    for name in chance.sample(list(columns), chance.randrange(4)):
        table = table.append_column(name, columns[name])
    return table


def _ipc(table: pa.Table, chance: random.Random) -> tuple[str, bytes]:
    options = pa.ipc.IpcWriteOptions(compression=chance.choice((None, None, "lz4", "zstd")))
    stream = io.BytesIO()
    make = chance.choice((pa.ipc.new_file, pa.ipc.new_stream))
    with make(stream, table.schema, options=options) as writer:
        writer.write_table(table, chance.choice((3, 100)))
    return "x.arrow", stream.getvalue()


def _parquet(table: pa.Table, chance: random.Random) -> tuple[str, bytes]:
    stream = io.BytesIO()
    parquet.write_table(
        table.drop_columns([c for c in ("view", "pair") if c in table.column_names]),
        stream,
        compression=chance.choice(("none", "snappy", "zstd", "gzip", "lz4")),
        data_page_version=chance.choice(("1.0", "2.0")),
        use_dictionary=chance.choice((True, False)),
        row_group_size=chance.choice((3, 100)),
    )
    return "x.parquet", stream.getvalue()


def check(seed: int, folder: Path) -> str:
    """What is wrong with how the file of a seed is scanned; the file is kept in `folder`."""
    chance = random.Random(seed)
    name, content = (_ipc, _parquet)[seed % 2](_table(chance), chance)
    path = emptied(folder) / name
    path.write_bytes(mutated(content, chance))
    return problem(lambda: _scan(path), MEMORY)


def _scan(path: Path) -> None:
    plan = PlanBuilder().table_scan(path).plan()
    for batch in prepare(plan).run():
        batch.validate(full=True)
        for column in batch.columns:
            if isinstance(column.type, pa.FixedShapeTensorType):
                tensor_column.to_numpy(column).sum()

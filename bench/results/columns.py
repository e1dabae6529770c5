"""The tables of results as Arrow: schemas, rows to columns and back, folders of files."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyarrow import parquet

from bench.results import json_text
from bench.results.schema import (
    FORMAT,
    FORMAT_VERSION,
    OBSERVATION,
    TABLES,
    Field,
    Row,
    Table,
    Type,
)
from columnar_nn.errors import InvalidDataError, first_line

SUFFIXES = (".parquet", ".arrow")
"""Of folders of tables, and of the files in them."""

MAX_BYTES = 1 << 28
"""Of a table in memory."""

_OTHERS = "other_fields"
"""Column with the fields that this version does not know, as JSON."""

_TYPES = {
    Type.TEXT: pa.string(),
    Type.INTEGER: pa.int64(),
    Type.REAL: pa.float64(),
    Type.BOOLEAN: pa.bool_(),
    Type.TEXTS: pa.list_(pa.string()),
    Type.TREE: pa.string(),
}
_METADATA = {"format": FORMAT, "format_version": str(FORMAT_VERSION)}


def schema(table: Table) -> pa.Schema:
    """The columns of a table; what this version does not know is JSON in the last."""
    fields = [
        pa.field(field.name, _TYPES[field.type], metadata={"unit": field.unit})
        for field in table.fields
    ]
    return pa.schema([*fields, (_OTHERS, pa.string())], metadata=_METADATA)


def to_arrow(table: Table, rows: Sequence[Row]) -> pa.Table:
    """Rows as columns; of observations each number is a row of its own."""
    counts = [len(row["value"]) for row in rows] if table is OBSERVATION else [1] * len(rows)
    made = []
    for field in table.fields:
        made.append(pa.array(_column(table, field, rows, counts), _TYPES[field.type]))
    others = [
        _text({n: v for n, v in row.items() if n not in table.by_name} or None) for row in rows
    ]
    made.append(pa.array(_repeated(others, counts), pa.string()))
    return pa.Table.from_arrays(made, schema=schema(table))


def _with_later_fields(table: Table, columns: pa.Table) -> pa.Table:
    """The columns, and where a later field is missing one of nulls."""
    for place, field in enumerate(table.fields):
        if field.later and field.name not in columns.schema.names and place <= columns.num_columns:
            nulls = pa.nulls(columns.num_rows, _TYPES[field.type])
            columns = columns.add_column(place, schema(table).field(field.name), nulls)
    return columns


def from_arrow(table: Table, columns: pa.Table) -> Iterator[dict[str, Any]]:
    """The rows of a table; consecutive observations of a turn are one again.

    Raises InvalidDataError for columns that are missing or of another type.
    """
    columns = _with_later_fields(table, columns)
    if columns.schema != schema(table):
        wrong = set(columns.schema) ^ set(schema(table))
        names = ", ".join(sorted({field.name for field in wrong})) or "their order"
        raise InvalidDataError(f"table {table.name}: its columns are not as they must be: {names}")
    for name in table.keys:
        if columns.column(name).null_count:
            raise InvalidDataError(f"table {table.name}: a row has no {name}")
    trees = [field.name for field in table.fields if field.type is Type.TREE]
    rows = []
    for row in columns.to_pylist():
        for name in trees:
            row[name] = _tree(table, name, row[name])
        others = _tree(table, _OTHERS, row.pop(_OTHERS))
        if others is not None and not isinstance(others, dict):
            raise InvalidDataError(f"table {table.name}: {_OTHERS} is no JSON object")
        rows.append({**row, **(others or {})})
    if table is OBSERVATION:
        yield from _packed(rows)
    else:
        yield from rows


def write(tables: Mapping[str, pa.Table], folder: Path, suffix: str) -> None:
    """One file a table, Parquet or Arrow IPC as the suffix says, into a folder that is there."""
    for name, table in tables.items():
        file = folder / f"{name}{suffix}"
        if suffix == ".parquet":
            parquet.write_table(table, file)
        else:
            with pa.ipc.new_file(str(file), table.schema) as writer:
                writer.write_table(table)


def read(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """The rows of a folder of tables, each with its table's name; raises InvalidDataError."""
    for name, table in TABLES.items():
        files = [file for suffix in SUFFIXES if (file := folder / f"{name}{suffix}").is_file()]
        if len(files) != 1:
            wanted = " or ".join(f"{name}{suffix}" for suffix in SUFFIXES)
            raise InvalidDataError(f"{folder} is no folder of results: it must have one {wanted}")
        for row in from_arrow(table, _read_file(files[0])):
            yield name, row


def _read_file(file: Path) -> pa.Table:
    """A table, each batch validated before anything else is asked of it."""
    found: list[pa.RecordBatch] = []
    size = 0
    try:
        schema, batches = _open(file)
        _ = schema.names  # UnicodeDecodeError
        for batch in batches:
            batch.validate(full=True)
            size += batch.nbytes
            if size > MAX_BYTES:
                break
            found.append(batch)
        else:
            return pa.Table.from_batches(found, schema)
    except (pa.ArrowException, OSError, ValueError) as error:
        raise InvalidDataError(f"{file}: {first_line(error)}") from None
    raise InvalidDataError(f"{file} takes over {MAX_BYTES:,} bytes: merge fewer results")


def _open(file: Path) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    if file.suffix == ".parquet":
        opened = parquet.ParquetFile(file)
        return opened.schema_arrow, opened.iter_batches()
    with pa.OSFile(str(file)) as source:
        if source.size() > MAX_BYTES:
            raise ValueError(f"larger than {MAX_BYTES:,} bytes")
        reader = pa.ipc.open_file(source.read())
    return reader.schema, (reader.get_batch(i) for i in range(reader.num_record_batches))


def _column(table: Table, field: Field, rows: Sequence[Row], counts: Sequence[int]) -> list[Any]:
    values = [row[field.name] for row in rows]
    if field.each:
        blocks = zip(values, counts, strict=True)
        return [v for value, n in blocks for v in (value if value is not None else [None] * n)]
    if field.type is Type.TREE:
        values = list(map(_text, values))
    elif table is OBSERVATION and field.name == "index":
        return [first + k for first, n in zip(values, counts, strict=True) for k in range(n)]
    return _repeated(values, counts)


def _repeated(values: Sequence[Any], counts: Sequence[int]) -> list[Any]:
    return [value for value, n in zip(values, counts, strict=True) for _ in range(n)]


def _packed(rows: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """One row for as many as follow each other in a series and differ in their numbers alone."""
    each = [field.name for field in OBSERVATION.fields if field.each]

    def shared(numbered: tuple[int, dict[str, Any]]) -> str:
        position, row = numbered
        alike = {name: value for name, value in row.items() if name not in (*each, "index")}
        return json.dumps([alike, row["index"] - position], sort_keys=True)

    for _, group in groupby(enumerate(rows), shared):
        block = [row for _, row in group]
        lists = {name: [row[name] for row in block] for name in each}
        if all(count is None for count in lists["switches"]):
            lists["switches"] = None  # type: ignore[assignment]
        yield {**block[0], **lists}


def _text(value: Any) -> str | None:
    return None if value is None else json.dumps(value, sort_keys=True)


def _tree(table: Table, name: str, text: str | None) -> Any:
    try:
        return None if text is None else json_text.parse(text)
    except ValueError as error:
        raise InvalidDataError(f"table {table.name}: {name} is not JSON: {error}") from None

"""The rows of a query, printed as a table, CSV, JSON or an Arrow stream."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, TextIO

import pyarrow as pa
from rich.console import Console
from rich.markup import escape

from bench.results.schema import finite
from bench.text.table_style import print_table, show_note, table
from columnar_nn.errors import UsageError, printable
from columnar_nn.expressions.types import type_name

TABLE_ROWS = 100
"""Rows of a table that are shown unless another number is asked for."""

SHOWN_CHARACTERS = 60
"""Of a value in a table; the other formats have all of it."""

Batches = Iterable[pa.RecordBatch]


def write(
    output_format: str, schema: pa.Schema, batches: Batches, most: int | None, console: Console
) -> None:
    """Prints at most that many rows, all if there is no limit but for a table's TABLE_ROWS."""
    if output_format == "table":
        _as_table(schema, batches, TABLE_ROWS if most is None else most, console)
        return
    kept = batches if most is None else _first(batches, most)
    writers: dict[str, Callable[[pa.Schema, Batches, TextIO], None]] = {
        "csv": _as_csv,
        "json": _as_json,
        "arrow": _as_arrow,
    }
    writers[output_format](schema, kept, sys.stdout)


def _first(batches: Batches, count: int) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        if batch.num_rows >= count:
            yield batch.slice(0, count)
            return
        count -= batch.num_rows
        yield batch


def _as_table(schema: pa.Schema, batches: Batches, most: int, console: Console) -> None:
    rows: list[tuple[Any, ...]] = []
    number = 0
    for batch in batches:
        number += batch.num_rows
        shown = batch.slice(0, max(0, most - len(rows)))
        rows += zip(*(column.to_pylist() for column in shown.columns), strict=True)
    name, *others = (escape(printable(name)) for name in schema.names)
    made = table(name, *others)
    for field, column in zip(schema, made.columns, strict=True):
        column.justify = "right" if _is_number(field.type) else "left"
    for row in rows:
        made.add_row(*(escape(_cell(value)) for value in row))
    print_table(console, made)
    types = ", ".join(printable(f"{field.name} {type_name(field.type)}") for field in schema)
    what = f"{number:,} row{'' if number == 1 else 's'}"
    if number > len(rows):
        what += f", of which the first {len(rows):,} are shown (--limit-rows)"
    show_note(console, f"{what}; {types}")


def _is_number(data_type: pa.DataType) -> bool:
    return bool(pa.types.is_integer(data_type) or pa.types.is_floating(data_type))


def _cell(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, float):
        return f"{value:.7g}"
    if isinstance(value, list):
        items = (", ".join(map(_cell, value[:8])), ", ..." if len(value) > 8 else "")
        return _shortened(f"[{''.join(items)}]")
    return _shortened(printable(str(value)))


def _shortened(text: str) -> str:
    return text if len(text) <= SHOWN_CHARACTERS else f"{text[: SHOWN_CHARACTERS - 4]} ..."


def _as_csv(schema: pa.Schema, batches: Batches, file: TextIO) -> None:
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(schema.names)
    for batch in batches:
        columns = (column.to_pylist() for column in batch.columns)
        for row in zip(*columns, strict=True):
            writer.writerow(["" if v is None else _plain(v) for v in row])


def _plain(value: Any) -> Any:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (list, dict)):
        return json.dumps(_json(value))
    return value.hex() if isinstance(value, bytes) else value


def _as_json(schema: pa.Schema, batches: Batches, file: TextIO) -> None:
    """An array with an object a row; NaN and infinities, which JSON lacks, are null."""
    separator = "[\n"
    for batch in batches:
        for row in batch.to_pylist():
            file.write(separator + json.dumps(_json(row), ensure_ascii=False))
            separator = ",\n"
    file.write("[]\n" if separator == "[\n" else "\n]\n")


def _json(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _json(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_json(entry) for entry in value]
    if isinstance(value, bytes):
        return value.hex()
    known = value is None or isinstance(value, (bool, int, float, str))
    return finite(value) if known else str(value)


def _as_arrow(schema: pa.Schema, batches: Batches, file: TextIO) -> None:
    """A stream, up to where its reader has had enough."""
    if file.isatty():
        raise UsageError("--format arrow is no text: send it to a file or a pipe")
    with suppress(BrokenPipeError), pa.ipc.new_stream(file.buffer, schema) as writer:
        for batch in batches:
            writer.write_batch(batch)

"""Results as files: one JSON document, a journal of the same rows, or a folder of Arrow tables.

What is read may be anyone's: it is a result, or one line that says why not.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from bench.results import columns, json_text, version_1
from bench.results.privacy import Redaction
from bench.results.results import Results
from bench.results.schema import (
    CELL,
    FORMAT,
    FORMAT_VERSION,
    METRICS,
    OBSERVATION,
    TABLES,
    Field,
    Row,
    Table,
    Type,
    finite,
)
from bench.results.summary import summaries
from bench.verdict.status import STATUSES
from columnar_nn.errors import InvalidDataError

SUFFIX = ".journal"
"""Of the names of journals."""

MAX_BYTES = 64 << 20
"""Of a file of JSON: a larger one is none of ours."""

_SUMMARY = "summary"

_RENAMED = {"gflops": "flops_per_second"}
"""Metrics that earlier files name otherwise; the values are the same."""


def to_json(results: Results) -> bytes:
    """The document: a line a row, and what readers want to know of them under `summary`."""
    redact = Redaction.of_this_user()
    lines = [f'{{\n"format": {_json(FORMAT)},\n"format_version": {FORMAT_VERSION}']
    for name, rows in results.rows.items():
        lines.append(_list(name, map(redact, rows)))
    lines.append(_list(_SUMMARY, map(redact, map(finite, summaries(results)))))
    return (",\n".join(lines) + "\n}\n").encode()


def to_line(table: str, row: Row) -> bytes:
    """A row as a journal has it."""
    return f"{_json({'table': table, **Redaction.of_this_user()(row)})}\n".encode()


def read(path: Path) -> Results:
    """The results in a file, a folder of tables, or all documents and journals in another folder.

    Raises InvalidDataError for anything else, for damage, for a version that this reader does not
    know, and for rows that contradict each other.
    """
    if path.is_dir() and not columns.is_folder(path):
        return Results.of(row for file in _inside(path) for row in read(file))
    try:
        if path.is_dir():
            return Results.of(_parsed(columns.read(path)))
        return loads(_content(path))
    except InvalidDataError as error:
        raise InvalidDataError(f"{path}: {error}") from None
    except OSError as error:
        raise InvalidDataError(f"{path}: {error.strerror}") from None


def loads(content: bytes) -> Results:
    """The results in a document, a journal, or a comparison's file of version 1; as `read`."""
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise InvalidDataError("this is not text in UTF-8, so no result of cnn-bench") from None
    first, _, others = text.partition("\n")
    if (opening := _line(first)) is not None:
        _check_version(opening[1])
        return Results.of(_last_of_each(_parsed(_journal(opening, others))))
    document = _object(text)
    if "format" not in document and document.get("schema_version") == version_1.VERSION:
        return Results.of(_parsed(version_1.rows(document, content)))
    _check_version(document)
    return Results.of(_parsed(_rows(document)))


def _inside(folder: Path) -> list[Path]:
    """Documents, and journals that are none yet; raises InvalidDataError if there is nothing."""
    try:
        files = sorted(folder.iterdir())
    except OSError as error:
        raise InvalidDataError(f"{folder}: {error.strerror}") from None
    found = [file for file in files if file.suffix == ".json"]
    found += [file for file in files if file.suffix == SUFFIX and not _whole(file).exists()]
    if not found:
        raise InvalidDataError(f"{folder}: there are no results in this folder")
    return found


def _whole(journal: Path) -> Path:
    return journal.with_suffix(".json")


def _content(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise InvalidDataError("this is no regular file")
    with path.open("rb") as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise InvalidDataError(f"this file is larger than {MAX_BYTES:,} bytes: no result is")
    return content


def _object(text: str) -> dict[str, Any]:
    try:
        found = json_text.parse(text)
    except ValueError as error:
        raise InvalidDataError(f"this is not JSON as cnn-bench writes it: {error}") from None
    if not isinstance(found, dict):
        raise InvalidDataError("this JSON is no result of cnn-bench")
    return found


def _line(text: str) -> tuple[str, dict[str, Any]] | None:
    """A line of a journal: its table's name and the row, if it is one."""
    try:
        row = json_text.parse(text)
    except ValueError:
        return None
    name = row.pop("table", None) if isinstance(row, dict) else None
    return (name, row) if isinstance(name, str) and name in TABLES else None


def _check_version(opening: Mapping[str, Any]) -> None:
    found, version = opening.get("format"), opening.get("format_version")
    if found != FORMAT:
        raise InvalidDataError(f'this JSON does not say "format": "{FORMAT}"')
    if type(version) is not int or version != FORMAT_VERSION:
        raise InvalidDataError(
            f"format_version is {version!r:.20}, this cnn-bench reads {FORMAT_VERSION}, and 1 of "
            "compare: use the cnn-bench that wrote it, or a newer one"
        )


def _rows(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, rows in document.items():
        if name in ("format", "format_version", _SUMMARY):
            continue  # the summary is for readers: it is made anew from the rows
        if name not in TABLES or not isinstance(rows, list):
            raise InvalidDataError(f"{name!r:.40} is no table of results")
        for row in rows:
            yield name, row


def _journal(opening: tuple[str, dict[str, Any]], text: str) -> Iterator[tuple[str, Any]]:
    """The rows of a journal; the last line may have been cut short with the process."""
    name, session = opening
    yield name, {n: v for n, v in session.items() if n not in ("format", "format_version")}
    lines = text.splitlines()
    for number, text_line in enumerate(lines, 2):
        row = _line(text_line)
        if row is not None:
            yield row
        elif number <= len(lines):
            raise InvalidDataError(f"line {number} of this journal is no row of results")


def _last_of_each(rows: Iterable[tuple[str, Row]]) -> Iterator[tuple[str, Row]]:
    """The rows of a journal, of those that were written again as more became known the last."""
    latest: dict[Any, tuple[str, Row]] = {}
    for name, row in rows:
        latest[name, json.dumps([row[key] for key in TABLES[name].keys])] = name, row
    yield from latest.values()


def _parsed(rows: Iterable[tuple[str, Any]]) -> Iterator[tuple[str, Row]]:
    for name, row in rows:
        yield name, _row(TABLES[name], row)


def _row(table: Table, row: Any) -> Row:
    """A row whose fields are as the schema says; others are kept as they are."""
    if not isinstance(row, dict):
        raise InvalidDataError(f"table {table.name}: {row!r:.40} is no row")
    known = {field.name: _value(table, field, row.get(field.name)) for field in table.fields}
    others = {name: value for name, value in row.items() if name not in known}
    if table.hash_name and known[table.hash_name] != table.hash_of(known):
        raise InvalidDataError(
            f"table {table.name}: {known[table.hash_name]!r:.40} is not the hash of its row"
        )
    lengths = {len(v) for f in table.fields if f.each and (v := known[f.name]) is not None}
    if len(lengths) > 1:
        raise InvalidDataError(f"table {table.name}: lists of one row differ in length")
    if table is OBSERVATION:
        known["metric"] = _RENAMED.get(known["metric"], known["metric"])
        _check_observation(known)
    if table is CELL and known["status"] not in STATUSES:
        raise InvalidDataError(f"table cell: no cell ends {known['status']!r:.40}")
    return {**known, **others}


def _check_observation(row: Row) -> None:
    """Raises InvalidDataError for a known metric in another unit, or less of it than nothing."""
    metric = METRICS.get(row["metric"])
    if metric is None or not metric.unit:
        return
    if row["unit"] != metric.unit:
        raise InvalidDataError(
            f"table observation: {metric.name} is in {metric.unit}, not in {row['unit']!r:.40}"
        )
    smallest = min((value for value in row["value"] if value is not None), default=0.0)
    if smallest < 0:
        raise InvalidDataError(f"table observation: {smallest!r:.40} is no {metric.name}")


def _value(table: Table, field: Field, value: Any) -> Any:
    if value is None and field.null and not (field.each and field.name == "value"):
        return None
    if field.each:
        if isinstance(value, list) and value:
            return [None if one is None else _scalar(table, field, one) for one in value]
    elif field.type is Type.TREE:
        return value
    elif field.type is Type.TEXTS:
        if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return value
    else:
        return _scalar(table, field, value)
    raise InvalidDataError(f"table {table.name}: {value!r:.40} cannot be {field.name}")


def _scalar(table: Table, field: Field, value: Any) -> Any:
    if field.type is Type.REAL and type(value) in (int, float) and math.isfinite(value):
        return float(value)
    if field.type is Type.INTEGER and type(value) is int:
        return value
    kinds = {Type.TEXT: str, Type.BOOLEAN: bool}
    if type(value) is kinds.get(field.type):
        return value
    raise InvalidDataError(f"table {table.name}: {value!r:.40} cannot be {field.name}")


def _list(name: str, rows: Iterable[Row]) -> str:
    lines = ",\n".join(map(_json, rows))
    return f"{_json(name)}: [\n{lines}\n]" if lines else f"{_json(name)}: []"


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False)

"""What a TableScan reads: record batches of a known schema, from a file or from memory."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from columnar_nn.errors import InvalidDataError, UsageError, first_line
from columnar_nn.record import ValueRecord
from columnar_nn.shown import Shown, line

if TYPE_CHECKING:
    from columnar_nn.data.row_groups import Range

ARROW_SUFFIXES = (".arrow", ".feather", ".ipc")
_FORMATS = {".parquet": "parquet", ".csv": "csv", **dict.fromkeys(ARROW_SUFFIXES, "ipc")}
PARQUET_ROWS = 256

_DAMAGE = (pa.ArrowException, OSError, ValueError)
"""What pyarrow raises when a file is not as it should be; ValueError: a name that is not UTF-8."""


class ArrowSource(Shown, ValueRecord):
    """A table's name, its schema, and a function that starts reading it, some columns only.

    `within` gives the table with all rows whose values lie in some ranges, and fewer others; None
    if it cannot leave out any. `ranges` are those that this one has been given.
    """

    name: str
    schema: pa.Schema
    read: Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
    within: Callable[[Sequence[Range]], ArrowSource] | None = None
    ranges: tuple[Range, ...] = ()

    def __repr__(self) -> str:
        return line(f"ArrowSource {self.name}:", ", ".join(self.schema.names))


def open_source(source: Any) -> ArrowSource:
    """The source meant by a path, or by a table in memory.

    A path is that of a file, Parquet (.parquet), Arrow IPC as a file or stream (.arrow, .feather,
    .ipc) or CSV (.csv, with a heading), of a folder of such files of one format, whose subfolders
    key=value are columns, or a glob of files. They are read lazily; IPC files are memory-mapped.
    A table is a pyarrow Table, RecordBatch, sequence of batches, RecordBatchReader or Dataset, or
    whatever gives a table through Arrow's C interface (`__arrow_c_stream__`, `__arrow_c_array__`),
    as frames of pandas and polars and tasks do, or a dict of arrays (`named_arrays.table_of`). The
    index of a pandas frame is a column if it has a name. A reader or a task can be read once.
    Raises InvalidDataError for anything else, and for files that are not what their name says;
    reading raises it for a file that is damaged, each of whose batches is validated in full.
    """
    if isinstance(source, ArrowSource):
        return source
    if isinstance(source, (str, Path)):
        return _open_path(str(source))
    if hasattr(source, "get_fragments"):
        return _of_dataset("the dataset", source)
    if isinstance(source, Mapping):
        from columnar_nn.data import named_arrays  # of a dict alone

        source = named_arrays.table_of(source)
    if isinstance(source, pa.Table):
        return from_batches(source.schema, source.to_batches())
    if isinstance(source, pa.RecordBatchReader):
        return from_batches(source.schema, source)
    return _open_batches(source)


def _open_batches(source: Any) -> ArrowSource:
    """Batches in memory that are no table of pyarrow's."""
    if isinstance(source, Sequence) and source and isinstance(source[0], pa.RecordBatch):
        return from_batches(source[0].schema, source)
    if hasattr(source, "__arrow_c_stream__") and not isinstance(source, pa.RecordBatch):
        return _open_stream(source)
    if hasattr(source, "__arrow_c_array__"):
        batch = _record_batch(source)
        return from_batches(batch.schema, [batch])
    if type(source).__name__ == "LazyFrame":
        raise InvalidDataError("cannot scan a LazyFrame: collect() it first")
    raise InvalidDataError(
        f"cannot scan {type(source).__name__}: pass a path to a .parquet, .arrow or .csv file, a "
        "table or dataset of pyarrow, a frame of pandas or polars, a task, or a dict of arrays"
    )


def from_batches(
    schema: pa.Schema, batches: Iterable[pa.RecordBatch], name: str = "arrow_table"
) -> ArrowSource:
    """A source over batches in memory, or made on the fly by an iterator.

    Such a one can be read once: UsageError is raised when it is asked for its batches again.
    """
    unread = True

    def read(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        nonlocal unread
        stream = iter(batches)
        if stream is batches:
            if not unread:
                raise UsageError(f"{name} can be read once: scan it again, or a table instead")
            unread = False
        return stream

    return ArrowSource(name, schema, read)


def decoded(schema: pa.Schema) -> pa.Schema:
    """The schema that operators see: names and types. As in Velox, a dictionary, a view, the width
    of offsets and half precision are no types of their own but encodings, and any column may hold
    nulls.

    Raises InvalidDataError for a type of which Arrow does not tell how large a column is.
    """
    fields = []
    for field in schema:
        data_type = decoded_type(field.type)
        try:
            _ = pa.nulls(0, data_type).nbytes
        except pa.ArrowException:
            raise InvalidDataError(
                f"column {field.name} is {data_type}, which cannot be scanned: cast or drop it"
            ) from None
        fields.append((field.name, data_type))
    return pa.schema(fields)


def decoded_type(data_type: pa.DataType) -> pa.DataType:
    """The type of a column's values, however they are encoded."""
    if pa.types.is_dictionary(data_type):
        data_type = data_type.value_type
    if pa.types.is_float16(data_type):
        return pa.float32()
    if pa.types.is_string_view(data_type) or pa.types.is_large_string(data_type):
        return pa.string()
    return pa.binary() if pa.types.is_binary_view(data_type) else data_type


def decoded_values(column: pa.Array) -> pa.Array:
    """A column's values, of their `decoded_type`; itself if they are not encoded."""
    if pa.types.is_dictionary(column.type):  # whose values first: Arrow decodes none that are views
        values = decoded_values(column.dictionary)
        return pa.DictionaryArray.from_arrays(column.indices, values).dictionary_decode()
    data_type = decoded_type(column.type)
    return column if column.type == data_type else column.cast(data_type)


def _open_stream(source: Any) -> ArrowSource:
    """A table that gives a stream of its batches whenever it is asked for one."""
    try:
        first = [pa.RecordBatchReader.from_stream(source)]
    except (pa.ArrowException, TypeError, ValueError) as error:
        # pandas: Arrow knows no cells that are arrays of several axes
        if hasattr(source, "iloc") and source.columns.is_unique:
            return open_source({name: source[name] for name in source.columns})
        raise _unlike_a_table(source, error) from None
    schema = first[0].schema
    names = [name for name in schema.names if not _UNNAMED_INDEX.fullmatch(name)]

    def read(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        return iter(first.pop() if first else pa.RecordBatchReader.from_stream(source))

    return ArrowSource("arrow_table", pa.schema([schema.field(name) for name in names]), read)


_UNNAMED_INDEX = re.compile(r"__index_level_\d+__")
"""What an index of pandas is called in Arrow if it has no name."""


def _record_batch(source: Any) -> pa.RecordBatch:
    try:
        return pa.record_batch(source)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise _unlike_a_table(source, error) from None


def _unlike_a_table(source: Any, error: Exception) -> InvalidDataError:
    return InvalidDataError(f"cannot scan {type(source).__name__}: {first_line(error)}")


def _open_path(name: str) -> ArrowSource:
    path = Path(name)
    if path.is_dir():
        files = [file for file in sorted(path.rglob("*")) if file.suffix in _FORMATS]
        return _open_files(path, files)
    if not path.is_file() and any(character in name for character in "*?["):
        from glob import glob

        return _open_files(path, [Path(file) for file in sorted(glob(name, recursive=True))])
    if not path.is_file():
        raise InvalidDataError(f"no such file: {path}; check the path")
    if path.suffix == ".parquet":
        return _open_parquet(path)
    if path.suffix in ARROW_SUFFIXES:
        return _open_ipc(path)
    if path.suffix == ".csv":
        return _open_csv(path)
    raise _unknown_format(path)


def _unknown_format(path: Path) -> InvalidDataError:
    return InvalidDataError(
        f"cannot tell the format of {path}: name it .parquet, .csv or {', '.join(ARROW_SUFFIXES)}"
    )


def _open_files(path: Path, files: Sequence[Path]) -> ArrowSource:
    """The files of a folder or of a glob as one table, in the order of their names."""
    from pyarrow import dataset

    if not files:
        raise InvalidDataError(f"no file at {path}: name files .parquet, .csv or .arrow")
    formats = {_FORMATS.get(file.suffix) for file in files}
    if None in formats:
        raise _unknown_format(next(file for file in files if file.suffix not in _FORMATS))
    if len(formats) > 1:
        raise InvalidDataError(f"files of several formats at {path}: name those of one by a glob")
    base = str(path) if path.is_dir() else None
    try:
        opened = dataset.dataset(
            [str(file) for file in files],
            format=formats.pop(),
            partitioning=dataset.partitioning(flavor="hive"),
            partition_base_dir=base,
        )
    except _DAMAGE as error:
        raise InvalidDataError(f"cannot read {path}: {first_line(error)}") from None
    return _of_dataset(path, opened)


def _of_dataset(name: str | Path, dataset: Any) -> ArrowSource:
    schema = dataset.schema

    def read(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        scanner = dataset.scanner(
            columns=list(columns),
            batch_size=PARQUET_ROWS,
            batch_readahead=1,
            fragment_readahead=1,
            use_threads=False,
        )
        batches: Iterator[pa.RecordBatch] = scanner.to_batches()
        return batches

    return _checked(name, schema, read)


def _open_csv(path: Path) -> ArrowSource:
    from pyarrow import csv

    try:
        with csv.open_csv(path) as reader:
            schema = reader.schema
    except _DAMAGE as error:
        raise InvalidDataError(f"{path} is not a CSV file: {first_line(error)}") from None

    def read(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        types = {name: schema.field(name).type for name in columns}
        options = csv.ConvertOptions(column_types=types, include_columns=list(columns))
        with csv.open_csv(path, convert_options=options) as reader:
            yield from reader

    return _checked(path, schema, read)


def _open_parquet(path: Path) -> ArrowSource:
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(path)
        _ = schema.names  # UnicodeDecodeError
    except _DAMAGE as error:
        raise InvalidDataError(f"{path} is not a Parquet file: {first_line(error)}") from None

    return _parquet_within(path, schema, ())


def _parquet_within(path: Path, schema: pa.Schema, ranges: tuple[Range, ...]) -> ArrowSource:
    """The rows of those row groups that may hold some in all of the ranges."""
    from pyarrow import parquet

    from columnar_nn.data.row_groups import overlapping

    def read(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        with parquet.ParquetFile(path) as file:
            groups = overlapping(file.metadata, ranges)
            for batch in file.iter_batches(PARQUET_ROWS, groups, columns=list(columns)):
                # the file knows the type's storage; the schema its tensor extension
                yield pa.RecordBatch.from_arrays(
                    [_as_type(batch.column(c), schema.field(c).type) for c in columns],
                    names=list(columns),
                )

    def within(more: Sequence[Range]) -> ArrowSource:
        return _parquet_within(path, schema, (*ranges, *more))

    return _checked(path, schema, read).replaced(within=within, ranges=ranges)


def _as_type(column: pa.Array, data_type: Any) -> pa.Array:
    if column.type == data_type or not isinstance(data_type, pa.FixedShapeTensorType):
        return column
    return pa.ExtensionArray.from_storage(data_type, column.cast(data_type.storage_type))


def _open_ipc(path: Path) -> ArrowSource:
    try:
        with pa.memory_map(str(path)) as memory:
            is_file = memory.read(6) == b"ARROW1"
            memory.seek(0)
            opened = pa.ipc.open_file(memory) if is_file else pa.ipc.open_stream(memory)
            schema = opened.schema
            _ = schema.names  # UnicodeDecodeError
    except _DAMAGE as error:
        raise InvalidDataError(f"{path} is not an Arrow IPC file: {first_line(error)}") from None

    def read(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        memory = pa.memory_map(str(path))
        if not is_file:
            for batch in pa.ipc.open_stream(memory):
                yield batch.select(columns)
            return
        file = pa.ipc.open_file(memory)
        for index in range(file.num_record_batches):
            yield file.get_batch(index).select(columns)

    return _checked(path, schema, read)


def _checked(
    path: str | Path, schema: pa.Schema, read: Callable[[Sequence[str]], Iterator[pa.RecordBatch]]
) -> ArrowSource:
    """A source over a file, which may hold anything."""

    def read_checked(columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        try:
            for batch in read(columns):
                batch.validate(full=True)
                yield batch
        except _DAMAGE as error:
            raise InvalidDataError(f"{path} is damaged: {first_line(error)}") from None

    return ArrowSource("hive_table", schema, read_checked)

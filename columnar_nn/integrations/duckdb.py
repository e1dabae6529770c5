"""A network as a function of DuckDB.

connection = duckdb.connect()
register(connection, "plain9", "plain9")
connection.execute("SELECT id, plain9(image) FROM 'photos.parquet'")
"""

from __future__ import annotations

import re
from contextlib import nullcontext
from typing import Any

import pyarrow as pa

from columnar_nn.errors import InvalidDataError, MissingPackageError, UsageError
from columnar_nn.integrations.batches import ERROR, Phase, infer
from columnar_nn.integrations.prepared import IMAGE, LOGITS, NetworkSource, prepared

__all__ = ["register"]


def register(
    connection: Any,
    name: str,
    network: NetworkSource = "plain9",
    *,
    output: str = LOGITS,
    phase: Phase = nullcontext,
) -> None:
    """Adds `name`(image) to a DuckDB connection: an output of the network for each image.

    Images are BLOB, the bytes of uint8 pixels, row-major, channels first; or arrays or lists of
    UTINYINT or FLOAT. The result is FLOAT[], or BIGINT of the output "predicted"; outputs are those
    of `integrations.batches.infer`. It is null where the image is; a row that holds no such image
    ends the query. DuckDB calls it with vectors of up to 2,048 rows from as many threads as it has,
    each of which prepares a network of its own when it first comes. `phase` is asked for a context
    manager around each part of the work, as that of `infer`, from any of them.

    Raises MissingPackageError without DuckDB, UsageError for a name that is none or is taken, an
    output that is not there or a connection that is closed, and as `zoo.resolve` does.
    """
    try:
        import duckdb
    except ImportError:
        raise MissingPackageError("DuckDB", "duckdb") from None
    if not hasattr(connection, "create_function"):
        raise UsageError(f"{type(connection).__name__} is no connection: use duckdb.connect()")
    if not re.fullmatch(r"[A-Za-z_]\w*", name):
        raise UsageError(f"function name {name!r}: use letters, digits and _")
    (field,) = prepared(network, [output]).output_schema

    def run(*columns: pa.ChunkedArray) -> pa.Array:
        if len(columns) != 1:
            raise UsageError(f"{name} takes one argument, an image, not {len(columns)}")
        return _outputs(columns[0], network, output, field.type, phase)

    try:
        connection.create_function(
            name,
            run,
            None,  # of any type: what images may be, the network says
            "FLOAT[]" if pa.types.is_list(field.type) else "BIGINT",
            type="arrow",
            null_handling="special",
        )
    except (duckdb.NotImplementedException, duckdb.CatalogException):
        # DuckDB's own functions cannot be removed
        raise UsageError(
            f"the connection has a function {name}: remove it first, or use another name"
        ) from None
    except duckdb.ConnectionException:
        raise UsageError(f"cannot add {name}: the connection is closed") from None


def _outputs(
    column: pa.ChunkedArray,
    network: NetworkSource,
    output: str,
    data_type: pa.DataType,
    phase: Phase,
) -> pa.Array:
    """The network's output for each row; raises InvalidDataError for one that is no image."""
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), data_type)
    chunks = [
        chunk.dictionary_decode() if pa.types.is_dictionary(chunk.type) else chunk
        for chunk in column.chunks
    ]
    batches = (pa.record_batch([chunk], [IMAGE]) for chunk in chunks)
    found = list(infer(batches, network, image=IMAGE, keep=[], outputs=[output], phase=phase))
    if not found:
        return pa.array([], data_type)
    table = pa.Table.from_batches(found)
    errors = table.column(ERROR)
    if errors.null_count < len(errors):
        valid = pa.chunked_array(chunks).is_valid()
        wrong = errors.filter(valid).drop_null()
        if len(wrong):
            raise InvalidDataError(f"{len(wrong)} row(s) without an image: {wrong[0]}")
    return table.column(output).combine_chunks()


def __dir__() -> list[str]:
    return __all__

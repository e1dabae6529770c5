"""A network on Spark's DataFrames: pyspark 3.5 and 4, Spark Connect, Sail.

    predictions = map_batches(images, "plain9", keep=["id"], outputs=["predicted", "logits"])

Spark sends each task's rows to its Python worker as Arrow batches, where `batches.infer` runs the
network; columns of the result come back the same way. The executors need this package, and neither
pyspark's own folder nor a file of the network's, if its bytes are given.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from columnar_nn.data import image_column
from columnar_nn.errors import InvalidDataError, MissingPackageError, UsageError
from columnar_nn.integrations.batches import BAD, ERROR, SHOWN, infer, kept_names
from columnar_nn.integrations.prepared import (
    PREDICTED,
    NetworkSource,
    PreparedNetwork,
    prepared,
)

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

__all__ = ["map_batches", "register_function"]


class Call(NamedTuple):
    """A network on a DataFrame, before Spark is asked for it: `source.mapInArrow(task, schema)`."""

    source: DataFrame
    task: Callable[..., Iterator[pa.RecordBatch]]
    schema: StructType


def map_batches(
    df: DataFrame,
    network: NetworkSource = "plain9",
    *,
    image: str = "image",
    keep: Sequence[str] | None = None,
    outputs: Sequence[str] = (PREDICTED,),
    dtype: str = "uint8",
    bad: str = "fail",
) -> DataFrame:
    """The rows of `df` with what a network makes of their images, by `DataFrame.mapInArrow`.

    The columns are `keep` (None: all but the image), then the `outputs` as `batches.infer` says
    them, bigint or array<float>, and with bad="null" a string ERROR that is null of good rows. A
    path is read by each worker; bytes of an ONNX file travel with the query.

    With bad="fail" the rows without an image are looked for at once, by Spark alone:
    InvalidDataError names the first of them, and no task begins. That reads `df` once more;
    bad="null" does not. A stream takes "null" only. Raises UsageError and InvalidDataError here, in
    the driver, for what no task could do; a DataFrame that is used twice runs the network twice,
    unless it is written or persisted first.
    """
    made = call(df, network, image, keep, outputs, dtype, bad)
    return made.source.mapInArrow(made.task, made.schema)


def call(
    df: DataFrame,
    network: NetworkSource,
    image: str,
    keep: Sequence[str] | None,
    outputs: Sequence[str],
    dtype: str,
    bad: str,
) -> Call:
    """What `map_batches` asks Spark for, for who has more done in the same tasks."""
    run = _checked(network, outputs, dtype, bad)
    names = kept_names(df.columns, image, keep, [*outputs, ERROR])
    source = df.select(*map(_quoted, names), _quoted(image))
    image_type = _arrow_type(df, image)
    image_column.pixel_dtype(image_type, image, dtype, run.image_shape)
    if bad == "fail":
        if df.isStreaming:
            raise UsageError("a stream cannot be looked through for bad rows: use bad='null'")
        _refuse_bad_rows(source, _is_bad(image, image_type, dtype, run), names, image)
    how: dict[str, Any] = {
        "image": image,
        "keep": names,
        "outputs": tuple(outputs),
        "dtype": dtype,
        "bad": bad,
    }
    task = partial(infer, network=network, **how)
    return Call(source, task, _schema(source, names, run, with_error=bad == "null"))


def register_function(
    spark: SparkSession,
    name: str,
    network: NetworkSource = "plain9",
    *,
    outputs: Sequence[str] = (PREDICTED,),
    dtype: str = "uint8",
) -> None:
    """Gives SQL a function of an image column: `SELECT id, classify(image).predicted FROM ...`.

    It returns a struct of the `outputs` and ERROR; the outputs of a row without an image are null.
    Arrow columns go in and come out, as in `map_batches`: pyspark 4.1 or later has such functions,
    and UsageError is raised with an earlier one.
    """
    run = _checked(network, outputs, dtype, "null")
    from pyspark.sql import functions

    arrow_udf = getattr(functions, "arrow_udf", None)
    if arrow_udf is None:
        raise UsageError(
            "functions over Arrow columns need pyspark 4.1 or later: use map_batches instead"
        )

    def classify(columns: Iterator[pa.Array]) -> Iterator[pa.Array]:
        batches = (pa.record_batch([column], ["image"]) for column in columns)
        for batch in infer(batches, network, keep=(), outputs=outputs, dtype=dtype):
            yield batch.to_struct_array()

    # resolved here: Spark tells the kind of a function by its annotations
    classify.__annotations__ = {"columns": Iterator[pa.Array], "return": Iterator[pa.Array]}
    spark.udf.register(name, arrow_udf(classify, _spark_schema(run, with_error=True)))


def _checked(
    network: NetworkSource, outputs: Sequence[str], dtype: str, bad: str
) -> PreparedNetwork:
    try:
        import pyspark  # noqa: F401
    except ImportError:
        raise MissingPackageError("pyspark", "cluster") from None
    for value, choices in ((bad, BAD), (dtype, image_column.DTYPES)):
        if value not in choices:
            raise UsageError(f"{value!r}: choose from {', '.join(choices)}")
    if not isinstance(network, bytes) and not isinstance(network, str | os.PathLike):
        raise UsageError(
            f"a network cannot travel as {type(network).__name__}: give its name, its path or "
            "the bytes of its ONNX file"
        )
    return prepared(network, outputs)


def _quoted(name: str) -> str:
    escaped = name.replace("`", "``")
    return f"`{escaped}`"


def _arrow_type(df: DataFrame, name: str) -> pa.DataType:
    from pyspark.sql.pandas.types import to_arrow_type

    return to_arrow_type(df.schema[name].dataType)


def _spark_schema(run: PreparedNetwork, with_error: bool) -> StructType:
    from pyspark.sql.pandas.types import from_arrow_schema

    fields = list(run.output_schema)
    return from_arrow_schema(
        pa.schema([*fields, pa.field(ERROR, pa.string())] if with_error else fields)
    )


def _schema(
    source: DataFrame, names: Sequence[str], run: PreparedNetwork, with_error: bool
) -> StructType:
    from pyspark.sql.types import StructType

    kept = [source.schema[name] for name in names]
    return StructType([*kept, *_spark_schema(run, with_error)])


def _is_bad(image: str, image_type: Any, dtype: str, run: PreparedNetwork) -> Column:
    """Whether a row has no image, said in Spark's own functions: see `image_column`."""
    from pyspark.sql import functions

    column = functions.col(_quoted(image))
    size = 1
    for length in run.image_shape:
        size *= length
    if pa.types.is_binary(image_type) or pa.types.is_large_binary(image_type):
        unit = size * (4 if dtype == "float32" else 1)
        return column.isNull() | (functions.octet_length(column) != unit)
    wrong = functions.exists(column, lambda value: value.isNull())
    if image_type.value_type == pa.int16():
        wrong = functions.exists(column, lambda value: value.isNull() | (value < 0) | (value > 255))
    return column.isNull() | (functions.size(column) != size) | wrong


def _refuse_bad_rows(df: DataFrame, is_bad: Column, names: Sequence[str], image: str) -> None:
    """Raises InvalidDataError with the first bad rows, found by a query of its own."""
    found = df.where(is_bad).select(*map(_quoted, names)).limit(SHOWN + 1).collect()
    if not found:
        return
    shown = ["; ".join(f"{name} {row[name]}" for name in names) for row in found[:SHOWN]]
    count = f"more than {SHOWN} rows" if len(found) > SHOWN else f"{len(found)} row(s)"
    raise InvalidDataError(
        f"{count} without an image in column {image}: {' | '.join(shown)}; drop them, or ask "
        "for bad='null'"
    )


def __dir__() -> list[str]:
    return __all__

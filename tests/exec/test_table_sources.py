"""What a scan takes beside a file of Parquet or Arrow and tables of pyarrow."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from pyarrow import csv, dataset, parquet

from bench.data.dataset import open_dataset
from columnar_nn import PlanBuilder, prepare
from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidDataError

ROWS = 600
PIXELS = np.random.default_rng(0).integers(0, 256, (ROWS, 3, 4, 4), dtype=np.uint8)
TABLE = pa.table(
    {
        "id": pa.array(range(ROWS)),
        "image": tensor_column.from_numpy(PIXELS),
        "s": [None if row % 5 == 0 else f"x{row % 7}" for row in range(ROWS)],
    }
)


def scanned(source: Any) -> pa.Table:
    """All rows, read twice: a source is no stream that is over after the first time."""
    plan = PlanBuilder().table_scan(source).plan()
    first, second = (prepare(plan).run().to_table() for _ in range(2))
    assert first.equals(second)
    return first


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """A folder of Parquet files in folders k=1 and k=2."""
    for key in (1, 2):
        folder = tmp_path / "parts" / f"k={key}"
        folder.mkdir(parents=True)
        half = TABLE.slice((key - 1) * ROWS // 2, ROWS // 2)
        parquet.write_table(half, folder / "rows.parquet", row_group_size=100)
    return tmp_path / "parts"


@pytest.mark.parametrize(
    "source",
    [
        lambda path: path,
        lambda path: f"{path}/*/*.parquet",
        lambda path: f"{path}/**/*.parquet",
        lambda path: dataset.dataset(path, partitioning="hive"),
    ],
    ids=["folder", "glob", "deep glob", "dataset"],
)
def test_several_parquet_files(source: Callable[[Path], Any], parts: Path) -> None:
    found = scanned(source(parts))
    assert found.select(TABLE.column_names).equals(TABLE)
    assert found.column("k").to_pylist() == [1] * (ROWS // 2) + [2] * (ROWS // 2)


def test_csv(tmp_path: Path) -> None:
    flat = TABLE.select(["id", "s"])
    csv.write_csv(flat, tmp_path / "rows.csv")
    expected = flat.set_column(1, "s", flat.column("s").fill_null(""))  # as pyarrow reads text
    assert scanned(tmp_path / "rows.csv").equals(expected)
    assert scanned(tmp_path).equals(expected)


def test_a_folder_of_arrow_files(tmp_path: Path) -> None:
    with pa.ipc.new_file(tmp_path / "rows.arrow", TABLE.schema) as writer:
        writer.write_table(TABLE)
    assert scanned(tmp_path).equals(TABLE)


def test_frames() -> None:
    columns = {"id": [1, 2, 3], "s": ["a", None, "c"], "x": [0.5, 1.5, None]}
    expected = pa.table(columns)
    assert scanned(pl.DataFrame(columns)).equals(expected)
    assert scanned(pl.DataFrame(columns).to_arrow()).equals(expected)
    frame = pd.DataFrame({**columns, "x": pd.array(columns["x"], "Float64")})
    assert scanned(frame).equals(expected)


class AsArray:
    """A batch that is known by Arrow's C interface only."""

    def __init__(self, batch: pa.RecordBatch) -> None:
        self._batch = batch

    def __arrow_c_array__(self, requested_schema: object = None) -> object:
        return self._batch.__arrow_c_array__(requested_schema)


def test_whatever_gives_a_table_through_the_c_interface() -> None:
    (batch,) = TABLE.to_batches()
    assert scanned(AsArray(batch)).equals(TABLE)
    assert scanned(pa.array([{"x": 1}, {"x": None}])).to_pydict() == {"x": [1, None]}
    assert scanned(duckdb.sql("SELECT range AS x FROM range(3)")).to_pydict() == {"x": [0, 1, 2]}


def test_categories_are_their_texts() -> None:
    texts = ["b", None, "a", "b"]
    for frame in (
        pl.DataFrame({"s": pl.Series(texts, dtype=pl.Categorical)}),
        pd.DataFrame({"s": pd.Categorical(texts)}),
    ):
        assert scanned(frame).to_pydict() == {"s": texts}


def test_an_index_of_pandas_is_a_column_if_it_has_a_name() -> None:
    frame = pd.DataFrame({"s": ["a", "b", "a"], "x": [1, 2, 3]})
    assert scanned(frame[frame.x > 1]).to_pydict() == {"s": ["b", "a"], "x": [2, 3]}
    assert scanned(frame.groupby("s").sum()).to_pydict() == {"x": [4, 2], "s": ["a", "b"]}


@pytest.mark.parametrize(
    "images",
    [PIXELS, list(PIXELS), tensor_column.from_numpy(PIXELS)],
    ids=lambda i: type(i).__name__,
)
def test_a_dict_of_arrays(images: Any) -> None:
    found = scanned({"id": range(ROWS), "image": images, "s": TABLE.column("s")})
    assert found.equals(TABLE)


def test_a_frame_whose_cells_are_images() -> None:
    frame = pd.DataFrame({"id": range(ROWS), "image": list(PIXELS), "s": TABLE["s"].to_pylist()})
    assert scanned(frame).equals(TABLE)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (PIXELS, "cannot scan ndarray: pass a path .* or a dict of arrays"),
        (pa.array([1]), "cannot scan Int64Array: .*non-struct"),
        (pa.chunked_array([[1]]), "cannot scan ChunkedArray: .*non-struct"),
        (pl.LazyFrame({"x": [1]}), r"cannot scan a LazyFrame: collect\(\) it first"),
        ({"x": [1], "y": [1, 2]}, "columns have different lengths: x 1, y 2"),
        ({"x": [1, "a"]}, "column x is no array"),
        ({"x": [PIXELS[0], PIXELS[0, :2]]}, "column x is no array: all input arrays must have"),
        ({"x": 1}, "column x is no array"),
        (
            pd.DataFrame([[1, 2]], columns=["x", "x"]),
            "cannot scan DataFrame: Duplicate",
        ),
        (pd.DataFrame({"x": [1, "a"]}), "column x is no array"),
    ],
    ids=str,
)
def test_what_is_no_table(source: Any, message: str) -> None:
    with pytest.raises(InvalidDataError, match=message) as caught:
        scanned(source)
    assert "\n" not in str(caught.value)


def test_a_set_of_images() -> None:
    photos = open_dataset("photo10")
    found = scanned(photos)
    assert found.num_rows == photos.num_rows
    assert found.column("id").to_pylist() == list(range(photos.num_rows))
    (expected,) = photos.batches(photos.num_rows, photos.num_rows)
    assert found.column("label").combine_chunks().equals(expected.column("label"))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.csv", b"a,b\n1\n", "x.csv is not a CSV file"),
        ("x.csv", b"", "x.csv is not a CSV file"),
        ("x.csv", b"a\n" + b"1\n" * 10**6 + b"x\n", "x.csv is damaged"),
        ("x.txt", b"", "cannot tell the format"),
    ],
)
def test_files_that_are_not_what_they_say(
    name: str, content: bytes, message: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InvalidDataError, match=message):
        scanned(tmp_path / name)


def test_folders_and_globs_without_a_table(tmp_path: Path) -> None:
    for source in (tmp_path, f"{tmp_path}/*.csv"):
        with pytest.raises(InvalidDataError, match="no file at"):
            scanned(source)
    (tmp_path / "a.csv").write_text("a\n1\n")
    parquet.write_table(TABLE, tmp_path / "b.parquet")
    with pytest.raises(InvalidDataError, match="files of several formats"):
        scanned(tmp_path)
    (tmp_path / "c.parquet").write_bytes(b"PAR1 nothing PAR1")
    with pytest.raises(InvalidDataError, match="parquet"):
        scanned(f"{tmp_path}/*.parquet")

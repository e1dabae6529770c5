"""The tables as Arrow and Parquet: a row an observation, and the same results when read back."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow import parquet
from results.examples import TURNS, results, rows

from bench.results import columns, document
from bench.results.results import Results
from bench.results.schema import TABLES
from columnar_nn.errors import InvalidDataError


def write(found: Results, folder: Path, suffix: str) -> None:
    folder.mkdir()
    columns.write({name: found.table(name) for name in TABLES}, folder, suffix)


def test_an_observation_is_a_row() -> None:
    table = results().table()
    assert table.column("value").to_pylist() == [
        seconds for turns in TURNS.values() for turn in turns for seconds in turn
    ]
    assert table.column("index").to_pylist() == [0, 1, 2, 0, 1, 2]
    assert table.column("order").to_pylist() == [0, 0, 1, 0, 0, 1]
    assert set(table.column("unit").to_pylist()) == {"s"}
    assert json.loads(table.column("disturbance")[0].as_py())["others_s"] == 0.5
    assert table.schema.field("value").type == pa.float64()
    assert table.schema.metadata[b"format"] == b"cnn-bench/results"


@pytest.mark.parametrize("suffix", columns.SUFFIXES)
def test_what_is_read_back_is_the_same(tmp_path: Path, suffix: str) -> None:
    named = [(n, {**row, "later": [1]} if n == "cell" else row) for n, row in rows()]
    named += [("session", next(row for n, row in rows("b" * 16) if n == "session"))]
    named += [("machine", next(row for n, row in rows("b" * 16) if n == "machine"))]
    found = Results.of(named)
    write(found, tmp_path / "x", suffix)
    assert document.read(tmp_path / "x") == found
    assert len(list((tmp_path / "x").iterdir())) == len(TABLES)


@pytest.mark.parametrize(
    ("table", "fields"),
    [
        ("session", ["functions", "truth"]),
        ("workload", ["query", "sql"]),
        ("cell", ["top5_accuracy"]),
    ],
)
def test_a_column_that_an_earlier_version_did_not_have_is_null(
    table: str, fields: list[str], tmp_path: Path
) -> None:
    write(results(), tmp_path / "x", ".parquet")
    file = tmp_path / "x" / f"{table}.parquet"
    parquet.write_table(parquet.read_table(file).drop_columns(fields), file)
    assert document.read(tmp_path / "x") == results()


def test_a_table_that_is_not_one_of_ours_is_refused(tmp_path: Path) -> None:
    write(results(), tmp_path / "x", ".parquet")
    file = tmp_path / "x" / "cell.parquet"
    table = parquet.read_table(file)
    for changed, message in (
        (table.drop_columns(["status"]), "not as they must be: status"),
        (table.set_column(5, "reason", pa.array([1] * len(table))), "not as they must be: reason"),
        (table.set_column(0, table.schema.field(0), pa.nulls(len(table), "string")), "session_id"),
    ):
        parquet.write_table(changed, file)
        with pytest.raises(InvalidDataError, match=message):
            document.read(tmp_path / "x")
    file.write_bytes(b"PAR1 no more")
    with pytest.raises(InvalidDataError, match=r"cell\.parquet"):
        document.read(tmp_path / "x")
    file.unlink()
    with pytest.raises(InvalidDataError, match=r"must have one cell\.parquet or cell\.arrow"):
        document.read(tmp_path / "x")

"""`cnn-bench query`: what it prints, what it refuses, and Velox beside."""

from __future__ import annotations

import csv
import io
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pyarrow as pa
import pytest
from pyarrow import parquet

import columnar_nn
from bench.cli import app
from bench.data.dataset import open_dataset
from bench.query import output


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = {
        "id": [1, 2, 3, None],
        "s": ["a", "b, c", None, "d"],
        "x": [0.5, float("nan"), None, 2.0],
        "l": [[1, 2], None, [], [3]],
    }
    path = tmp_path / "rows.parquet"
    parquet.write_table(pa.table(rows), path)
    return path


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> int:
    monkeypatch.setattr("sys.argv", ["cnn-bench", "query", *arguments])
    with pytest.raises(SystemExit) as raised:
        app.main()
    return int(raised.value.code or 0)


def test_the_table_says_rows_and_types(
    table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, "select id, s from t order by id", "--table", f"t={table}") == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split() for line in lines[2:4]] == [["1", "a"], ["2", "b,", "c"]]
    assert lines[-1].strip() == "4 rows; id BIGINT, s VARCHAR"
    run(monkeypatch, "select id from t", "--table", f"t={table}", "--limit-rows", "1")
    assert "4 rows, of which the first 1 are shown" in capsys.readouterr().out


def test_csv_and_json_hold_everything(
    table: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ("select * from t", "--table", f"t={table}", "--format")
    assert run(monkeypatch, *arguments, "csv") == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert rows[0] == ["id", "s", "x", "l"]
    assert rows[2] == ["2", "b, c", "nan", ""]
    assert rows[1][3] == "[1, 2]"
    assert run(monkeypatch, *arguments, "json", "--limit-rows", "3") == 0
    found = json.loads(capsys.readouterr().out)
    assert found[0] == {"id": 1, "s": "a", "x": 0.5, "l": [1, 2]}
    assert found[1] == {"id": 2, "s": "b, c", "x": None, "l": None}
    assert len(found) == 3
    assert run(monkeypatch, "select id from t where false", *arguments[1:], "json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_an_arrow_stream_reads_back(
    table: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert (
        run(monkeypatch, "select id, l from t", "--table", f"t={table}", "--format", "arrow") == 0
    )
    found = pa.ipc.open_stream(capfdbinary.readouterr().out).read_all()
    assert found.equals(columnar_nn.sql("select id, l from t", t=table))


def test_a_network_over_photo10_and_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = Path(columnar_nn.__file__).parent / "model" / "weights" / "plain9.onnx"
    text = "select id, argmax(mine(image)) as p\nfrom photo10 where id < 5 order by 1"
    (tmp_path / "query.sql").write_text(text)
    network = ("--network", f"mine={weights}", "--threads", "2")
    assert run(monkeypatch, "-f", str(tmp_path / "query.sql"), *network, "--format", "csv") == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out)))[1:]
    expected = columnar_nn.sql(
        "select argmax(plain9(image)) as p from photo10 where id < 5 order by id",
        photo10=open_dataset("photo10"),
    )
    assert [int(row[1]) for row in rows] == expected.column("p").to_pylist()


def test_explain_and_analyze(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    text = "select label, count(*) from photo10 group by 1"
    assert run(monkeypatch, text, "--explain") == 0
    assert "-- Aggregation[1][SINGLE [label] count := count()]" in capsys.readouterr().out
    assert run(monkeypatch, text, "--analyze") == 0
    printed = capsys.readouterr().out
    assert "Output: 1000 rows" in printed
    assert printed.splitlines()[-1].startswith("10 rows in ")


def test_velox_gives_the_same_rows(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyvelox")
    text = (
        "select a.label, count(*) as n, sum(b.id) as total, count(distinct b.label) as kinds, "
        "max(case when b.id > 500 then b.id end) as most "
        "from photo10 a full join photo10 b on a.id = b.id + 1 "
        "where a.label in (1, 2, 7) and not (b.label between 3 and 4) "
        "group by a.label having count(*) > 1 order by 2 desc, 1 limit 3"
    )
    found = []
    for backend in ("columnar", "velox"):
        assert run(monkeypatch, text, "--backend", backend, "--format", "csv") == 0
        found.append(capsys.readouterr().out)
    assert found[0] == found[1]
    assert len(found[0].splitlines()) == 4
    assert run(monkeypatch, text, "--backend", "velox", "--explain") == 0
    assert "HashJoin" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "give a query, or -f FILE"),
        (("select 1", "-f", "x"), "give a query, or -f FILE"),
        (("-f", "/nowhere.sql"), "No such file or directory: /nowhere.sql"),
        (("select 1", "--table", "x"), "--table 'x': write NAME=PATH"),
        (("select 1", "--table", "x=a", "--table", "X=b"), "--table X is given twice"),
        (("select 1", "--explain", "--analyze"), "choose one"),
        (("select lable from photo10",), "no column lable: did you mean label? .*column 8"),
        (("select * from t", "--table", "t=/nowhere.parquet"), "table t: no such file: /nowhere"),
        (("select 1", "--network", "relu=x.onnx"), "there is a function of that name"),
        (("select x(1)", "--network", "x=/nowhere.onnx"), "/nowhere.onnx"),
        (("select plain9(image) from photo10", "--backend", "velox"), "Velox"),
        (("select 1 union all select 2", "--backend", "velox"), "pyvelox has no LocalPartition"),
        (("select 1 from photo10 a, photo10 b", "--backend", "velox"), "has no NestedLoopJoin"),
        (("select 1", "--format", "xml"), "choose from table, csv, json, arrow"),
    ],
)
def test_refused_in_one_line(
    arguments: tuple[str, ...],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, *arguments) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("cnn-bench: error: ")
    for part in message.split(".*"):
        assert part in line


def test_an_arrow_stream_ends_where_its_reader_has_had_enough() -> None:
    batch = pa.record_batch({"x": pa.array(range(100_000))})
    read, write = os.pipe()
    os.close(read)
    raw = os.fdopen(write, "wb", buffering=0)
    output._as_arrow(batch.schema, [batch] * 4, SimpleNamespace(buffer=raw, isatty=bool))  # type: ignore[arg-type]
    raw.close()

"""Whatever Arrow offers can be scanned: files of three kinds, tables, batches, readers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from exec.networks import images
from pyarrow import parquet

from columnar_nn.errors import InvalidDataError, InvalidPlanError
from columnar_nn.exec.executable import prepare
from columnar_nn.plan.builder import PlanBuilder

BATCH = images(300)
TABLE = pa.Table.from_batches([BATCH.slice(0, 100), BATCH.slice(100)])


def as_parquet(folder: Path) -> Path:
    path = folder / "images.parquet"
    parquet.write_table(TABLE, path)
    return path


def as_ipc_file(folder: Path) -> Path:
    path = folder / "images.arrow"
    with pa.ipc.new_file(path, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return path


def as_ipc_stream(folder: Path) -> str:
    path = folder / "stream.arrow"
    with pa.ipc.new_stream(path, TABLE.schema) as writer:
        writer.write_table(TABLE)
    return str(path)


SOURCES: dict[str, Callable[[Path], object]] = {
    "parquet": as_parquet,
    "ipc file": as_ipc_file,
    "ipc stream": as_ipc_stream,
    "table": lambda _: TABLE,
    "batch": lambda _: BATCH,
    "batches": lambda _: TABLE.to_batches(),
    "reader": lambda _: TABLE.to_reader(),
}


@pytest.mark.parametrize("kind", SOURCES)
def test_all_rows_and_columns(kind: str, tmp_path: Path) -> None:
    source = SOURCES[kind](tmp_path)
    assert prepare(PlanBuilder().table_scan(source).plan()).run().to_table().equals(TABLE)


@pytest.mark.parametrize("kind", SOURCES)
def test_some_columns_in_another_order(kind: str, tmp_path: Path) -> None:
    source = SOURCES[kind](tmp_path)
    plan = PlanBuilder().table_scan(source, ["image", "id"]).plan()
    assert prepare(plan, 2).run().to_table().equals(TABLE.select(["image", "id"]))


def test_a_file_is_scanned_as_often_as_wanted(tmp_path: Path) -> None:
    executable = prepare(PlanBuilder().table_scan(as_ipc_file(tmp_path)).plan())
    for _ in range(2):
        assert executable.run().to_table().equals(TABLE)


def test_sources_that_are_none(tmp_path: Path) -> None:
    missing = tmp_path / "missing.arrow"
    with pytest.raises(InvalidDataError, match="no such file"):
        PlanBuilder().table_scan(missing)
    for name in ("text.arrow", "text.parquet"):
        (tmp_path / name).write_text("not what its name says")
        with pytest.raises(
            InvalidDataError, match=r"is not an? (Arrow IPC|Parquet) file"
        ) as caught:
            PlanBuilder().table_scan(tmp_path / name)
        assert "\n" not in str(caught.value)
    (tmp_path / "images.txt").write_text("1,2")
    with pytest.raises(InvalidDataError, match="cannot tell the format"):
        PlanBuilder().table_scan(tmp_path / "images.txt")
    with pytest.raises(InvalidDataError, match="cannot scan int"):
        PlanBuilder().table_scan(3)
    with pytest.raises(InvalidPlanError, match="field not found: nope"):
        PlanBuilder().table_scan(TABLE, ["nope"])

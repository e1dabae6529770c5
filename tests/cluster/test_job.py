"""What a run refuses or survives once Spark has looked at its input."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from cluster.conftest import NUM
from pyarrow import parquet

from bench.cluster import session as sessions
from bench.cluster.job import Job, Outcome, run
from bench.cluster.session import Opened, session
from bench.text.progress import silent
from columnar_nn.errors import CnnBenchError


@pytest.fixture(scope="module")
def opened() -> Iterator[Opened]:
    with session("spark", "local[2]", {}) as made:
        yield made


@pytest.fixture(scope="module")
def given(images: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of all kinds, most of which are wrong."""
    folder = tmp_path_factory.mktemp("given")
    table = parquet.read_table(images / "images" / "00000.parquet").slice(0, 50)
    labels = parquet.read_table(images / "labels.parquet")
    names = pa.array([f"x{i}" for i in range(50)])
    own = {"images": table["id"], "error": names, "predicted": table["id"]}
    files = {
        "labels": labels,
        "no_image": table.drop(["image"]),
        "text": pa.table({"id": table["id"], "image": names}),
        "double": pa.table({"id": table["id"], "image": pa.array([[1.0]] * 50)}),
        "empty": table.slice(0, 0),
        "twice": pa.concat_tables([labels, labels.slice(0, 1)]),
        "names": pa.table({"id": names, "label": labels["label"][:50]}),
        **{name: table.append_column(name, column) for name, column in own.items()},
    }
    for name, made in files.items():
        parquet.write_table(made, folder / f"{name}.parquet")
    (folder / "nothing").mkdir()
    (folder / "hello.parquet").write_text("hello")
    raw = (images / "images" / "00000.parquet").read_bytes()
    (folder / "cut").mkdir()
    (folder / "cut" / "a.parquet").write_bytes(raw[:4] + bytes(200) + raw[204:])
    return folder


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"images": "no_image.parquet"}, "no column 'image': there are id"),
        ({"images": "text.parquet"}, "is string, which holds no images: store each as binary"),
        ({"images": "double.parquet"}, "double values: cast them to float32"),
        ({"images": "nothing"}, "nothing: there is no Parquet file in it"),
        ({"images": "hello.parquet"}, "hello.parquet"),
        ({"images": "cut"}, r"a\.parquet|ProtocolException"),
        ({"images": "error.parquet"}, "'error' would be there twice"),
        ({"images": "predicted.parquet"}, "'predicted' would be there twice"),
        ({"where": "id <"}, r"--where 'id <': \[PARSE_SYNTAX_ERROR\] Syntax error"),
        ({"where": "nothing > 1"}, "cannot be resolved. Did you mean"),
        ({"where": "assert_true(id < 5, 'too large') is null"}, "^Spark: .*too large$"),
        ({"labels": "twice.parquet"}, "has 2 labels of id 0: one each"),
        ({"labels": "names.parquet"}, "--key id is bigint in .* and string in .*: they must"),
        ({"labels": "labels.parquet", "key": "image"}, "--key and --image are both image"),
        ({"labels": "labels.parquet", "key": "name"}, "--key name: .* has columns id, image"),
        ({"labels": "labels.parquet", "label": "id"}, "--label id: predictions have a column"),
        ({"labels": "labels.parquet", "label": "predicted"}, "--label predicted: predictions"),
        ({"labels": "labels.parquet", "label": "name"}, "has no column name: id, label"),
        ({"group_by": ("label",)}, "--group-by: no column 'label'; there are id, predicted, error"),
        ({"images": "images.parquet", "group_by": ("images",)}, "the summary has a column of that"),
        ({"outputs": ("predicted", "nothing")}, "plain9 has no output nothing: use logits"),
    ],
)
def test_wrong_input_is_one_line(
    opened: Opened,
    images: Path,
    given: Path,
    how: dict[str, Any],
    message: str,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    files = {name: str(given / how[name]) for name in ("images", "labels") if name in how}
    job = replace(Job("plain9", str(images / "images")), **{**how, **files})
    with pytest.raises(CnnBenchError, match=message) as caught, sessions._one_line("Spark"):
        run(opened, job, tmp_path, silent)
    assert "\n" not in str(caught.value)
    assert "\tat " not in capfd.readouterr().err


def done(opened: Opened, job: Job, folder: Path) -> tuple[Outcome, pa.Table]:
    outcome = run(opened, job, folder, silent)
    return outcome, parquet.read_table(folder / "summary.parquet")


def test_no_rows_are_a_result_too(opened: Opened, given: Path, tmp_path: Path) -> None:
    outcome, summary = done(opened, Job("plain9", str(given / "empty.parquet")), tmp_path)
    assert (outcome.rows, outcome.bad, outcome.accuracy) == (0, 0, None)
    assert summary.schema.names == ["predicted", "images", "bad"]
    assert set(summary.schema.types) == {pa.int64()}


def test_images_of_another_dtype_are_all_bad(opened: Opened, images: Path, tmp_path: Path) -> None:
    job = Job("plain9", str(images / "images"), dtype="float32")
    outcome, _ = done(opened, job, tmp_path)
    assert (outcome.rows, outcome.bad) == (NUM, NUM)
    assert outcome.bad_rows[0] == (0, "the image has 3,072 bytes instead of 12,288")


def test_a_path_that_workers_lack_is_one_line(opened: Opened, images: Path, tmp_path: Path) -> None:
    """The driver has read the network, and then it is gone, as where a folder is not shared."""
    from columnar_nn.integrations.spark import map_batches
    from columnar_nn.model import zoo

    path = tmp_path / "mine.onnx"
    path.write_bytes((zoo.WEIGHTS / "plain9.onnx").read_bytes())
    frame = opened.spark.read.parquet(str(images / "images"))
    made = map_batches(frame, path, bad="null")
    path.unlink()
    with (
        pytest.raises(CnnBenchError, match=r"Spark: .*cannot read model .*mine\.onnx"),
        sessions._one_line("Spark"),
    ):
        made.collect()

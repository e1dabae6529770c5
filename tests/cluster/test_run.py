"""`cnn-bench cluster`: what it writes, against labels and predictions joined by hand."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import psutil
import pyarrow as pa
import pytest
from cluster.conftest import NUM
from pyarrow import parquet

from bench.cli import commands
from bench.cluster.standalone import python_workers

ROOT = Path(__file__).parents[2]


def cluster(*arguments: object) -> int:
    """Runs it in this process, whose JVM is there already."""
    return commands.run(["cluster", *map(str, arguments)])


def started(folder: Path, *arguments: object) -> subprocess.Popen[str]:
    """Starts it as a user does; its temporary files are in the folder."""
    folder.mkdir()
    options = f"{os.environ['JAVA_TOOL_OPTIONS']} -Djava.io.tmpdir={folder} -XX:-UsePerfData"
    return subprocess.Popen(
        [sys.executable, "-m", "cnn_bench", "cluster", *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env={
            **os.environ,
            "COLUMNS": "100",
            "TMPDIR": str(folder),
            "JAVA_TOOL_OPTIONS": options,
        },
    )


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, 20)[1]


def test_a_run_filters_joins_groups_and_writes(
    images: Path, expected: pa.Table, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "predictions").mkdir()  # of a run before
    process = started(
        tmp_path / "temporary",
        *("run", "--images", images / "images", "--labels", images / "labels.parquet"),
        *("--where", "id >= 500", "--group-by", "predicted,label", "--out", out, "--overwrite"),
    )
    shown, errors = process.communicate()
    assert process.returncode == 0, errors
    labels = parquet.read_table(images / "labels.parquet")["label"].to_pylist()
    predicted = expected["predicted"].to_pylist()
    table = parquet.read_table(out / "predictions").sort_by("id")
    assert table.to_pylist() == [
        {"id": i, "predicted": predicted[i], "error": None, "label": labels[i]}
        for i in range(500, NUM)
    ]
    pairs = Counter(zip(predicted[500:], labels[500:], strict=True))
    summary = parquet.read_table(out / "summary.parquet").to_pylist()
    assert {(g["predicted"], g["label"]): g["images"] for g in summary} == pairs
    right = sum(count for (guess, label), count in pairs.items() if guess == label)
    assert f"{NUM - 500:,} images in " in shown
    assert f"{right:,} with their label's class" in " ".join(shown.split())
    assert "kernels of the network" in shown
    assert "advice: fewer than 5,000 images a split" in shown
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "temporary"]
    assert not list((tmp_path / "temporary").iterdir())


def test_what_is_interrupted_leaves_nothing(images: Path, tmp_path: Path) -> None:
    """SIGINT while a Python worker is at work."""
    process = started(
        tmp_path / "temporary",
        *("run", "--images", images / "images", "--model", "resnet18", "--out", tmp_path / "out"),
    )
    while not python_workers([process.pid]):
        time.sleep(0.05)
        assert process.poll() is None
    family = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate()
    assert process.returncode == 130, errors
    assert "cnn-bench: interrupted\n" in errors
    assert "Traceback" not in errors
    assert "\tat " not in errors
    assert gone(family)
    assert [path.name for path in tmp_path.iterdir()] == ["temporary"]
    assert not list((tmp_path / "temporary").iterdir())


@pytest.mark.parametrize("bad", ["null", "fail"])
def test_bad_rows_are_counted_and_printed(
    images: Path, tmp_path: Path, bad: str, capsys: pytest.CaptureFixture[str]
) -> None:
    table = parquet.read_table(images / "images" / "00000.parquet")
    pixels = table["image"].to_pylist()
    pixels[3], pixels[5] = None, pixels[5][:9]
    broken = pa.table({"id": table["id"], "image": pa.array(pixels, pa.binary())})
    parquet.write_table(broken, tmp_path / "broken.parquet")
    out, file = tmp_path / "out", tmp_path / "run.json"
    status = cluster(
        *("run", "--images", tmp_path / "broken.parquet", "--bad", bad, "--group-by", "error"),
        *("--out", out, "--json", file),
    )
    assert status == 1
    shown = capsys.readouterr().out
    assert "2 row(s) without an image\n  3: the image is null\n  5: the image has 9" in shown
    assert ("nothing is written" in shown) == (bad == "fail")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "broken.parquet",
        *["out"] * (bad == "null"),
        "run.json",
    ]
    (cell,) = json.loads(file.read_text())["cell"]
    assert (cell["status"], cell["reason"]) == ("FAILED", "2 row(s) without an image")
    assert commands.run(["show", str(file)]) == 0
    assert "cpu compute" in capsys.readouterr().out
    if bad == "null":
        written = parquet.read_table(out / "predictions").sort_by("id")
        assert [row["id"] for row in written.to_pylist() if row["predicted"] is None] == [3, 5]
        summary = parquet.read_table(out / "summary.parquet").to_pylist()
        assert {row["error"]: (row["images"], row["bad"]) for row in summary} == {
            None: (table.num_rows - 2, 0),
            "the image is null": (1, 1),
            "the image has 9 bytes instead of 3,072": (1, 1),
        }


def test_the_engine_alone_and_inside_spark_give_the_same_rows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file, model = tmp_path / "compare.json", tmp_path / "model.json"
    options = ("--images", 600, "--rounds", 1, "--splits", "1,6", "--seed", 1)
    assert cluster("compare", *options, "--json", file) == 0
    assert "spark, 6 splits" in capsys.readouterr().out
    kept = json.loads(file.read_text())
    assert [cell["status"] for cell in kept["cell"]] == ["PASSED"] * 3
    assert [cell["outside"] for cell in kept["cell"]] == [0] * 3
    assert sorted(row["processes"] for row in kept["subject"]) == [1, 2, 2]
    parts = {tuple(block["part"]) for block in kept["observation"] if block["metric"] == "cpu"}
    assert {("compute",), ("read",), ("jvm", "tasks")} <= parts
    assert cluster("simulate", file, "--executors", "1-100*10", "--json", model) == 0
    assert "A model, not a measurement" in capsys.readouterr().out
    for one in (file, model):
        assert commands.run(["show", str(one)]) == 0
    page = tmp_path / "page.md"
    assert commands.run(["report", str(file), str(model), "--format", "md", "-o", str(page)]) == 0
    assert "A model, not a measurement" in page.read_text()

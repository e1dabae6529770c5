"""`cnn-bench cluster run`: what it writes, against labels and predictions joined by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pytest
from cluster.conftest import NUM
from pyarrow import parquet

ROOT = Path(__file__).parents[2]


def cluster_run(*arguments: object) -> subprocess.CompletedProcess[str]:
    return cluster_command("run", *arguments)


def cluster_command(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "cnn_bench", "cluster", *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
        cwd=ROOT,
        env={**os.environ, "COLUMNS": "100"},
    )


def test_a_run_filters_joins_groups_and_writes(
    images: Path, expected: pa.Table, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    (out / "predictions").mkdir()  # of a run before
    given = cluster_run(
        *("--images", images / "images", "--labels", images / "labels.parquet"),
        *("--where", "id >= 1000", "--group-by", "predicted,label", "--out", out, "--overwrite"),
    )
    assert given.returncode == 0, given.stderr
    labels = parquet.read_table(images / "labels.parquet")["label"].to_pylist()
    predicted = expected["predicted"].to_pylist()
    table = parquet.read_table(out / "predictions").sort_by("id")
    assert table.to_pylist() == [
        {"id": i, "predicted": predicted[i], "error": None, "label": labels[i]}
        for i in range(1000, NUM)
    ]
    pairs = Counter(zip(predicted[1000:], labels[1000:], strict=True))
    summary = parquet.read_table(out / "summary.parquet").to_pylist()
    assert {(g["predicted"], g["label"]): g["images"] for g in summary} == pairs
    right = sum(count for (guess, label), count in pairs.items() if guess == label)
    assert f"{NUM - 1000:,} images in " in given.stdout
    assert f"{right:,} with their label's class" in " ".join(given.stdout.split())
    assert "kernels of the network" in given.stdout
    assert "advice: fewer than 5,000 images a split" in given.stdout


@pytest.mark.parametrize("bad", ["null", "fail"])
def test_bad_rows_are_counted_and_printed(images: Path, tmp_path: Path, bad: str) -> None:
    table = parquet.read_table(images / "images" / "00000.parquet")
    pixels = table["image"].to_pylist()
    pixels[3], pixels[5] = None, pixels[5][:9]
    broken = pa.table({"id": table["id"], "image": pa.array(pixels, pa.binary())})
    parquet.write_table(broken, tmp_path / "broken.parquet")
    out = tmp_path / "out"
    given = cluster_run("--images", tmp_path / "broken.parquet", "--bad", bad, "--out", out)
    assert given.returncode == 1, given.stderr
    assert "2 row(s) without an image\n  3: the image is null\n  5: the image has 9" in given.stdout
    assert out.exists() == (bad == "null")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "broken.parquet",
        *["out"] * out.exists(),
    ]
    if bad == "null":
        written = parquet.read_table(out / "predictions").sort_by("id")
        assert [row["id"] for row in written.to_pylist() if row["predicted"] is None] == [3, 5]


def test_the_engine_alone_and_inside_spark_give_the_same_rows(tmp_path: Path) -> None:
    file = tmp_path / "compare.json"
    given = cluster_command(
        *("compare", "--images", 600, "--rounds", 1, "--splits", "1,6", "--seed", 1, "--json", file)
    )
    assert given.returncode == 0, given.stderr
    assert "spark, 6 splits" in given.stdout
    kept = json.loads(file.read_text())
    assert [cell["status"] for cell in kept["cell"]] == ["PASSED"] * 3
    assert [cell["outside"] for cell in kept["cell"]] == [0] * 3
    parts = {tuple(block["part"]) for block in kept["observation"] if block["metric"] == "cpu"}
    assert {("compute",), ("read",), ("jvm", "tasks")} <= parts
    given = cluster_command("simulate", file, "--executors", "1-100*10")
    assert given.returncode == 0, given.stderr
    assert "A model, not a measurement" in given.stdout

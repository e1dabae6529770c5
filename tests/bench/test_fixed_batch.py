"""A network that mixes its images, in every command: batches of its size, and it is said."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from closeness import assert_close
from model.batched_networks import ints, noise, original, step, write
from sessions import read_back

from bench.cli.app import main
from bench.data.dataset import open_dataset
from bench.model import fixed_batch
from columnar_nn.data import tensor_column
from columnar_nn.errors import UsageError
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph

SIZE = 4
NOTE = "node n1 (ReduceMean): it reduces axis 0, the batch"
RUN = "run in batches of 4, as exported, and of no other size"

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Each image minus the mean of all, after a convolution, as logits."""
    steps = [
        step("Conv", "x", noise(2, 3, 3, 3)),
        step("ReduceMean", "0", ints(0), keepdims=1),
        step("Sub", "0", "1"),
        step("Flatten", "2"),
        step("Gemm", "3", noise(72, 10)),
    ]
    return write(tmp_path_factory.mktemp("model") / "mean.onnx", (3, 8, 8), steps, SIZE)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs cnn-bench in this process: exit status, output on one line, errors."""

    def run(*arguments: object) -> tuple[int, str, str]:
        monkeypatch.setattr("sys.argv", ["cnn-bench", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        return int(ended.value.code or 0), " ".join(printed.out.split()), printed.err

    return run


def test_any_size_of_a_free_network() -> None:
    graph = zoo.build("plain9")
    assert fixed_batch.batch_size(graph, 128, [1, 10], "--samples") == 128
    assert fixed_batch.note(graph) == ""


@pytest.mark.parametrize(
    ("samples", "fix"),
    [([1], "4"), ([4, 10], "4,12"), ([10, 11, 1000], "12,1000"), ([3, 5], "4,8")],
)
def test_the_numbers_that_do_are_named(model: Path, samples: list[int], fix: str) -> None:
    graph = zoo.resolve(str(model))
    assert fixed_batch.batch_size(graph, 128, [8, 4000], "--samples") == SIZE
    with pytest.raises(UsageError, match=f"give multiples of 4, such as --samples {fix}$"):
        fixed_batch.batch_size(graph, 128, samples, "--samples")


@pytest.mark.parametrize(
    "arguments",
    [
        ["compare", "--samples", "1,4", "--model"],
        ["profile", "--samples", "6", "--model"],
        ["taps", "--samples", "6", "--tensor", "all", "--out", "unwritten", "--model"],
        ["explain", "--samples", "6", "--analyze"],
        ["golden", "create", "unwritten", "--count", "6", "--model"],
        ["engine", "--model"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_what_is_no_batch_is_refused(arguments: list[str], model: Path, command: Command) -> None:
    arguments = [a for a in arguments if a != "--model" or arguments[0] != "taps"]
    status, _, errors = command(*arguments, model)
    assert status == 2
    assert errors.count("\n") == 1
    assert "mean runs in batches of 4 only" in errors
    assert NOTE in errors


def batches(graph: Graph, count: int) -> np.ndarray:
    """The images that the commands run, [count, 3, 8, 8] in [0, 1]."""
    found = open_dataset("synthetic", count).fitted_to(graph).batches(count, count)
    pixels = [tensor_column.to_numpy(batch.column("image")) for batch in found]
    return np.concatenate(pixels).astype(np.float32) / np.float32(255)


def test_taps_and_golden(model: Path, tmp_path: Path, command: Command) -> None:
    graph, file, bundle = zoo.resolve(str(model)), tmp_path / "taps.arrow", tmp_path / "bundle"
    images, name = batches(graph, 8), graph.outputs[0].name
    expected = np.concatenate([original(model)(images[i : i + SIZE]) for i in (0, SIZE)])
    options = ["--data", "synthetic", "--backend", "reference"]
    status, printed, _ = command(
        "taps", model, "--tensor", "all", "--out", file, "--samples", 8, *options
    )
    assert status == 0
    assert RUN in printed
    written = pa.ipc.open_file(str(file)).read_all()
    assert written.column_names == ["id", "0", "2", "3", "4"]
    tapped = tensor_column.to_numpy(written.column(name).combine_chunks())
    assert_close(tapped, expected, rtol=1e-5, atol=1e-5)

    status, printed, _ = command(
        "golden", "create", bundle, "--model", model, "--data", "synthetic", "--count", 8
    )
    assert status == 0
    assert RUN in printed
    assert json.loads((bundle / "manifest.json").read_text())["rows_per_batch"] == SIZE
    for checked in ("verify", "bisect"):
        status, printed, _ = command("golden", checked, bundle, "--backend", "onnxruntime")
        assert status == 0, printed
        assert RUN in printed


def test_compare_and_profile(model: Path, tmp_path: Path, command: Command) -> None:
    out = tmp_path / "result.json"
    common = ["--model", model, "--data", "synthetic", "--threads", 1, "--backend", "onnxruntime"]
    status, printed, _ = command(
        *("compare", "--samples", "4,12", "--runs", 1, "--min-time", 0, "--json", out),
        *(*common, "--backend", "reference"),
    )
    assert status == 0, printed
    assert RUN in printed
    assert "to the first batch's result" in printed
    result = read_back(out)
    assert RUN in result.context["settings"]["batch_note"]
    assert {(b.samples, b.batch_size, b.status) for b in result.benchmarks} == {
        (4, SIZE, "PASSED"),
        (12, SIZE, "PASSED"),
    }
    status, printed, _ = command("profile", "--samples", 8, "--rounds", 1, *common)
    assert status == 0, printed
    assert RUN in printed
    assert f"in batches of {SIZE}" in printed


def test_explain_and_model(model: Path, command: Command) -> None:
    status, printed, _ = command("model", "show", model)
    assert status == 0
    assert RUN in printed
    assert "4x10" in printed
    assert "2,664" in printed  # an image's: 6 * 6 * 2 filters of 27, and 72 * 10
    status, _, errors = command("explain", model)
    assert status == 2
    assert RUN in errors

"""Tensors between layers, of all backends: right, harmless to the others, streamed, all or none."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from closeness import assert_close
from profiling.command_line import cnn_bench, tiny_inputs
from profiling.residual_network import residual_network
from progress_lines import without_progress

from adapters import registry
from bench.data.dataset import open_dataset
from bench.files.output import OutputFile
from bench.golden import streamed_backend
from bench.machine import cpus
from bench.profile.taps import write_taps
from bench.workers.options import Options
from bench.workers.process import WorkerError
from bench.workers.selection import Selection, select_one
from columnar_nn.data import tensor_column
from columnar_nn.errors import UsageError
from columnar_nn.exec.executable import prepare
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model import onnx_io
from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.plan.builder import PlanBuilder
from reference.evaluate import evaluate

SAMPLES = 7
INNER = ("c1", "r1", "a2", "p")


def backend(name: str, batch_size: int = 3) -> tuple[Selection, Options]:
    return select_one(name), Options(cpus.choose(1), 240.0, batch_size)


def read(path: Path) -> dict[str, np.ndarray]:
    table = pa.ipc.open_file(str(path)).read_all()
    assert table["id"].to_pylist() == list(range(table.num_rows))
    return {
        name: np.concatenate([tensor_column.to_numpy(c) for c in table[name].chunks])
        for name in table.schema.names[1:]
    }


def images() -> Iterator[pa.RecordBatch]:
    return open_dataset("synthetic", SAMPLES).batches(SAMPLES, 3)


@pytest.mark.parametrize("name", registry.BACKENDS)
def test_taps_of_every_backend(name: str, tmp_path: Path) -> None:
    if find_spec(registry.load(name).package) is None:
        pytest.skip(f"{name} is not installed")
    graph = residual_network()
    tapped = tmp_path / "tapped.arrow"
    assert (
        write_taps(OutputFile(str(tapped)), graph, [*INNER, "logits"], images(), *backend(name))
        == SAMPLES
    )
    pixels = np.concatenate([tensor_column.to_numpy(b.column("image")) for b in images()])
    inputs = {"image": pixels.astype(np.float32) / np.float32(255)}
    expected = evaluate(graph.nodes, graph.weights, inputs, [*INNER, "logits"])
    found = read(tapped)
    assert list(found) == [*INNER, "logits"]
    for tensor, array in expected.items():
        assert_close(found[tensor], array, rtol=1e-4, atol=5e-5 * float(np.abs(array).max()))


def test_a_tap_ends_a_fused_group_of_the_columnar_engine() -> None:
    def labels(*tensors: str) -> list[str]:
        graph = residual_network().with_outputs([TensorSpec(t, (None,)) for t in tensors])
        pixels = tensor_column.from_numpy(np.zeros((1, 3, 32, 32), np.uint8))
        plan = PlanBuilder().table_scan(pa.table({"image": pixels}))
        plan = plan.project(network_outputs(graph, "image"))
        with prepare(plan.plan(), 1, "layer", "auto") as executable:
            return [step.label for step in executable.steps]

    assert "conv1+relu1" in labels("logits")
    assert "conv1+relu1" in labels("r1", "logits")
    tapped = labels("c1", "logits")
    assert {"conv1", "relu1"} <= set(tapped)
    assert "conv1+relu1" not in tapped


def test_images_are_taken_and_tensors_written_turn_by_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streamed_backend, "TURN_BYTES", 1)
    sizes = []

    def batches() -> Iterator[pa.RecordBatch]:
        for batch in open_dataset("synthetic", 12).batches(12, 2):
            sizes.append(sum(file.stat().st_size for file in tmp_path.iterdir()))
            yield batch

    output = OutputFile(str(tmp_path / "x.arrow"))
    write_taps(output, residual_network(), ["r1"], batches(), *backend("columnar", 2))
    turn_bytes = 2 * 16 * 32 * 32 * 4
    # One turn is read ahead; Python's file buffer may hold less than another one back.
    for index, size in enumerate(sizes):
        assert size >= (index - 2) * turn_bytes


def test_a_failure_leaves_no_file(tmp_path: Path) -> None:
    graph, output = residual_network(), OutputFile(str(tmp_path / "x.arrow"))
    with pytest.raises(UsageError, match="cannot tap nope: choose from all, outputs, c1"):
        write_taps(output, graph, ["nope"], images(), *backend("columnar"))
    failing = backend("fake_backends.FakeBackend:raise")
    with pytest.raises(WorkerError):
        write_taps(output, graph, ["c1"], images(), *failing)
    assert not list(tmp_path.iterdir())


def test_command(tmp_path: Path) -> None:
    model, data = tiny_inputs(tmp_path)
    out = tmp_path / "taps.arrow"
    common = ["taps", model, "--data", data, "--samples", "10", "--backend", "reference"]
    done = cnn_bench(*common, "--tensor", "flatten", "--tensor", "outputs", "--out", str(out))
    assert (done.returncode, without_progress(done.stderr)) == (0, "")
    assert done.stdout.splitlines() == [
        "data: images.bin: CIFAR-10, binary version; 10 images, 10 classes",
        f"{out}: 10 images, from reference:float64",
    ]
    found = read(out)
    assert [array.shape for array in found.values()] == [(10, 3072), (10, 10)]
    done = cnn_bench(*common, "--tensor", "nope", "--out", str(out))
    assert done.returncode == 2
    assert "cannot tap nope: choose from all, outputs, flatten, logits" in done.stderr
    done = cnn_bench(*common, "--backend", "columnar", "--tensor", "logits", "--out", str(out))
    assert done.returncode == 2
    assert "--backend is given 2 times: this command takes one" in done.stderr
    done = cnn_bench(*common[:-1], "fake_backends.FakeBackend:abort", "--tensor", "logits",
                     "--out", str(out))  # fmt: skip
    assert done.returncode == 1
    assert "killed by SIGABRT" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_a_backend_that_is_not_installed_is_no_failure_of_it(tmp_path: Path) -> None:
    model, data = tiny_inputs(tmp_path)
    options = ["--data", data, "--tensor", "logits", "--out", str(tmp_path / "taps.arrow")]
    done = cnn_bench("taps", model, *options, "--backend", "fake_backends.MissingBackend")
    assert done.returncode == 2
    assert "SKIPPED" in done.stderr
    assert "pip install" in done.stderr
    assert not (tmp_path / "taps.arrow").exists()


def test_images_are_given_in_the_size_that_the_network_takes(tmp_path: Path) -> None:
    weight = np.ones((10, 2 * 5 * 7), np.float32)
    graph = Graph(
        "other",
        (
            Node("flatten", "Flatten", ("image",), ("flat",), {"axis": 1}),
            Node("dense", "Gemm", ("flat", "weight"), ("logits",), {"transB": 1}),
        ),
        (TensorSpec("image", (None, 2, 5, 7)),),
        (TensorSpec("logits", (None, 10)),),
        {"weight": weight},
    )
    onnx_io.save(graph, tmp_path / "other.onnx")
    out = tmp_path / "taps.arrow"
    options = ["--samples", "3", "--backend", "reference", "--tensor", "flat", "--out", str(out)]
    done = cnn_bench("taps", str(tmp_path / "other.onnx"), *options)
    assert (done.returncode, without_progress(done.stderr)) == (0, "")
    assert read(out)["flat"].shape == (3, 2 * 5 * 7)

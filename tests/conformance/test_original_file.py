"""`onnxruntime:original` runs the file that a network was read from, whatever was read of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from closeness import assert_close
from onnx_files import IMAGE, write

from adapters.base import Settings, Stopwatch
from adapters.onnxruntime_backend import OnnxRuntimeBackend
from columnar_nn.data import tensor_column
from columnar_nn.errors import UnsupportedNetworkError
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph, TensorSpec

onnxruntime = pytest.importorskip("onnxruntime")

PIXELS = np.random.default_rng(4).integers(0, 256, (5, *IMAGE), np.uint8)
IMAGES = PIXELS.astype(np.float32) / np.float32(255)


def original(graph: Graph) -> OnnxRuntimeBackend:
    return OnnxRuntimeBackend(graph, Settings("original", 1, 5))


def outputs(backend: OnnxRuntimeBackend) -> dict[str, np.ndarray]:
    batch = pa.record_batch({"image": tensor_column.from_numpy(PIXELS)})
    (result,) = backend.infer([batch], Stopwatch())
    return {name: tensor_column.to_numpy(result.column(name)) for name in result.schema.names}


@pytest.mark.parametrize("batch", ["N", 1, 2])
def test_it_runs_the_file_and_not_the_import(batch: int | str, tmp_path: Path) -> None:
    file = write(tmp_path / "file.onnx", batch=batch)
    session = onnxruntime.InferenceSession(
        write(tmp_path / "free.onnx"), providers=["CPUExecutionProvider"]
    )
    (expected,) = session.run(None, {"x": IMAGES})
    graph = zoo.resolve(str(file))
    spoiled = replace(graph, weights={n: np.zeros_like(w) for n, w in graph.weights.items()})
    found = outputs(original(spoiled))
    assert list(found) == ["y"]
    assert_close(found["y"], expected, rtol=1e-5, atol=1e-5)


def test_it_gives_the_outputs_that_the_graph_has(tmp_path: Path) -> None:
    graph = zoo.resolve(str(write(tmp_path / "file.onnx", outputs=("a", "c", "y"))))
    both = graph.with_outputs([graph.outputs[2], graph.outputs[0]])
    every, found = outputs(original(graph)), outputs(original(both))
    assert (list(every), list(found)) == (["a", "c", "y"], ["y", "a"])
    for name, array in found.items():
        assert_close(array, every[name], rtol=0, atol=0)


def test_it_gives_no_inner_tensors(tmp_path: Path) -> None:
    graph = zoo.resolve(str(write(tmp_path / "file.onnx")))
    inner = graph.with_outputs([TensorSpec("c", (None, 5, 6, 6))])
    with pytest.raises(UnsupportedNetworkError, match="gives the outputs of its file only"):
        original(inner)


def test_a_network_made_in_code_has_no_file() -> None:
    with pytest.raises(UnsupportedNetworkError, match="plain9 was made in code"):
        original(zoo.build("plain9"))


def test_shipped_weights_are_a_file() -> None:
    graph = zoo.resolve("plain9")
    assert Path(graph.file).name == "plain9.onnx"
    backend = OnnxRuntimeBackend(graph, Settings("original", 1, 2))
    assert backend.describe().notes == ()


def test_it_tells_the_times_of_its_operators(tmp_path: Path) -> None:
    backend = original(zoo.resolve(str(write(tmp_path / "file.onnx", batch=1))))
    plain = outputs(backend)
    assert backend.start_profiling()
    profiled = outputs(backend)
    assert {node for profile in backend.stop_profiling() for node in profile.nodes} >= {"y_node"}
    assert_close(profiled["y"], plain["y"], rtol=1e-6, atol=1e-6)
    assert_close(outputs(backend)["y"], plain["y"], rtol=0, atol=0)

"""Every engine keeps denormals, or flushes them to zero, as its description says."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from closeness import assert_close
from conformance.backend_workers import BackendWorkers

from columnar_nn.model import onnx_io
from columnar_nn.model.graph import Graph, Node, TensorSpec

FILTERS = np.array([1e-20, 1e30, 1e-39], np.float32)
PIXELS = np.array([1e-20, 1e-39, 1e5], np.float32)
"""Of their products some are denormal, some have a denormal factor and are not."""

SMALLEST_NORMAL = np.finfo(np.float32).smallest_normal


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackendWorkers]:
    running = BackendWorkers(tmp_path_factory.mktemp("denormals"))
    yield running
    running.close()


def network() -> Graph:
    """Each filter scales the one channel by its middle."""
    weights = np.zeros((len(FILTERS), 1, 3, 3), np.float32)
    weights[:, 0, 1, 1] = FILTERS
    node = Node("conv", "Conv", ("image", "w"), ("y",), {"kernel_shape": [3, 3]})
    image, output = TensorSpec("image", (None, 1, 5, 5)), TensorSpec("y", (None,))
    graph = Graph("denormals", (node,), (image,), (output,), {"w": weights})
    return onnx_io.from_proto(onnx_io.to_proto(graph), Path())


def flushed(values: np.ndarray) -> np.ndarray:
    return np.where(np.abs(values) < SMALLEST_NORMAL, np.float32(0), values)


def products(denormals: str) -> np.ndarray:
    """[pixel, filter] as an engine that treats denormals so multiplies float32."""
    if denormals == "kept":
        return np.outer(PIXELS, FILTERS)
    if denormals == "flushed in weights":
        return np.outer(PIXELS, flushed(FILTERS))
    assert denormals == "flushed"
    return flushed(np.outer(flushed(PIXELS), flushed(FILTERS)))


def test_denormals_are_treated_as_described(workers: BackendWorkers, engine: str) -> None:
    images = np.broadcast_to(PIXELS.reshape(-1, 1, 1, 1), (3, 1, 5, 5))
    outputs = workers.infer(engine, network(), np.ascontiguousarray(images), len(PIXELS))
    expected = products(workers.describe(engine, threads=1)["denormals"])
    assert_close(outputs["y"][:, :, 1, 1], expected, rtol=0.02, atol=0)  # one may be in bfloat16


def test_the_probe_tells_them_apart() -> None:
    kept, weights, everywhere = map(products, ("kept", "flushed in weights", "flushed"))
    assert (kept != weights).any()
    assert (weights != everywhere).any()

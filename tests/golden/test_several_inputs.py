"""A bundle of a network of several inputs: created, verified, bisected."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from generated import normal
from golden.conftest import faulty

from adapters.base import input_arrays
from bench.golden import checks
from bench.golden.bisect import bisect
from bench.golden.bundle import Bundle, open_bundle
from bench.golden.create import create
from bench.golden.manifest import ColumnEntry, Creation
from bench.golden.verify import Comparing
from columnar_nn.data import tensor_column
from columnar_nn.errors import UsageError
from columnar_nn.model.graph import Graph, Node, TensorSpec

COMPARING = Comparing(checks.parse("elementwise"))


class Rows:
    """Photographs of 3 x 4 x 4 pixels, and a vector beside each."""

    fingerprint = "seed 5"

    def batches(self, num_samples: int, batch_size: int, start: int) -> Iterator[pa.RecordBatch]:
        pixels = np.random.default_rng(5).integers(0, 256, (num_samples, 3, 4, 4), np.uint8)
        arrays = {"photo": pixels, "state": normal(5, num_samples, 3)}
        for first in range(start, start + num_samples, batch_size):
            columns = [
                tensor_column.from_numpy(array[first : first + batch_size])
                for array in arrays.values()
            ]
            yield pa.RecordBatch.from_arrays(columns, names=list(arrays))


def network() -> Graph:
    """A photograph's mean colours, added to a dense layer of the vector, times the vector."""
    nodes = (
        Node("pool", "GlobalAveragePool", ("photo",), ("pool",)),
        Node("flatten", "Flatten", ("pool",), ("flatten",), {"axis": 1}),
        Node("dense", "MatMul", ("state", "matrix"), ("dense",)),
        Node("add", "Add", ("dense", "flatten"), ("add",)),
        Node("gate", "Mul", ("add", "state"), ("gate",)),
    )
    inputs = (TensorSpec("photo", (None, 3, 4, 4)), TensorSpec("state", (None, 3)))
    weights = {"matrix": normal(1, 3, 3)}
    return Graph("two", nodes, inputs, (TensorSpec("gate", (None, 3)),), weights)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    folder = tmp_path_factory.mktemp("golden") / "two"
    create(folder, network(), Rows(), Creation("two", "seed", 5, ("all",)))
    return open_bundle(folder)


def test_it_has_a_column_for_each_input(bundle: Bundle) -> None:
    assert bundle.manifest.data.columns == (
        ColumnEntry("photo", (3, 4, 4), "uint8"),
        ColumnEntry("state", (3,), "float32"),
    )
    (batch,) = bundle.images()
    (given,) = Rows().batches(5, 5, 0)
    assert batch.equals(given)
    photo, state = input_arrays(batch, bundle.graph())
    (expected,) = bundle.expected(["gate"])
    means = photo.astype(np.float64).mean(axis=(2, 3))
    gate = (state @ network().weights["matrix"].astype(np.float64) + means) * state
    np.testing.assert_allclose(expected["gate"], gate, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("backend", "culprits"), [("Correct", []), ("ForgottenResidual", ["add"])])
def test_operators_are_run_alone_on_what_they_read(
    bundle: Bundle, backend: str, culprits: list[str]
) -> None:
    found = bisect(bundle, *faulty(backend), COMPARING)
    assert [error.reason for error in found.operators] == [""] * 5
    assert [error.tensor.operator for error in found.culprits] == culprits
    assert found.verification.first_diverging_operator == (culprits[0] if culprits else None)


def test_images_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    graph = network()
    narrow = Graph(
        "two",
        graph.nodes[:2],
        (TensorSpec("photo", (None, 3, 4, 5)), graph.inputs[1]),
        (TensorSpec("flatten", (None, 3)),),
        {},
    )
    with pytest.raises(
        UsageError, match=r"takes \(3, 4, 5\) and \(3,\), the images are \(3, 4, 4\)"
    ):
        create(tmp_path / "two", narrow, Rows(), Creation("two", "seed", 5, ("all",)))

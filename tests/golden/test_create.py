"""Bundles are the same bytes every time, appear whole or not at all, and say what they are."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from golden.small_network import RandomImages, small_network
from threadpoolctl import threadpool_limits

from bench.golden.bundle import open_bundle
from bench.golden.create import create
from bench.golden.manifest import Creation, Manifest
from columnar_nn.errors import InvalidDataError, UsageError
from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.model.zoo import plain9


def make(folder: Path, count: int = 4, taps: tuple[str, ...] = ("all",)) -> Manifest:
    creation = Creation("small", "seed", count, taps)
    return create(folder, small_network(), RandomImages(), creation).manifest


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_same_inputs_give_the_same_bytes(tmp_path: Path) -> None:
    make(tmp_path / "first")
    with threadpool_limits(2):
        make(tmp_path / "second")
    first = contents(tmp_path / "first")
    assert first == contents(tmp_path / "second")
    assert len(first) == 4 + 8


def test_batches_do_not_change_the_tensors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path / "whole", count=5)
    monkeypatch.setattr("bench.golden.create.MAX_ROWS_PER_BATCH", 2)
    # Images drawn batch by batch would differ: the same ones are handed out in other batches.
    (images,) = RandomImages().batches(5, 5)

    class Sliced:
        fingerprint = "seed 3"

        def batches(
            self, num_samples: int, batch_size: int, start: int
        ) -> Iterator[pa.RecordBatch]:
            for first in range(start, start + num_samples, batch_size):
                yield images.slice(first, batch_size)

    folder = tmp_path / "parts"
    create(folder, small_network(), Sliced(), Creation("small", "seed", 5, ("all",)))
    names = [entry.name for entry in open_bundle(folder).manifest.tensors]
    (whole,) = open_bundle(tmp_path / "whole").expected(names)
    parts = list(open_bundle(folder).expected(names))
    assert [len(part["conv1"]) for part in parts] == [2, 2, 1]
    for name in names:
        np.testing.assert_array_equal(np.concatenate([p[name] for p in parts]), whole[name])


def test_manifest_records_tensors_and_versions(tmp_path: Path) -> None:
    manifest = make(tmp_path / "small", taps=("outputs", "conv2"))
    assert [entry.name for entry in manifest.tensors] == ["conv2", "logits"]
    assert [entry.is_output for entry in manifest.tensors] == [False, True]
    assert [entry.depth for entry in manifest.tensors] == [2, 3]
    assert [operator.op_type for operator in manifest.operators][:3] == ["Conv", "Relu", "MaxPool"]
    assert manifest.versions["numpy"] == np.__version__
    (expected,) = open_bundle(tmp_path / "small").expected(["conv2", "logits"])
    for entry in manifest.tensors:
        assert entry.largest == float(np.abs(expected[entry.name]).max())
        assert entry.shape == expected[entry.name].shape[1:]
        assert entry.non_finite == 0


def test_truth_values_inside_a_network_are_no_expected_tensors(tmp_path: Path) -> None:
    graph = small_network()
    nodes = (
        Node("mask", "Greater", ("image", "half"), ("mask",)),
        Node("kept", "Where", ("mask", "image", "half"), ("kept",)),
    )
    output = TensorSpec("kept", graph.inputs[0].shape)
    graph = Graph("masked", nodes, graph.inputs, (output,), {"half": np.float32(0.5)})
    creation = Creation("masked", "seed", 4, ("all",))
    manifest = create(tmp_path / "masked", graph, RandomImages(), creation).manifest
    assert [entry.name for entry in manifest.tensors] == ["kept"]


def test_existing_folder_is_left_alone(tmp_path: Path) -> None:
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "notes").write_text("keep")
    with pytest.raises(UsageError, match="exists already"):
        make(folder)
    assert contents(tmp_path) == {"mine/notes": b"keep"}


def test_nothing_is_left_of_a_failure(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="gave 3 images, 4 were asked for"):
        create(
            tmp_path / "small",
            small_network(),
            RandomImages(available=3),
            Creation("small", "seed", 4, ("all",)),
        )
    with pytest.raises(UsageError, match="cannot tap conv9"):
        make(tmp_path / "small", taps=("conv9",))
    assert list(tmp_path.iterdir()) == []


def test_whole_numbers_are_said_to_be_no_taps(tmp_path: Path) -> None:
    flatten = Node("flatten", "Flatten", ("image",), ("flat",), {"axis": 1})
    place = Node("place", "ArgMax", ("flat",), ("y",), {"axis": 1, "keepdims": 0})
    image, output = TensorSpec("image", (None, 3, 8, 8)), TensorSpec("y", (None,))
    graph = Graph("place", (flatten, place), (image,), (output,), {})
    words = r"cannot tap y \(only float32 with a row an image can be\): choose from all, out"
    with pytest.raises(UsageError, match=words):
        create(tmp_path / "b", graph, RandomImages(), Creation("place", "seed", 1, ("outputs",)))


def test_missing_parent_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nowhere"):
        make(tmp_path / "nowhere" / "small")


def test_images_that_do_not_fit_the_network_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"plain9 takes \(3, 32, 32\), the images are \(3, 8, 8\)"):
        create(
            tmp_path / "plain9", plain9(), RandomImages(), Creation("plain9", "seed", 1, ("all",))
        )
    assert list(tmp_path.iterdir()) == []


def test_non_finite_truth_is_counted(tmp_path: Path) -> None:
    graph = small_network()
    graph.weights["conv2.bias"][0] = np.inf
    create(tmp_path / "small", graph, RandomImages(), Creation("small", "seed", 2, ("all",)))
    entries = open_bundle(tmp_path / "small").manifest
    assert entries.tensor("conv2").non_finite == 2 * 16
    assert np.isfinite(entries.tensor("conv2").largest)
    assert entries.tensor("pool").non_finite == 0

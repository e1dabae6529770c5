"""CIFAR-100, and the Python versions: pickles that pickle itself has written, in CIFAR's layout."""

from __future__ import annotations

import io
import pickle
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.data.dataset import Dataset, open_dataset
from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidDataError

ROWS = 7
RANDOM = np.random.default_rng(0)
PIXELS = RANDOM.integers(0, 256, (6, ROWS, 3072), dtype=np.uint8)
TENS, HUNDREDS = RANDOM.integers(0, 10, (6, ROWS)), RANDOM.integers(0, 100, (2, ROWS))
NAMES = [f"kind{label}" for label in range(100)]
PYTHON_2 = 2
"""The protocol of CIFAR's own files."""


def as_bytes(held: dict[str, Any]) -> dict[bytes, Any]:
    return {key.encode(): value for key, value in held.items()}


def cifar10_python(folder: Path, protocol: int) -> Path:
    folder.mkdir()
    for file, name in enumerate(["test_batch", *(f"data_batch_{n}" for n in range(1, 6))]):
        held = {
            "batch_label": b"some batch",
            "labels": TENS[file].tolist(),
            "data": PIXELS[file],
            "filenames": [b"some_%d.png" % row for row in range(ROWS)],
        }
        (folder / name).write_bytes(pickle.dumps(as_bytes(held), protocol))
    names = {"num_cases_per_batch": ROWS, "label_names": NAMES[:10], "num_vis": 3072}
    (folder / "batches.meta").write_bytes(pickle.dumps(names, protocol))
    return folder


def cifar100_python(folder: Path, protocol: int) -> Path:
    folder.mkdir()
    for file, name in enumerate(["test", "train"]):
        held = {
            "filenames": [b"some.png"] * ROWS,
            "batch_label": b"some batch",
            "fine_labels": HUNDREDS[file].tolist(),
            "coarse_labels": [3] * ROWS,
            "data": PIXELS[file],
        }
        (folder / name).write_bytes(pickle.dumps(as_bytes(held), protocol))
    names = {b"fine_label_names": NAMES, b"coarse_label_names": NAMES[:20]}
    (folder / "meta").write_bytes(pickle.dumps(names, protocol))
    return folder


def cifar100_binary(folder: Path) -> Path:
    folder.mkdir()
    for file, name in enumerate(["test.bin", "train.bin"]):
        rows = zip(HUNDREDS[file].tolist(), PIXELS[file], strict=True)
        content = b"".join(bytes([3, label]) + row.tobytes() for label, row in rows)
        (folder / name).write_bytes(content)
    (folder / "fine_label_names.txt").write_text("\n".join(NAMES))
    return folder


def archived(folder: Path) -> Path:
    path = folder.with_suffix(".tar.gz")
    with tarfile.open(path, "w:gz") as archive:
        archive.add(folder, folder.name)
    return path


def held(dataset: Dataset) -> tuple[list[int], np.ndarray]:
    (batch,) = dataset.batches(dataset.num_rows, dataset.num_rows)
    images = tensor_column.to_numpy(batch.column("image"))
    return batch.column("label").to_pylist(), images.reshape(len(images), -1)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("packed", [False, True])
def test_cifar10s_pickles_of_every_protocol(protocol: int, packed: bool, tmp_path: Path) -> None:
    folder = cifar10_python(tmp_path / "cifar-10-batches-py", protocol)
    path = str(archived(folder) if packed else folder)
    test, train = open_dataset(path), open_dataset(path, split="train")
    assert test.kind == "CIFAR-10, Python version"
    assert test.classes == tuple(NAMES[:10])
    labels, pixels = held(test)
    assert labels == TENS[0].tolist()
    assert np.array_equal(pixels, PIXELS[0])
    labels, pixels = held(train)
    assert labels == TENS[1:].reshape(-1).tolist()
    assert np.array_equal(pixels, PIXELS[1:].reshape(-1, 3072))


@pytest.mark.parametrize("make", [cifar100_binary, cifar100_python])
def test_cifar100_has_a_hundred_classes(make: Any, tmp_path: Path) -> None:
    folder = make(tmp_path / "some", *([PYTHON_2] if make is cifar100_python else []))
    for path in (folder, archived(folder)):
        for file, split in enumerate(("test", "train")):
            dataset = open_dataset(str(path), split=split)
            assert dataset.kind.startswith("CIFAR-100, ")
            assert dataset.classes == tuple(NAMES)
            labels, pixels = held(dataset)
            assert labels == HUNDREDS[file].tolist()
            assert np.array_equal(pixels, PIXELS[file])


def test_both_versions_have_the_same_fingerprint(tmp_path: Path) -> None:
    paths = (cifar100_binary(tmp_path / "b"), cifar100_python(tmp_path / "p", PYTHON_2))
    first, second = (open_dataset(str(path)) for path in paths)
    assert first.fingerprint == second.fingerprint


@pytest.mark.parametrize("file", ["test_batch", "data_batch_3"])
def test_a_single_pickle_is_read_whatever_the_split(file: str, tmp_path: Path) -> None:
    folder = cifar10_python(tmp_path / "some", PYTHON_2)
    assert open_dataset(str(folder / file), split="train").num_rows == ROWS


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({b"data": PIXELS[0].astype(np.float32)}, "other arrays than those of bytes"),
        ({b"data": PIXELS[0][:, :3000]}, "no data of 3072 bytes"),
        ({b"data": [1, 2]}, "no data of 3072 bytes"),
        ({b"labels": [1] * (ROWS - 1)}, "no labels, a list with one for each image"),
        ({b"labels": [1] * (ROWS - 1) + [10]}, "label of image 6 is not one of 0 to 9"),
        ({b"labels": [True] * ROWS}, "label of image 0 is not"),
    ],
)
def test_a_pickle_that_is_not_cifars_is_one_line(
    changes: dict[bytes, Any], cause: str, tmp_path: Path
) -> None:
    folder = cifar10_python(tmp_path / "some", PYTHON_2)
    good = pickle.loads((folder / "test_batch").read_bytes())
    (folder / "test_batch").write_bytes(pickle.dumps({**good, **changes}, PYTHON_2))
    with pytest.raises(InvalidDataError, match=cause):
        open_dataset(str(folder))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    folder = cifar10_python(tmp_path / "some", PYTHON_2)
    (folder / "data_batch_2").unlink()
    with pytest.raises(InvalidDataError, match="no data_batch_2;"):
        open_dataset(str(folder), split="train")


def test_an_archive_of_something_else_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "x.tar.gz"
    with tarfile.open(path, "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("some/readme"), io.BytesIO())
    with pytest.raises(InvalidDataError, match=r"no test_batch\.bin in it"):
        open_dataset(str(path))

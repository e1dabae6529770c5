"""Data sets by name or path: what they say of themselves, and cycling through them."""

import hashlib
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from cifar10_files import RECORD_BYTES, records, split_files, write_archive, write_folder
from closeness import assert_close
from pyarrow import parquet

from adapters.base import Settings, Stopwatch
from adapters.columnar_backend import ColumnarBackend
from bench.data.dataset import open_dataset, write_ipc
from bench.data.readers import PHOTO10
from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidDataError, InvalidModelError, UsageError
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph, Node, Shape, TensorSpec


def images(batches: list[pa.RecordBatch]) -> np.ndarray:
    return np.concatenate([tensor_column.to_numpy(b.column("image")) for b in batches])


def test_photo10_is_a_thousand_images_a_hundred_of_each_class() -> None:
    dataset = open_dataset("photo10")
    assert (dataset.name, dataset.num_rows) == ("photo10", 1000)
    assert dataset.label_counts == (100,) * 10
    assert dataset.classes[:2] == ("astronaut", "chelsea")
    assert repr(dataset) == "<Dataset photo10: 1,000 images of 3x32x32, 10 classes>"
    assert dataset.num_bytes == (PHOTO10 / "test_batch.bin").stat().st_size


def test_every_photograph_of_photo10_is_attributed() -> None:
    attribution = (PHOTO10 / "ATTRIBUTION.md").read_text(encoding="utf-8")
    for label, name in enumerate(open_dataset("photo10").classes):
        assert f"| {label} | {name} |" in attribution


def test_fingerprint_of_a_file_is_its_sha256(tmp_path: Path) -> None:
    file = tmp_path / "some.bin"
    file.write_bytes(records(600))
    dataset = open_dataset(str(file), split="train")
    assert dataset.fingerprint == hashlib.sha256(file.read_bytes()).hexdigest()
    assert dataset.split is None


@pytest.mark.parametrize("split", ["test", "train"])
def test_a_folder_and_its_archive_are_the_same_data(split: str, tmp_path: Path) -> None:
    files = split_files(5)
    folder = open_dataset(str(write_folder(tmp_path / "f", files)), split=split)
    archive = open_dataset(str(write_archive(tmp_path / "a.tgz", files)), split=split)
    assert folder.fingerprint == archive.fingerprint
    assert folder.num_rows == archive.num_rows == (5 if split == "test" else 25)
    assert folder.split == archive.split == split


@pytest.mark.parametrize("batch_size", [1, 4, 7, 10, 100])
def test_more_samples_than_rows_cycle_while_ids_go_on(batch_size: int, tmp_path: Path) -> None:
    file = tmp_path / "some.bin"
    file.write_bytes(records(7))
    dataset = open_dataset(str(file))
    batches = list(dataset.batches(23, batch_size))
    assert [i for b in batches for i in b.column("id").to_pylist()] == list(range(23))
    assert all(b.num_rows == batch_size for b in batches[:-1])
    expected = np.frombuffer(file.read_bytes(), np.uint8).reshape(-1, RECORD_BYTES)
    rows = expected[np.arange(23) % 7]
    assert np.array_equal(images(batches).reshape(23, -1), rows[:, 1:])
    assert np.concatenate([b.column("label").to_numpy() for b in batches]).tolist() == (
        rows[:, 0].tolist()
    )


def test_fewer_samples_than_rows_are_the_first_ones() -> None:
    dataset = open_dataset("photo10")
    (all_rows,) = dataset.batches(1000, 1000)
    first = list(dataset.batches(30, 16))
    assert [batch.num_rows for batch in first] == [16, 14]
    assert np.array_equal(images(first), images([all_rows.slice(0, 30)]))
    assert list(dataset.batches(0, 16)) == []


@pytest.mark.parametrize("start", [1, 300, 999, 2300])
def test_rows_from_a_later_one_on_are_the_same(start: int) -> None:
    dataset = open_dataset("photo10")
    (later,) = dataset.batches(40, 40, start)
    (all_rows,) = dataset.batches(start + 40, start + 40)
    assert later.equals(all_rows.slice(start, 40))
    pieces = list(dataset.batches(40, 16, start))
    assert [batch.num_rows for batch in pieces] == [16, 16, 8]
    assert np.array_equal(images(pieces), images([later]))


def test_arrow_file_maps_back_to_the_same_batches(tmp_path: Path) -> None:
    dataset = open_dataset("synthetic", 50)
    write_ipc(dataset, 120, 32, tmp_path / "images.arrow")
    with pa.memory_map(str(tmp_path / "images.arrow")) as source:
        before = pa.total_allocated_bytes()
        reader = pa.ipc.open_file(source)
        stored = [reader.get_batch(index) for index in range(reader.num_record_batches)]
        assert [batch.num_rows for batch in stored] == [32, 32, 32, 24]
        assert pa.total_allocated_bytes() - before < 10_000, "pixels are mapped, not copied"
        for batch, expected in zip(stored, dataset.batches(120, 32), strict=True):
            assert batch.equals(expected)


def test_synthetic_is_as_large_as_asked_and_always_the_same() -> None:
    small, large = open_dataset("synthetic", 300), open_dataset("synthetic", 1000)
    assert (small.num_rows, large.num_rows) == (300, 1000)
    assert small.fingerprint == open_dataset("synthetic", 300).fingerprint != large.fingerprint
    assert np.array_equal(images(list(small.batches(300, 64))), images(list(large.batches(300, 7))))
    assert min(large.label_counts) > 50


def test_synthetic_classes_can_be_told_apart() -> None:
    (train,), (test,) = (open_dataset("synthetic", n).batches(n, n) for n in (1000, 1200))
    pixels = images([train]).reshape(1000, -1).astype(np.float64)
    means = np.stack(
        [pixels[train.column("label").to_numpy() == c].mean(axis=0) for c in range(10)]
    )
    unseen = images([test])[1000:].reshape(200, -1).astype(np.float64)
    nearest = ((unseen[:, None] - means) ** 2).sum(axis=2).argmin(axis=1)
    assert (nearest == test.column("label").to_numpy()[1000:]).mean() > 0.95


def network_taking(*shapes: Shape) -> Graph:
    inputs = tuple(TensorSpec(f"input{index}", shape) for index, shape in enumerate(shapes))
    return Graph("some_network", (), inputs, (), {})


@pytest.mark.parametrize("size", [(224, 224), (64, 48), (20, 33), (1, 1)])
def test_images_take_the_size_of_the_network(size: tuple[int, int]) -> None:
    torch = pytest.importorskip("torch")
    dataset = open_dataset("photo10")
    resized = dataset.fitted_to(network_taking((None, 3, *size)))
    assert resized.name == f"photo10 at 3x{size[0]}x{size[1]}"
    assert resized.fingerprint == dataset.fingerprint
    original, made = (list(data.batches(5, 3)) for data in (dataset, resized))
    assert {batch.schema for batch in made} == {resized.schema}
    for column in ("id", "label"):
        assert [b.column(column) for b in made] == [b.column(column) for b in original]
    expected = torch.nn.functional.interpolate(
        torch.from_numpy(images(original)), size, mode="nearest-exact"
    )
    assert np.array_equal(images(made), expected.numpy())


def test_other_numbers_of_channels_repeat_the_colours() -> None:
    dataset = open_dataset("photo10")
    grey, five = (dataset.fitted_to(network_taking((None, c, 32, 32))) for c in (1, 5))
    original = images(list(dataset.batches(4, 4)))
    assert np.array_equal(images(list(grey.batches(4, 4))), original[:, :1])
    assert np.array_equal(images(list(five.batches(4, 4))), original[:, [0, 1, 2, 0, 1]])


def test_networks_with_channels_last_get_them_last() -> None:
    dataset = open_dataset("photo10")
    first, last = (dataset.fitted_to(network_taking((None, *s))) for s in ((3, 8, 9), (8, 9, 3)))
    expected = images(list(first.batches(4, 4))).transpose(0, 2, 3, 1)
    assert np.array_equal(images(list(last.batches(4, 4))), expected)


def test_a_network_of_the_data_s_own_size_gets_the_data_itself() -> None:
    dataset = open_dataset("photo10")
    assert dataset.fitted_to(zoo.build("plain9")) is dataset


@pytest.mark.parametrize(
    ("shapes", "why"),
    [
        (
            [(None, 3, None, None)],
            r"takes \?x3x\?x\?: give the sizes that are free with --input-shape",
        ),
        ([(None, 3, 8, 8), (None, 3, 8, 8)], "takes input0, input1, and photo10 is one input"),
        ([], "takes nothing, and photo10 is one input"),
    ],
    ids=["size unknown", "two inputs", "no input"],
)
def test_networks_that_do_not_take_one_known_input_are_refused(
    shapes: list[Shape], why: str
) -> None:
    with pytest.raises(InvalidModelError, match=why):
        open_dataset("photo10").fitted_to(network_taking(*shapes))


def test_rows_that_are_no_images_are_not_made_of_images() -> None:
    with pytest.raises(InvalidModelError, match="takes 10, and a row of photo10 is 3x32x32: give"):
        open_dataset("photo10").fitted_to(network_taking((None, 10)))


ROWS = np.random.default_rng(0).standard_normal((9, 6)).astype(np.float32)


@pytest.mark.parametrize("shape", [(6,), (1, 6), (6, 1)])
@pytest.mark.parametrize("form", ["npy", "npz", "parquet"])
def test_rows_of_any_shape_are_given_as_they_are(
    form: str, shape: tuple[int, ...], tmp_path: Path
) -> None:
    path, rows = tmp_path / f"some.{form}", ROWS.reshape(9, *shape)
    if form == "parquet":
        table = pa.table({"image": tensor_column.from_numpy(rows), "label": [0, 1, 2] * 3})
        parquet.write_table(table, path)
    elif form == "npz":
        np.savez(path, x=ROWS, y=np.array([0, 1, 2] * 3))
    else:
        np.save(path, ROWS)
    dataset = open_dataset(str(path)).fitted_to(network_taking((None, *shape)))
    (batch,) = dataset.batches(9, 9)
    assert np.array_equal(tensor_column.to_numpy(batch.column("image")), rows)


@pytest.mark.parametrize("shape", [(6,), (4, 6), (2, 3, 4, 5)])
def test_synthetic_rows_have_any_shape(shape: tuple[int, ...]) -> None:
    dataset = open_dataset("synthetic", 300).fitted_to(network_taking((None, *shape)))
    found = images(list(dataset.batches(300, 64)))
    assert found.shape == (300, *shape)
    assert 100 < found.mean() < 155
    longer = open_dataset("synthetic", 600).fitted_to(network_taking((None, *shape)))
    assert np.array_equal(images(list(longer.batches(300, 7))), found)


def test_the_engine_runs_what_takes_no_image() -> None:
    weights = {"w": np.random.default_rng(1).standard_normal((6, 4)).astype(np.float32)}
    graph = Graph(
        "dense",
        (Node("dense", "Gemm", ("x", "w"), ("y",), {}), Node("relu", "Relu", ("y",), ("z",), {})),
        (TensorSpec("x", (None, 6)),),
        (TensorSpec("z", (None, 4)),),
        weights,
    )
    dataset = open_dataset("synthetic", 50).fitted_to(graph)
    backend = ColumnarBackend(graph, Settings("pipeline/auto", 1, 32))
    found = [b.column("z") for b in backend.infer(dataset.batches(50, 32), Stopwatch())]
    rows = images(list(dataset.batches(50, 32))).astype(np.float64) / 255
    expected = np.maximum(rows @ weights["w"], 0)
    outputs = np.concatenate([tensor_column.to_numpy(column) for column in found])
    assert_close(outputs, expected.astype(np.float32), rtol=1e-5, atol=1e-5)


def test_wrong_specs_are_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidDataError, match="nowhere: no such file"):
        open_dataset(str(tmp_path / "nowhere"))
    with pytest.raises(UsageError, match="0 samples"):
        open_dataset("synthetic", 0)
    with pytest.raises(UsageError, match="'all'"):
        open_dataset("synthetic", split="all")

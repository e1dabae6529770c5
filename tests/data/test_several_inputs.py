"""What several inputs of a network are given: arrays and columns of their names, or noise."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from bench.compare.truth import write_compared
from bench.data.dataset import Dataset, dataset_for, write_ipc
from bench.data.preparation import Preparation
from bench.verdict.noise import DIMMED
from columnar_nn.data import tensor_column
from columnar_nn.errors import CnnBenchError
from columnar_nn.model.graph import Graph, Shape, TensorSpec

RANDOM = np.random.default_rng(5)
PIXELS = RANDOM.integers(0, 256, (9, 3, 4, 6), np.uint8)
NUMBERS = RANDOM.standard_normal((9, 5), np.float32)
AGES = RANDOM.standard_normal(9).astype(np.float32)
LABELS = np.arange(9) % 3


def network(**shapes: Shape) -> Graph:
    inputs = tuple(TensorSpec(name, (None, *shape)) for name, shape in shapes.items())
    return Graph("some_network", (), inputs, (), {})


GRAPH = network(pixels=(3, 4, 6), numbers=(5,), age=(1,))


def write(path: Path, **changes: Any) -> str:
    """The rows as .npz, or as Parquet: tensors, lists and numbers; None leaves one out."""
    rows = {"y": LABELS, "age": AGES, "numbers": NUMBERS, "pixels": PIXELS, **changes}
    rows = {name: array for name, array in rows.items() if array is not None}
    if path.suffix == ".npz":
        np.savez(path, **rows)
        return str(path)
    columns = {
        name: tensor_column.from_numpy(array)
        if isinstance(array, np.ndarray) and array.ndim > 2
        else pa.array(list(array))
        for name, array in rows.items()
    }
    parquet.write_table(pa.table(columns), path, row_group_size=4)
    return str(path)


def column(batches: list[pa.RecordBatch], name: str) -> np.ndarray:
    return np.concatenate([tensor_column.to_numpy(batch.column(name)) for batch in batches])


@pytest.mark.parametrize("suffix", [".npz", ".parquet"])
def test_each_gets_the_rows_of_its_name(suffix: str, tmp_path: Path) -> None:
    dataset = dataset_for(GRAPH, write(tmp_path / f"rows{suffix}"))
    assert dataset.schema.names == ["id", "label", "pixels", "numbers", "age"]
    assert dataset.num_rows == 9
    assert dataset.classes == ("0", "1", "2")
    assert dataset.image_bytes == PIXELS[0].nbytes + NUMBERS[0].nbytes + 4
    batches = list(dataset.batches(20, 4, start=2))
    rows = (np.arange(20) + 2) % 9
    assert [batch.num_rows for batch in batches] == [4] * 5
    assert {batch.schema for batch in batches} == {dataset.schema}
    assert np.array_equal(column(batches, "pixels"), PIXELS[rows])
    assert np.array_equal(column(batches, "numbers"), NUMBERS[rows])
    assert np.array_equal(column(batches, "age"), AGES[rows, np.newaxis])
    labels = np.concatenate([batch.column("label").to_numpy() for batch in batches])
    assert np.array_equal(labels, LABELS[rows])


def test_images_among_them_are_resized_and_normalized(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.npz")
    normalized = Preparation.parse(None, None, "0.5", "0.25")
    dataset = dataset_for(network(pixels=(3, 2, 3), numbers=(5,)), path, preparation=normalized)
    assert dataset.name == "rows.npz (pixels at 3x2x3 (mean 0.5, std 0.25); numbers)"
    (batch,) = dataset.batches(9, 9)
    nearest = PIXELS[:, :, 1::2, 1::2] / np.float32(255)
    assert np.allclose(column([batch], "pixels"), (nearest - 0.5) / 0.25, atol=1e-6)
    assert np.array_equal(column([batch], "numbers"), NUMBERS)


def test_every_change_of_a_row_is_another_fingerprint(tmp_path: Path) -> None:
    fingerprints = [
        dataset_for(GRAPH, write(tmp_path / f"{number}.npz", **changes)).fingerprint
        for number, changes in enumerate(
            [{}, {"age": AGES + 1}, {"pixels": PIXELS[::-1]}, {"numbers": NUMBERS * 2}, {}]
        )
    ]
    assert fingerprints[0] == fingerprints[-1]
    assert len(set(fingerprints)) == 4


def test_noise_of_each_is_its_own_and_always_the_same() -> None:
    graph = network(left=(3, 8, 8), right=(3, 8, 8), numbers=(7,))

    def made(samples: int) -> tuple[Dataset, list[pa.RecordBatch]]:
        dataset = dataset_for(graph, "synthetic", samples)
        return dataset, list(dataset.batches(samples, 32))

    (small, first), (large, more) = made(40), made(300)
    assert (small.num_rows, large.num_rows) == (40, 300)
    for name in graph.columns:
        assert np.array_equal(column(first, name), column(more, name)[:40])
        assert 120 < column(more, name).mean() < 135
    left, right = column(more, "left"), column(more, "right")
    assert abs(np.corrcoef(left.ravel(), right.ravel())[0, 1]) < 0.02


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ("photo10", "photo10 gives one input, and the network takes pixels, numbers, age: give"),
        ({"age": None}, "no (array|column) age, which the network takes"),
        ({"age": AGES[:8]}, "9 rows of pixels and 8 of age: they must be as many"),
        ({"numbers": RANDOM.standard_normal((9, 4), np.float32)}, "takes 5, and a row of .* is 4"),
        ({"numbers": NUMBERS.astype(np.float64)}, "numbers.npy: values of type <f8: save uint8"),
    ],
)
def test_what_cannot_be_given_is_refused_in_a_line(data: Any, why: str, tmp_path: Path) -> None:
    spec = data if isinstance(data, str) else write(tmp_path / "rows.npz", **data)
    with pytest.raises(CnnBenchError, match=why) as refused:
        dataset_for(GRAPH, spec)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"age": None}, "no column age, which the network takes"),
        ({"age": [None, *AGES[1:]]}, "row 0: .* give a value of each input in every row"),
        ({"numbers": [NUMBERS[0][:4], *NUMBERS[1:]]}, "row 0: the image has 4 values instead of 5"),
        ({"age": AGES.astype(np.float64)}, "column age holds double values: cast them to float32"),
        ({"age": list("abcdefghi")}, "column age is string"),
    ],
)
def test_tables_that_lack_something_are_refused(
    changes: dict[str, Any], why: str, tmp_path: Path
) -> None:
    with pytest.raises(CnnBenchError, match=why) as refused:
        dataset_for(GRAPH, write(tmp_path / "rows.parquet", **changes))
    assert "\n" not in str(refused.value)


def test_rows_without_a_label_are_left_out_of_every_input(tmp_path: Path) -> None:
    path = write(tmp_path / "rows.parquet", y=[None if i == 3 else i % 3 for i in range(9)])
    dataset = dataset_for(GRAPH, path)
    assert dataset.left_out == {"row 3": "it has no label"}
    (batch,) = dataset.batches(8, 8)
    for name, rows in (("pixels", PIXELS), ("numbers", NUMBERS), ("age", AGES[:, np.newaxis])):
        assert np.array_equal(column([batch], name), np.delete(rows, 3, axis=0))


def test_an_input_called_as_the_rows_own_columns_is_refused() -> None:
    with pytest.raises(CnnBenchError, match="an input called label, as the rows' own column is"):
        dataset_for(network(label=(4,), pixels=(3, 4, 6)), "synthetic", 10)


def test_a_mean_of_no_image_is_refused(tmp_path: Path) -> None:
    prepared = Preparation.parse(None, None, "0.5", None)
    with pytest.raises(CnnBenchError, match="--mean and --std are of images"):
        dataset_for(
            network(numbers=(5,), age=(1,)), write(tmp_path / "rows.npz"), preparation=prepared
        )


def test_all_inputs_are_dimmed_where_noise_is_measured(tmp_path: Path) -> None:
    dataset = dataset_for(GRAPH, write(tmp_path / "rows.npz"))
    write_ipc(dataset, 9, 4, tmp_path / "rows.arrow")
    chosen = np.array([1, 2, 7])
    write_compared(tmp_path / "rows.arrow", chosen, tmp_path / "compared.arrow", 2)
    table = pa.ipc.open_file(tmp_path / "compared.arrow").read_all()
    found = tensor_column.to_numpy(table.column("numbers").combine_chunks())
    dimmed = (NUMBERS[chosen] * DIMMED).astype(np.float32)
    assert np.array_equal(found, np.concatenate([NUMBERS[chosen], dimmed]))

"""Rows whose outputs are known, and outputs held against the reference's."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.compare import truth as truths
from bench.compare.truth import Overrides, Truth
from bench.verdict.status import FAILED, MISTRUSTED, PASSED
from bench.workers.inputs import outputs_of, read
from columnar_nn.data import tensor_column


def write(path: Path, batch_size: int, **columns: np.ndarray) -> None:
    table = pa.table({name: tensor_column.from_numpy(array) for name, array in columns.items()})
    with pa.ipc.new_file(str(path), table.schema) as writer:
        writer.write_table(table, max_chunksize=batch_size)


def test_rows_are_copied_in_batches_and_then_dimmed(tmp_path: Path) -> None:
    images = np.arange(20 * 12, dtype=np.uint8).reshape(20, 3, 2, 2)
    write(tmp_path / "all", 7, image=images)
    rows = np.array([0, 6, 7, 13, 19])
    truths.write_compared(tmp_path / "all", rows, tmp_path / "some", 2)
    copied = read(tmp_path / "some")
    assert [batch.num_rows for batch in copied.to_batches()] == [2, 2, 1] * 2
    both = outputs_of(tmp_path / "some")["image"]
    np.testing.assert_array_equal(both[:5], images[rows])
    np.testing.assert_array_equal(both[5:], images[rows].astype(np.float64) * 7 // 8)


def truth(tmp_path: Path, overrides: Overrides | None = None, **outputs: np.ndarray) -> Truth:
    """The truth of three rows of outputs that float32 gets right to a few last places."""
    rows = np.array([0, 2, 5])
    known = {name: array[rows] for name, array in outputs.items()}
    plain = {
        name: np.concatenate([array * np.float32(1 + 3e-7), array * np.float32(0.9)])
        for name, array in known.items()
    }
    write(tmp_path / "reference", 2, **known)
    write(tmp_path / "single", 2, **plain)
    return Truth.load(
        rows,
        1,
        tmp_path / "reference",
        {"float32": tmp_path / "single"},
        overrides or Overrides(),
    )


def test_only_the_rows_of_a_cell_that_have_a_reference_count(tmp_path: Path) -> None:
    logits = np.random.default_rng(0).standard_normal((6, 10)).astype(np.float32)
    known = truth(tmp_path, logits=logits)
    assert known.compare({"logits": logits}).parity.rows == 3
    assert known.compare({"logits": logits[:5]}).parity.rows == 2
    spoilt = logits.copy()
    spoilt[4] += 1  # has no reference
    assert known.compare({"logits": spoilt}).status == PASSED
    spoilt[5] += 1
    assert known.compare({"logits": spoilt}).status == FAILED


def test_the_tolerance_follows_the_size_of_the_reference(tmp_path: Path) -> None:
    logits = np.random.default_rng(0).standard_normal((6, 10)).astype(np.float32)
    for scale in (1.0, 1000.0):
        scaled = (logits * scale).astype(np.float32)
        known = truth(tmp_path, logits=scaled)
        largest = np.abs(scaled[[0, 2, 5]]).max()
        assert known.tolerances["float32"]["logits"].atol == truths.RELATIVE_ATOL * float(largest)
        noise = np.float32(1e-6 * largest)
        assert known.compare({"logits": scaled + noise}).status == PASSED
        # What a bfloat16 backend would leave.
        assert known.compare({"logits": scaled + 2e4 * noise}).status == FAILED


def test_a_tolerance_of_the_user_is_all_that_is_asked(tmp_path: Path) -> None:
    logits = np.random.default_rng(0).standard_normal((6, 10)).astype(np.float32)
    rough = logits + np.float32(1e-3)
    assert truth(tmp_path, logits=logits).compare({"logits": rough}).status == FAILED
    loose = truth(tmp_path, Overrides(atol={"logits": 2e-3}), logits=logits)
    assert loose.compare({"logits": rough}).status == PASSED
    assert loose.compare({"logits": rough + np.float32(2e-3)}).status == FAILED
    assert loose.context()["tolerances"]["logits"] == {"atol": 2e-3, "rtol": 1e-4, "explicit": True}
    # With a tolerance larger than all that varies, the outputs tell nothing.
    looser = truth(tmp_path, Overrides(atol={"logits": 10.0}), logits=logits)
    assert looser.compare({"logits": rough}).status == MISTRUSTED


def test_of_several_outputs_the_worst_counts(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    first, second = random.standard_normal((2, 6, 4)).astype(np.float32)
    known = truth(tmp_path, first=first, second=second)
    assert known.compare({"first": first, "second": second}).status == PASSED
    assert known.compare({"first": first, "second": second[:, ::-1]}).status == FAILED
    assert known.compare({"first": first[:, ::-1], "second": second}).status == FAILED


def test_accuracy() -> None:
    logits = np.eye(4, dtype=np.float32)
    labels = np.array([0, 1, 3, 3, 9], np.uint8)[:4]
    assert truths.accuracy({"logits": logits}, labels) == 0.75
    assert truths.accuracy({"logits": logits[:1]}, labels) == 1.0
    assert truths.accuracy({"a": logits, "b": logits}, labels) is None
    assert truths.accuracy({"map": logits.reshape(4, 2, 2)}, labels) is None
    assert truths.accuracy({"logits": logits}, np.array([0, 1, 9, 9])) is None
    assert truths.accuracy({"logits": logits}, None) is None


def test_accuracy_among_the_five_largest() -> None:
    random = np.random.default_rng(0)
    logits = random.standard_normal((500, 8)).astype(np.float32)
    labels = random.integers(0, 8, 500)
    ranks = [sum(row > row[label]) for row, label in zip(logits, labels, strict=True)]
    for top in (1, 5):
        expected = np.mean([rank < top for rank in ranks])
        assert truths.accuracy({"logits": logits}, labels, top) == pytest.approx(float(expected))
    assert truths.accuracy({"logits": logits[:, :5]}, labels % 5, top=5) is None


@given(
    st.lists(st.integers(1, 3000), min_size=1, max_size=5, unique=True),
    st.integers(4, 32),
    st.integers(32, 4000),
)
def test_rows_to_compare_reach_both_ends_of_every_cell(
    samples: list[int], checked: int, limit: int
) -> None:
    rows = truths.rows_to_compare(samples, checked, limit)
    assert (np.diff(rows) > 0).all()
    assert rows[-1] == max(*samples, checked) - 1
    assert {*range(checked), *(count - 1 for count in samples)} <= set(rows.tolist())
    assert len(rows) <= checked + max(limit, 2 * len(samples))


@given(
    st.lists(st.integers(1, 400), min_size=1, max_size=5, unique=True),
    st.integers(16, 4000),
    st.integers(2, 40),
)
def test_rows_of_a_tied_network_are_whole_batches(
    batches: list[int], limit: int, size: int
) -> None:
    rows = truths.rows_to_compare([count * size for count in batches], 32, limit, size)
    groups = rows.reshape(-1, size)
    assert (groups[:, 0] % size == 0).all()
    assert (np.diff(groups, axis=1) == 1).all()
    assert {0, *((count - 1) * size for count in batches)} <= set(groups[:, 0].tolist())
    assert len(rows) <= max(limit, 2 * len(batches) * size) + 32 + size


def test_few_rows_are_all_compared() -> None:
    assert truths.rows_to_compare([1, 10], 8, 16).tolist() == list(range(10))


@pytest.mark.parametrize(
    ("batch_sizes", "images", "expected"),
    [
        ([1], 32, (32, 1)),
        ([1, 10, 100, 128], 32, (40, 10)),
        ([128], 32, (128, 128)),
        ([1, 10], 4, (4, 1)),
    ],
)
def test_a_check_takes_full_batches_that_were_run(
    batch_sizes: list[int], images: int, expected: tuple[int, int]
) -> None:
    assert truths.check_batches(batch_sizes, images) == expected


def test_what_computes_in_bfloat16_is_judged_by_bfloat16(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    logits = random.standard_normal((6, 10)).astype(np.float32)
    rough = random.standard_normal((6, 10)).astype(np.float32) * np.float32(0.005)
    truth(tmp_path, logits=logits)
    plain = {"float32": tmp_path / "single", "bfloat16": tmp_path / "narrow"}
    rows = np.array([0, 2, 5])
    write(
        tmp_path / "narrow", 2, logits=np.concatenate([(logits + rough)[rows], 0.8 * logits[rows]])
    )
    known = Truth.load(rows, 1, tmp_path / "reference", plain, Overrides())
    outputs = {"logits": logits + 2 * rough}
    narrow = known.judged_as("bfloat16")
    assert known.compare(outputs, narrow).status == PASSED
    assert known.compare(outputs, known.judged_as("float16")).status == FAILED
    assert known.compare({"logits": logits + 30 * rough}, narrow).status == FAILED
    atol = known.tolerance_of(narrow)["logits"]["atol"]
    assert atol == pytest.approx(0.05 * np.abs(logits[rows]).max())
    # Without its noise there is no such rule.
    alone = truth(tmp_path, logits=logits)
    assert alone.compare(outputs, alone.judged_as("bfloat16")).status == FAILED

"""Bundles and files of tensors compared with each other."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from golden.conftest import faulty
from golden.small_network import RandomImages, small_network

from bench.golden import checks, tensor_stream
from bench.golden.bundle import Bundle, open_bundle
from bench.golden.create import create
from bench.golden.diff import diff, open_side
from bench.golden.manifest import Creation
from bench.golden.verify import Comparing, Verification, verify
from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidDataError, UsageError

ELEMENTWISE = Comparing(checks.parse("elementwise"))


def compare(left: Path, right: Path) -> Verification:
    return diff(open_side(left), open_side(right), ELEMENTWISE)


@pytest.fixture
def saved(bundle: Bundle, tmp_path: Path) -> Path:
    """What a faulty backend computed, as `verify --save` writes it."""
    file = tmp_path / "swapped.arrows"
    verify(bundle, *faulty("SwappedChannels"), ELEMENTWISE, save=file)
    return file


def test_bundle_equals_itself(bundle: Bundle) -> None:
    verification = compare(bundle.folder, bundle.folder)
    assert verification.exit_code() == 0
    assert verification.reason == ""


def test_another_model_is_named_and_found(bundle: Bundle, tmp_path: Path) -> None:
    graph = small_network()
    graph.weights["conv2.bias"][0] += 0.5
    folder = tmp_path / "other"
    create(folder, graph, RandomImages(), Creation("small", "seed", 6, ("all",)))
    verification = compare(bundle.folder, folder)
    assert verification.first_diverging is not None
    assert verification.first_diverging.tensor.operator == "conv2"
    assert verification.reason == "the models differ"
    assert verification.exit_code() == 1


def test_tensor_of_one_side_only_fails(bundle: Bundle, tmp_path: Path) -> None:
    folder = tmp_path / "outputs"
    create(folder, small_network(), RandomImages(), Creation("small", "seed", 6, ("outputs",)))
    for left, right, missing in (
        (bundle.folder, folder, "the output is missing"),
        (folder, bundle.folder, "the expected tensor is missing"),
    ):
        verification = compare(left, right)
        assert verification.status == "FAILED"
        failed = {r.tensor.name: r.reason for r in verification.results if r.status == "FAILED"}
        assert failed["conv1"] == missing
        assert "logits" not in failed


@pytest.mark.parametrize("swap", [False, True])
def test_bundle_against_saved_tensors(bundle: Bundle, saved: Path, swap: bool) -> None:
    sides = (saved, bundle.folder) if swap else (bundle.folder, saved)
    verification = compare(*sides)
    assert verification.first_diverging is not None
    assert verification.first_diverging.tensor.operator == "conv2"


def test_two_files(saved: Path, tmp_path: Path) -> None:
    assert compare(saved, saved).exit_code() == 0
    batches = list(tensor_stream.read(saved))
    noisy = tmp_path / "noisy.arrow"
    columns = {name: np.concatenate([b[name] for b in batches]) for name in batches[0]}
    columns["relu2"] = columns["relu2"] + np.float32(0.01)
    batch = pa.RecordBatch.from_arrays(
        [tensor_column.from_numpy(array) for array in columns.values()], names=list(columns)
    )
    with pa.ipc.new_file(str(noisy), batch.schema) as writer:  # the other Arrow IPC format
        writer.write_batch(batch)
    verification = compare(saved, noisy)
    failed = [r.tensor.name for r in verification.results if r.status != "PASSED"]
    assert failed == ["relu2"]


def test_files_that_hold_no_tensors_are_refused(bundle: Bundle, tmp_path: Path) -> None:
    text = tmp_path / "text"
    text.write_text("not Arrow at all")
    numbers = tmp_path / "numbers.arrow"
    table = pa.table({"x": [1, 2]})
    with pa.ipc.new_file(str(numbers), table.schema) as writer:
        writer.write_table(table)
    empty = tmp_path / "empty"
    empty.touch()
    for path in (text, numbers, empty):
        with pytest.raises(InvalidDataError, match=path.name):
            compare(bundle.folder, path)
    with pytest.raises(UsageError, match="does not exist"):
        open_side(tmp_path / "nothing")


def test_saved_stream_cut_short_is_refused(bundle: Bundle, saved: Path) -> None:
    content = saved.read_bytes()
    saved.write_bytes(content[: len(content) // 2])
    with pytest.raises(InvalidDataError, match=saved.name):
        compare(bundle.folder, saved)


def test_opening_checks_a_bundle(damaged: Path) -> None:
    (damaged / "inputs.arrows").write_bytes(b"")
    with pytest.raises(InvalidDataError):
        open_side(damaged)
    with pytest.raises(InvalidDataError):
        open_bundle(damaged)

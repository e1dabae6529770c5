"""Intact bundles are read back exactly; damaged, altered and foreign ones are refused."""

import hashlib
import json
import os
import pickle
import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from golden.small_network import NUM_IMAGES, RandomImages, small_network
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.base import image_array
from bench.golden.bundle import Bundle, open_bundle
from columnar_nn.data import tensor_column
from columnar_nn.errors import CnnBenchError, InvalidDataError
from reference.evaluate import evaluate

TENSOR = "tensors/003-conv2.arrows"


@pytest.fixture(scope="module")
def forged(bundle: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the bundle that each example of a property changes and restores."""
    return Path(shutil.copytree(bundle.folder, tmp_path_factory.mktemp("forged") / "small"))


def edit_manifest(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    path = folder / "manifest.json"
    document = json.loads(path.read_text())
    change(document)
    path.write_text(json.dumps(document))


def seal(folder: Path, file: str) -> None:
    """Gives the manifest the file's present size and SHA-256, as a careful forger would."""
    content = (folder / file).read_bytes()
    entry = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    edit_manifest(folder, lambda m: m["files"].update({file: entry}))


def refusal(folder: Path) -> str:
    with pytest.raises(InvalidDataError) as caught:
        read_everything(folder)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def read_everything(folder: Path) -> None:
    bundle = open_bundle(folder)
    bundle.graph()
    list(bundle.images())
    bundle.noises()
    list(bundle.expected([entry.name for entry in bundle.manifest.tensors]))


def test_contents_are_the_references(bundle: Bundle) -> None:
    names = [entry.name for entry in bundle.manifest.tensors]
    graph = small_network()
    assert names == [node.outputs[0] for node in graph.nodes]
    (images,) = bundle.images()
    (source,) = RandomImages().batches(NUM_IMAGES, NUM_IMAGES)
    assert images.equals(source)
    truth = evaluate(graph.nodes, graph.weights, {"image": image_array(source)}, names)
    (expected,) = bundle.expected(names)
    for name in names:
        np.testing.assert_array_equal(expected[name], truth[name])
    assert bundle.graph().nodes[3].op_type == "Conv"


@pytest.mark.parametrize("file", ["model.onnx", "inputs.arrows", "noise.arrows", TENSOR])
def test_altered_byte_is_refused(damaged: Path, file: str) -> None:
    content = bytearray((damaged / file).read_bytes())
    content[len(content) // 2] ^= 1
    (damaged / file).write_bytes(content)
    assert f"{file} does not have the SHA-256" in refusal(damaged)


@pytest.mark.parametrize("file", ["model.onnx", "inputs.arrows", "noise.arrows", TENSOR])
def test_truncated_file_is_refused(damaged: Path, file: str) -> None:
    content = (damaged / file).read_bytes()
    (damaged / file).write_bytes(content[:-8])
    message = refusal(damaged)
    assert f"{file} has {len(content) - 8} bytes" in message
    assert str(len(content)) in message


def test_missing_file_is_refused(damaged: Path) -> None:
    (damaged / TENSOR).unlink()
    assert f"{TENSOR} is missing" in refusal(damaged)


def test_no_bundle_is_refused(tmp_path: Path) -> None:
    assert "has no manifest.json" in refusal(tmp_path)
    assert "has no manifest.json" in refusal(tmp_path / "nowhere")


@pytest.mark.parametrize("size", [100, 2000, -1])
def test_stream_cut_short_under_a_forged_checksum_is_refused(damaged: Path, size: int) -> None:
    content = (damaged / TENSOR).read_bytes()
    (damaged / TENSOR).write_bytes(content[:size])
    seal(damaged, TENSOR)
    assert TENSOR in refusal(damaged)


def test_tensor_of_another_shape_under_a_forged_checksum_is_refused(damaged: Path) -> None:
    write_tensor(damaged, np.zeros((NUM_IMAGES, 8, 4, 5), np.float32))
    assert "has no column expected" in refusal(damaged)


def test_tensor_of_fewer_rows_under_a_forged_checksum_is_refused(damaged: Path) -> None:
    write_tensor(damaged, np.zeros((NUM_IMAGES - 1, 8, 4, 4), np.float32))
    assert "rows" in refusal(damaged)


def write_tensor(folder: Path, array: np.ndarray) -> None:
    batch = pa.RecordBatch.from_arrays([tensor_column.from_numpy(array)], names=["expected"])
    with pa.ipc.new_stream(str(folder / TENSOR), batch.schema) as writer:
        writer.write_batch(batch)
    seal(folder, TENSOR)


@pytest.mark.parametrize(
    "path", ["../outside", "/etc/hostname", "tensors/../../outside", "a\\..\\b", "C:x", "", "./x"]
)
def test_path_out_of_the_bundle_is_refused(damaged: Path, path: str) -> None:
    def redirect(manifest: dict[str, Any]) -> None:
        manifest["files"][path] = manifest["files"].pop(TENSOR)
        manifest["tensors"][3]["file"] = path

    edit_manifest(damaged, redirect)
    assert "not a plain path inside the bundle" in refusal(damaged)


@pytest.mark.parametrize("linked", [TENSOR, "tensors"])
def test_link_is_refused(damaged: Path, tmp_path: Path, linked: str) -> None:
    elsewhere = tmp_path / "elsewhere"
    (damaged / linked).rename(elsewhere)
    os.symlink(elsewhere, damaged / linked)
    assert "is a link" in refusal(damaged)


@pytest.mark.parametrize("file", ["manifest.json", "model.onnx", TENSOR])
@pytest.mark.parametrize("kind", ["loop", "fifo", "folder", "memory"])
def test_what_is_no_file_is_refused(damaged: Path, file: str, kind: str) -> None:
    path = damaged / file
    path.unlink()
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path.name if kind == "loop" else "/proc/self/mem")
    assert "bundle" in refusal(damaged)


def test_pickle_instead_of_a_tensor_is_never_loaded(damaged: Path, tmp_path: Path) -> None:
    trap = tmp_path / "executed"

    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return (os.mkdir, (str(trap),))

    for file in (TENSOR, "model.onnx"):
        (damaged / file).write_bytes(pickle.dumps(Trap()))
        seal(damaged, file)
    with pytest.raises(CnnBenchError):
        open_bundle(damaged).graph()
    with pytest.raises(InvalidDataError, match="damaged"):
        list(open_bundle(damaged).expected(["conv2"]))
    assert not trap.exists()


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["model.onnx", "inputs.arrows", "noise.arrows", TENSOR]),
    st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), min_size=1, max_size=6),
)
def test_whatever_a_forger_writes_is_read_or_refused(
    forged: Path, file: str, changes: list[tuple[int, int]]
) -> None:
    original = (forged / file).read_bytes()
    content = bytearray(original)
    for position, value in changes:
        content[position % len(content)] = value
    (forged / file).write_bytes(content)
    seal(forged, file)
    try:
        with suppress(CnnBenchError):
            read_everything(forged)
    finally:
        (forged / file).write_bytes(original)
        seal(forged, file)

"""Weights are read wherever a file keeps them, and from no file that is not the model's."""

from __future__ import annotations

import os
import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from closeness import assert_close
from generated import normal
from model.onnx_models import CONV, FILTERS, model, node
from onnx import TensorProto, helper, numpy_helper

from columnar_nn.errors import InvalidModelError
from columnar_nn.model import onnx_io
from columnar_nn.model.graph import Graph
from columnar_nn.model.stored_tensors import GIBIBYTE, StoredTensors


def _sparse(name: str, dense: np.ndarray, coordinates: bool) -> onnx.SparseTensorProto:
    places = np.argwhere(dense)
    values = dense[tuple(places.T)]
    linear = np.ravel_multi_index(tuple(places.T), dense.shape)
    indices = places if coordinates else linear
    return helper.make_sparse_tensor(
        numpy_helper.from_array(values, name),
        numpy_helper.from_array(indices.astype(np.int64), f"{name}_indices"),
        dense.shape,
    )


def _external(name: str, location: str, num_bytes: int = FILTERS.nbytes) -> TensorProto:
    tensor = TensorProto(name=name, dims=FILTERS.shape, data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    for key, text in (("location", location), ("offset", "0"), ("length", str(num_bytes))):
        tensor.external_data.add(key=key, value=text)
    return tensor


def _with_external(location: str) -> onnx.ModelProto:
    made = model([CONV], outputs="c")
    made.graph.initializer.append(_external("w", location))
    return made


def _loaded(made: onnx.ModelProto, path: Path) -> Graph:
    path.write_bytes(made.SerializeToString())
    return onnx_io.load(path)


MOSTLY_ZERO = np.where(np.abs(FILTERS) > 1.5, FILTERS, 0).astype(np.float32)


@pytest.mark.parametrize("coordinates", [False, True])
@pytest.mark.parametrize("where", ["initializer", "Constant"])
def test_sparse_weights(coordinates: bool, where: str, tmp_path: Path) -> None:
    sparse = _sparse("w", MOSTLY_ZERO, coordinates)
    made = model([CONV], outputs="c")
    if where == "Constant":
        made.graph.node.insert(0, helper.make_node("Constant", [], ["w"], sparse_value=sparse))
    else:
        made.graph.sparse_initializer.append(sparse)
    graph = _loaded(made, tmp_path / "m.onnx")
    assert_close(graph.weights["w"], MOSTLY_ZERO, rtol=0, atol=0)


def test_a_sparse_weight_with_an_index_outside_is_refused(tmp_path: Path) -> None:
    sparse = _sparse("w", MOSTLY_ZERO, coordinates=False)
    sparse.dims[0] = 1
    made = model([CONV], outputs="c")
    made.graph.sparse_initializer.append(sparse)
    with pytest.raises(InvalidModelError, match="'w' is damaged: an index lies outside"):
        _loaded(made, tmp_path / "m.onnx")


def test_a_huge_sparse_weight_is_refused_before_memory_is_asked_for(tmp_path: Path) -> None:
    sparse = _sparse("w", MOSTLY_ZERO, coordinates=False)
    sparse.dims[0] = 2**50
    made = model([CONV], outputs="c")
    made.graph.sparse_initializer.append(sparse)
    with pytest.raises(InvalidModelError, match="1 GiB"):
        _loaded(made, tmp_path / "m.onnx")


@pytest.mark.parametrize("where", ["initializer", "Constant", "attribute of a function"])
def test_weights_in_a_file_beside_the_model(where: str, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(FILTERS.tobytes())
    made = _with_external("w.bin")
    if where != "initializer":
        tensor = made.graph.initializer.pop()
        made.graph.node.insert(0, helper.make_node("Constant", [], ["w"], value=tensor))
    if where == "attribute of a function":
        body = list(made.graph.node)
        made = model([node("F", "x", "c", domain="local")], outputs="c", domains=["local"])
        made.functions.append(
            helper.make_function("local", "F", ["x"], ["c"], body, [helper.make_opsetid("", 17)])
        )
    graph = _loaded(made, tmp_path / "m.onnx")
    weight = graph.weights[graph.nodes[0].inputs[1]]
    assert_close(weight, FILTERS, rtol=0, atol=0)


def test_weights_that_share_a_file(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(FILTERS.tobytes())
    made = model([CONV, node("Conv", "x v", "d", pads=[1] * 4), node("Add", "c d", "y")])
    made.graph.initializer.extend([_external("w", "w.bin"), _external("v", "w.bin")])
    graph = _loaded(made, tmp_path / "m.onnx")
    assert_close(graph.weights["v"], graph.weights["w"], rtol=0, atol=0)


def test_a_missing_file_of_a_weight_that_nothing_reads_is_no_matter(tmp_path: Path) -> None:
    made = model([node("Relu", "x", "y")])
    made.graph.initializer.append(_external("w", "nowhere.bin"))
    assert not _loaded(made, tmp_path / "m.onnx").weights


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A model cache: the folder of a snapshot, whose files are links into `blobs`."""
    snapshot, blobs = tmp_path / "snapshots" / "one", tmp_path / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    (blobs / "aa").write_bytes(_with_external("w.bin").SerializeToString())
    (blobs / "bb").write_bytes(FILTERS.tobytes())
    (snapshot / "m.onnx").symlink_to(Path("../../blobs/aa"))
    (snapshot / "w.bin").symlink_to(Path("../../blobs/bb"))
    return snapshot


def test_links_of_a_model_cache_are_followed(cache: Path) -> None:
    assert_close(onnx_io.load(cache / "m.onnx").weights["w"], FILTERS, rtol=0, atol=0)


def test_links_of_weights_alone_are_followed_into_blobs_beside_the_folder(tmp_path: Path) -> None:
    (tmp_path / "blobs").mkdir()
    (tmp_path / "blobs" / "b").write_bytes(FILTERS.tobytes())
    folder = tmp_path / "snapshot"
    folder.mkdir()
    (folder / "w.bin").symlink_to(tmp_path / "blobs" / "b")
    graph = _loaded(_with_external("w.bin"), folder / "m.onnx")
    assert_close(graph.weights["w"], FILTERS, rtol=0, atol=0)


def test_a_link_to_a_model_in_another_folder_with_its_weights(tmp_path: Path) -> None:
    folder = tmp_path / "model"
    (folder / "data").mkdir(parents=True)
    (folder / "data" / "w.bin").write_bytes(FILTERS.tobytes())
    (folder / "m.onnx").write_bytes(_with_external("data/w.bin").SerializeToString())
    (tmp_path / "linked.onnx").symlink_to(folder / "m.onnx")
    graph = onnx_io.load(tmp_path / "linked.onnx")
    assert_close(graph.weights["w"], FILTERS, rtol=0, atol=0)


@pytest.mark.parametrize("target", ["secret", "other/blobs/secret"])
def test_links_elsewhere_are_refused_with_the_rule(target: str, cache: Path) -> None:
    secret = cache.parent.parent / target
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_bytes(FILTERS.tobytes())
    (cache / "w.bin").unlink()
    (cache / "w.bin").symlink_to(secret)
    with pytest.raises(InvalidModelError, match=r"outside the model's folder.*`blobs` beside it"):
        onnx_io.load(cache / "m.onnx")


@pytest.mark.parametrize("location", ["a\0b", "..", ".", "w.bin/..", "/dev/zero", "../blobs/bb"])
def test_locations_that_are_no_file_inside_are_refused(location: str, cache: Path) -> None:
    made = _with_external(location)
    with pytest.raises(InvalidModelError, match="'w' lies in"):
        _loaded(made, cache / "other.onnx")


def test_a_pipe_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.bin")
    with pytest.raises(InvalidModelError, match="which is no file"):
        _loaded(_with_external("w.bin"), tmp_path / "m.onnx")


@pytest.mark.parametrize(
    ("key", "text"), [("offset", "-4"), ("offset", "x"), ("length", "1000000"), ("length", "8")]
)
def test_a_wrong_place_in_the_file_is_refused(key: str, text: str, tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(FILTERS.tobytes())
    made = _with_external("w.bin")
    (entry,) = (e for e in made.graph.initializer[0].external_data if e.key == key)
    entry.value = text
    with pytest.raises(InvalidModelError, match="'w'"):
        _loaded(made, tmp_path / "m.onnx")


def test_many_weights_of_one_large_file_are_bounded(tmp_path: Path) -> None:
    with (tmp_path / "w.bin").open("wb") as file:
        file.truncate(2**27)
    made = model([node("Sum", " ".join(f"w{i}" for i in range(20)), "s"), node("Add", "x s", "y")])
    for index in range(20):
        tensor = _external(f"w{index}", "w.bin", 2**27)
        tensor.dims[:] = [2**25]
        made.graph.initializer.append(tensor)
    with pytest.raises(InvalidModelError, match=re.escape("1 GiB")):
        _loaded(made, tmp_path / "m.onnx")


def test_weights_of_every_field_of_the_format(tmp_path: Path) -> None:
    bias = normal(1, 3, 1, 1)
    in_fields = helper.make_tensor("b", TensorProto.FLOAT, bias.shape, bias.reshape(-1))
    made = model([node("Add", "x b", "y")])
    made.graph.initializer.append(in_fields)
    assert_close(_loaded(made, tmp_path / "m.onnx").weights["b"], bias, rtol=0, atol=0)


@pytest.mark.parametrize("length", [None, 0, FILTERS.nbytes])
def test_a_tensor_in_the_midst_of_a_file_needs_no_length(
    length: int | None, tmp_path: Path
) -> None:
    made = _with_external("w.bin")
    entries = made.graph.initializer[0].external_data
    entries[1].value = "64"
    if length is None:
        del entries[2]
    else:
        entries[2].value = str(length)
    (tmp_path / "w.bin").write_bytes(bytes(64) + FILTERS.tobytes() + bytes(64))
    graph = _loaded(made, tmp_path / "m.onnx")
    assert_close(graph.weights["w"], FILTERS, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [TensorProto.INT4, TensorProto.UINT4])
def test_packed_integers_in_a_file_of_their_own(dtype: int, tmp_path: Path) -> None:
    values = [1, 2, 3, 4, 5, 6, 7]
    packed = helper.make_tensor("w", dtype, [7], values)
    made = model([node("Cast", "w", "f", to=1), node("ReduceSum", "f", "s", keepdims=0)], opset=21)
    made.graph.node.append(node("Mul", "x s", "y"))
    tensor = TensorProto(name="w", dims=[7], data_type=dtype)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    made.graph.initializer.append(tensor)
    (tmp_path / "w.bin").write_bytes(
        numpy_helper.from_array(numpy_helper.to_array(packed)).raw_data
    )
    (total,) = _loaded(made, tmp_path / "m.onnx").weights.values()
    assert total == sum(values)


def test_weights_in_another_file_count_once(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(FILTERS.tobytes())
    stored = StoredTensors(tmp_path, 0)
    stored.array(_external("w", "w.bin"), "w")
    assert stored.budget.left == GIBIBYTE  # what the file adds, its tensor takes


def test_a_file_that_goes_on_without_end_is_read_no_further_than_its_tensors(
    tmp_path: Path,
) -> None:
    made = _with_external("w.bin")
    del made.graph.initializer[0].external_data[2]
    with (tmp_path / "w.bin").open("wb") as file:
        file.write(FILTERS.tobytes())
        file.truncate(2**42)
    assert_close(_loaded(made, tmp_path / "m.onnx").weights["w"], FILTERS, rtol=0, atol=0)

"""Training: what is learnt shows on unseen images, and comes out the same each time."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from cifar10_files import split_files, write_folder
from onnx import helper

from bench.cli import commands
from bench.data.dataset import Dataset, open_dataset
from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidDataError, InvalidModelError
from columnar_nn.model import onnx_io, zoo
from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder
from reference.evaluate import evaluate as evaluate_by_reference

pytest.importorskip("torch", reason="needs the torch extra")
from bench.training.train import Recipe, evaluate, train

RECIPE = Recipe(threads=1, batch_size=32, crops=4_000, crop_side=20, images=2_000)


def small_network(seed: int = 0) -> Graph:
    network = NetworkBuilder("small", (3, 32, 32), seed)
    tensor = network.relu("relu1", network.conv("conv1", "image", 8, 5, stride=2, bias=True))
    tensor = network.batch_norm("bn2", network.conv("conv2", tensor, 16, 3, stride=2))
    tensor = network.relu("relu2", tensor)
    tensor = network.flatten(
        "flatten", network.relu("relu3", network.conv("conv3", tensor, 4, 3, bias=True))
    )
    return network.graph(network.dense("dense", tensor, 10, output="logits"))


def silent(stage: str, step: int, steps: int, loss: float) -> None:
    """A progress bar that shows nothing."""


@pytest.fixture(scope="module")
def data() -> Dataset:
    return open_dataset("synthetic", 1_000)


@pytest.fixture(scope="module")
def trained(data: Dataset) -> Graph:
    return train(small_network(), data, RECIPE, silent)


def by_reference(graph: Graph, num_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and labels of the synthetic rows after the first thousand."""
    (batch,) = open_dataset("synthetic", 1_000 + num_rows).batches(1_000 + num_rows, 10_000)
    unseen = batch.slice(1_000)
    pixels = tensor_column.to_numpy(unseen.column("image")) / np.float32(255)
    (logits,) = evaluate_by_reference(
        graph.nodes, graph.weights, {"image": pixels}, ["logits"]
    ).values()
    return logits.argmax(axis=1), unseen.column("label").to_numpy()


def test_unseen_images_are_recognised(trained: Graph) -> None:
    before, labels = by_reference(small_network(), 200)
    after, _ = by_reference(trained, 200)
    assert (before == labels).mean() < 0.4
    assert (after == labels).mean() > 0.8


def test_the_network_stays_what_it_was(trained: Graph) -> None:
    graph = small_network()
    assert trained.nodes == graph.nodes
    assert trained.outputs == graph.outputs
    assert set(trained.weights) == set(graph.weights)
    for name, weight in trained.weights.items():
        assert weight.shape == graph.weights[name].shape
        assert weight.dtype == np.float32
        assert not np.array_equal(weight, graph.weights[name]), name


def test_the_same_recipe_gives_the_same_file(trained: Graph, data: Dataset, tmp_path: Path) -> None:
    onnx_io.save(trained, tmp_path / "first.onnx")
    onnx_io.save(train(small_network(), data, RECIPE, silent), tmp_path / "again.onnx")
    assert (tmp_path / "first.onnx").read_bytes() == (tmp_path / "again.onnx").read_bytes()
    short = replace(RECIPE, crops=64, images=64)
    seeds = [train(small_network(), data, replace(short, seed=seed), silent) for seed in (0, 1)]
    assert not np.array_equal(seeds[0].weights["conv1.weight"], seeds[1].weights["conv1.weight"])


def test_accuracy_is_the_references(trained: Graph, tmp_path: Path) -> None:
    predictions, labels = by_reference(trained, 100)
    (batch,) = open_dataset("synthetic", 1_100).batches(1_100, 1_100)
    unseen = batch.slice(1_000)
    records = np.concatenate(
        [
            unseen.column("label").to_numpy()[:, None],
            tensor_column.to_numpy(unseen.column("image")).reshape(100, -1),
        ],
        axis=1,
    )
    (tmp_path / "unseen.bin").write_bytes(records.tobytes())
    result = evaluate(trained, open_dataset(str(tmp_path / "unseen.bin")))
    assert result.accuracy == (predictions == labels).mean()


def test_channels_that_never_fire_are_named(trained: Graph, data: Dataset) -> None:
    weights = dict(trained.weights)
    weights["conv1.weight"] = weights["conv1.weight"].copy()
    weights["conv1.bias"] = weights["conv1.bias"].copy()
    weights["conv1.weight"][5] = 0.0
    weights["conv1.bias"][5] = -1.0
    dead = evaluate(replace(trained, weights=weights), data).dead_channels
    assert "relu1[5]" in dead
    assert set(dead) >= set(evaluate(trained, data).dead_channels)


def test_a_class_without_images_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "one.bin"
    file.write_bytes(bytes(3073 * 4))
    with pytest.raises(InvalidDataError, match="automobile"):
        train(small_network(), open_dataset(str(file)), RECIPE, silent)


def test_a_network_without_a_dense_end_is_refused(data: Dataset) -> None:
    network = NetworkBuilder("open", (3, 32, 32))
    graph = network.graph(network.conv("conv1", "image", 10, 3))
    with pytest.raises(InvalidModelError, match="open cannot be trained"):
        train(graph, data, RECIPE, silent)


def test_the_command_names_the_file_of_several_inputs_before_it_asks_for_their_data(
    tmp_path: Path,
) -> None:
    made = helper.make_graph(
        [helper.make_node("Add", ["a", "b"], ["c"])],
        "exporters_own_name",
        [helper.make_tensor_value_info(name, 1, ["N", 3, 8, 8]) for name in "ab"],
        [helper.make_tensor_value_info("c", 1, ["N", 3, 8, 8])],
    )
    onnx.save(helper.make_model(made), tmp_path / "pair.onnx")
    given = ["--model", str(tmp_path / "pair.onnx"), "--out", str(tmp_path / "out.onnx")]
    with pytest.raises(InvalidModelError, match="pair takes a, b: only a network of one input"):
        commands.run(["train", *given])


@pytest.mark.slow
def test_the_command_writes_a_file_and_tells_its_accuracy(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "cifar", split_files(40))
    out = tmp_path / "plain9.onnx"
    options = ["--data", str(folder), "--crops", "256", "--images", "64", "--threads", "1"]
    command = [sys.executable, "-m", "cnn_bench", "train", "--out", str(out), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
    assert f"wrote {out}: accuracy" in done.stdout
    assert "on 40 images of cifar" in done.stdout
    assert onnx_io.load(out).nodes == zoo.build("plain9").nodes


def test_the_command_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "cnn_bench",
        "train",
        "--out",
        str(tmp_path / "no" / "x.onnx"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 2
    assert "there is no folder" in done.stderr

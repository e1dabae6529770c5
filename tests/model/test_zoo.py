"""The networks built in code, and names and paths resolved to them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from judged_networks import SMALL, small

from bench.data.dataset import open_dataset
from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidModelError, UsageError
from columnar_nn.exec.executable import prepare
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model import onnx_io, zoo
from columnar_nn.model.graph import Graph
from columnar_nn.model.layer_table import layers
from columnar_nn.plan.builder import PlanBuilder
from reference.evaluate import evaluate

# Multiply-accumulates and trainable parameters as published with torchvision's versions of the
# networks; ours count batch-norm means and variances too, two more a channel.
PUBLISHED = {
    "resnet18": (1_814_073_344, 11_689_512),
    "resnet50": (4_089_184_256, 25_557_032),
    "mobilenet_v2": (300_774_272, 3_504_872),
    "squeezenet": (349_151_936, 1_235_496),
}

# Billions of multiply-accumulates, as exactly as torchvision says, and trainable parameters; those
# of googlenet are of BVLC's model, of wide_resnet28_10 the authors'.
ROUNDED = {
    "alexnet": ("0.714", 61_100_840),
    "vgg16": ("15.470", 138_357_544),
    "googlenet": ("1.6", 6_998_552),
    "resnext50": ("4.230", 25_028_904),
    "densenet121": ("2.834", 7_978_856),
    "wide_resnet28_10": ("5.2", 36_479_194),
    "shufflenet_v2": ("0.145", 2_278_604),
    "mobilenet_v3": ("0.217", 5_483_032),
    "efficientnet_b0": ("0.386", 5_288_548),
    "convnext_tiny": ("4.5", 28_589_128),
}


def statistics(graph: Graph) -> int:
    """Number of batch-norm means and variances."""
    norms = (node for node in graph.nodes if node.op_type == "BatchNormalization")
    return sum(graph.weights[name].size for node in norms for name in node.inputs[3:])


def test_plain9_is_the_network_of_the_study() -> None:
    table = [layer for layer in layers(zoo.build("plain9")) if layer.parameters]
    assert [layer.op_type for layer in table] == ["Conv"] * 7 + ["Gemm"]
    assert [layer.parameters for layer in table] == [
        448, 2320, 4640, 9248, 18496, 36928, 577, 3250]  # fmt: skip
    assert [layer.output_shape for layer in table] == [
        (None, 16, 30, 30), (None, 16, 28, 28), (None, 32, 26, 26), (None, 32, 24, 24),
        (None, 64, 22, 22), (None, 64, 20, 20), (None, 1, 18, 18), (None, 10)]  # fmt: skip
    assert sum(layer.parameters for layer in table) == 75_907
    assert sum(layer.macs for layer in table) == 34_475_112


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_sizes(name: str) -> None:
    graph = zoo.build(name)
    macs, parameters = PUBLISHED[name]
    table = layers(graph)
    assert sum(layer.macs for layer in table) == macs
    assert sum(layer.parameters for layer in table) == parameters + statistics(graph)
    assert graph.num_parameters() == parameters + statistics(graph)


@pytest.mark.parametrize("name", ROUNDED)
def test_published_sizes_in_billions(name: str) -> None:
    graph = zoo.build(name)
    billions, parameters = ROUNDED[name]
    decimals = len(billions.partition(".")[2])
    macs = sum(layer.macs for layer in layers(graph))
    assert f"{macs / 1e9:.{decimals}f}" == billions
    assert graph.num_parameters() == parameters + statistics(graph)


def test_unet_is_the_paper_s_but_for_its_images() -> None:
    """The paper's, of one channel, is known for 31,030,658 parameters and has 23 convolutions."""
    graph = zoo.build("unet")
    assert graph.num_parameters() == 31_030_658 + 2 * 9 * 64
    assert sum(node.op_type.startswith("Conv") for node in graph.nodes) == 23
    # Each pixel of what is transposed meets all filters and their 2 x 2 weights.
    (up,) = (layer for layer in layers(graph) if layer.name == "up4.conv")
    assert up.macs == 8 * 8 * 1024 * 512 * 2 * 2


def test_vit_tiny_is_deit_s_but_for_patches_and_classes() -> None:
    graph = zoo.build("vit_tiny")
    channels = 192
    of_deit = (16 * 16 * 3 + 1) * channels + 197 * channels + channels + (channels + 1) * 1000
    ours = (4 * 4 * 3 + 1) * channels + 65 * channels + (channels + 1) * 10
    assert graph.num_parameters() == 5_717_416 - of_deit + ours


def test_resnet20_has_the_depth_and_stages_of_the_paper() -> None:
    graph = zoo.build("resnet20")
    table = layers(graph)
    weighted = [layer for layer in table if layer.op_type in ("Conv", "Gemm")]
    assert len([layer for layer in weighted if "downsample" not in layer.name]) == 20
    ends = [layer.output_shape for layer in table if layer.name.endswith(".2.relu2")]
    assert ends == [(None, 16, 32, 32), (None, 32, 16, 16), (None, 64, 8, 8)]
    assert sum(layer.op_type == "Add" for layer in table) == 9


ALIVE = ("plain9", "resnet20", "mobilenet_v2", "squeezenet")
GATES = ("HardSigmoid", "Sigmoid", "Softmax")
"""Between 0 and 1."""

USUAL = (0.1, 10)
RANGES = {
    "googlenet": (0.1, 60),  # its inner pools take the largest of nine values
    "resnext50": (0.1, 50),
    "mobilenet_v3": (0.05, 10),
    "efficientnet_b0": (0.05, 10),
}
"""Of few pixels much is padding, which the statistics of the weights do not know of."""


@pytest.mark.parametrize("name", [*ALIVE, *map(small, SMALL)])
def test_random_weights_keep_activations_alive(name: str) -> None:
    graph = zoo.build(name)
    (spec,) = graph.inputs
    coarse = np.random.default_rng(1).random((2, 3, 8, 8), np.float32)
    factor = spec.shape[2] // 8
    image = coarse.repeat(factor, axis=2).repeat(factor, axis=3)
    kinds = {node.outputs[0]: node.op_type for node in graph.nodes}
    tensors = evaluate(graph.nodes, graph.weights, {"image": image}, list(kinds))
    low, high = RANGES.get(name.partition("@")[0], USUAL)
    for tensor, array in tensors.items():
        assert (0.01 if kinds[tensor] in GATES else low) < array.std() < high, tensor


@pytest.mark.parametrize("name", zoo.BUILDERS)
def test_weights_are_float32_and_fixed(name: str) -> None:
    first, second = zoo.build(small(name)), zoo.build(small(name))
    kinds = {weight.dtype for weight in first.weights.values()}
    assert np.dtype(np.float32) in kinds
    assert kinds <= {np.dtype(np.float32), np.dtype(np.int64)}  # integers say shapes and axes
    assert all(np.array_equal(w, second.weights[key]) for key, w in first.weights.items())


def test_a_path_is_loaded_and_freed_from_its_batch(tmp_path: Path) -> None:
    graph = zoo.build("resnet20")
    path = tmp_path / "network.onnx"
    onnx_io.save(graph, path)
    resolved = zoo.resolve(str(path))
    assert resolved.nodes == graph.nodes
    assert resolved.name == "network"


def test_a_name_prefers_trained_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zoo, "WEIGHTS", tmp_path)
    built = zoo.resolve("plain9")
    assert np.array_equal(
        built.weights["conv1.weight"], zoo.build("plain9").weights["conv1.weight"]
    )
    trained = zoo.plain9(seed=5)
    onnx_io.save(trained, tmp_path / "plain9.onnx")
    found = zoo.resolve("plain9")
    assert np.array_equal(found.weights["conv1.weight"], trained.weights["conv1.weight"])


@pytest.mark.parametrize(("name", "accuracy"), [("plain9", 0.75), ("resnet20", 0.95)])
def test_shipped_weights_tell_the_photographs_apart(name: str, accuracy: float) -> None:
    graph = zoo.resolve(name)
    assert graph.nodes == zoo.build(name).nodes
    assert {key: w.shape for key, w in graph.weights.items()} == {
        key: w.shape for key, w in zoo.build(name).weights.items()
    }
    (images,) = open_dataset("photo10").batches(1000, 1000)
    plan = PlanBuilder().values([images]).project(network_outputs(graph, "image")).plan()
    logits = tensor_column.to_numpy(
        prepare(plan).run().to_table().column("logits").combine_chunks()
    )
    assert (logits.argmax(axis=1) == images.column("label").to_numpy()).mean() > accuracy


def test_an_unknown_name_lists_what_is_known() -> None:
    with pytest.raises(UsageError, match=r"unknown model 'vgg': choose from plain9, .*\.onnx file"):
        zoo.resolve("vgg")


def test_a_file_of_another_kind_is_told_from_a_name(tmp_path: Path) -> None:
    for name in ("m.pt", "m"):
        path = tmp_path / name
        path.write_bytes(b"weights")
        with pytest.raises(UsageError, match=r"is a file that is not called .onnx: export"):
            zoo.resolve(path)


def test_a_file_may_be_called_in_capitals(tmp_path: Path) -> None:
    path = tmp_path / "SMALL.ONNX"
    onnx_io.save(zoo.resolve("plain9"), path)
    assert zoo.resolve(path).name == "SMALL"


def test_a_pointer_of_git_lfs_is_named(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(InvalidModelError, match=r"Git LFS's pointer .*: git lfs pull gets it"):
        zoo.resolve(path)


def test_a_variant_has_the_layers_that_its_factors_say() -> None:
    def filters(name: str) -> list[int]:
        graph = zoo.resolve(name)
        return [
            len(w) for key, w in graph.weights.items() if key.endswith("weight") and w.ndim == 4
        ]

    assert filters("plain9@width=2") == [32, 32, 64, 64, 128, 128, 1]
    assert filters("plain9@depth=2") == [16] * 4 + [32] * 4 + [64] * 4 + [1]
    assert len(filters("resnet20@depth=2")) == 1 + 2 * 18 + 2  # 6n convolutions, two shortcuts
    assert max(filters("resnet20@width=3")) == 192
    for name, classes in {"plain9": 10, "resnet20": 10, "squeezenet": 1000}.items():
        graph = zoo.resolve(f"{name}@resolution=48")
        assert graph.inputs[0].shape == (None, 3, 48, 48)
        assert graph.outputs[0].shape == (None, classes)


def test_one_variant_has_one_name_and_what_changes_nothing_is_the_network_itself() -> None:
    assert zoo.resolve("plain9@depth=2@width=2").name == "plain9@width=2@depth=2"
    itself = zoo.resolve("plain9@width=1@resolution=32")
    assert itself.name == "plain9"
    trained = zoo.resolve("plain9").weights["conv1.weight"]
    np.testing.assert_array_equal(itself.weights["conv1.weight"], trained)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("plain9@height=2", "expected each of @width=NUMBER, @depth=NUMBER, @resolution=NUMBER"),
        ("plain9@width=0", "a positive number"),
        ("plain9@width=2@width=3", "at most once"),
        ("plain9@width", "a positive number"),
        ("resnet50@width=2", "resnet50 has variants of resolution alone"),
        ("unet@resolution=20", "differ outside axis 1: choose another resolution"),
        ("vgg@width=2", "unknown model"),
        ("plain9@depth=3", "19 convolutions .* at least 39 x 39, .*: add @resolution=39"),
    ],
)
def test_a_variant_that_cannot_be_made_is_refused(name: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        zoo.resolve(name)

"""Networks exported from PyTorch and Keras are read, take any batch, and give the same outputs,
in the reference and in the columnar engine."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from closeness import assert_close
from conformance.columnar_runner import run_columnar
from model.exported_networks import NETWORKS, Heads, Mixing, Mobile, Residual, Shuffle, Tokens
from torch import nn

from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph
from columnar_nn.model.symbolic_batch import tie
from reference.evaluate import evaluate

SIZE = 16


EXPORTS = [
    pytest.param(network, dynamo, dynamic, id=f"{network.__name__}-{exporter}-{batch}")
    for network in NETWORKS
    for dynamo, exporter in ((False, "torchscript"), (True, "dynamo"))
    for dynamic, batch in ((False, "fixed batch"), (True, "any batch"))
    if dynamo == dynamic or network in (Residual, Shuffle, Mobile)
] + [pytest.param(Tokens, False, True, id="Tokens-torchscript-any batch")]
"""Every network by both exporters, some for one number of images as well as for any."""


def check(graph: Graph, images: np.ndarray, expected: np.ndarray) -> None:
    source, names = graph.inputs[0].name, [spec.name for spec in graph.outputs]
    reference = evaluate(graph.nodes, graph.weights, {source: images}, names)[names[0]]
    assert_close(reference, expected, rtol=1e-5, atol=1e-6)
    (engine,) = run_columnar(graph, {source: images})
    assert_close(engine, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # the exporters warn about themselves
@pytest.mark.parametrize(("network", "dynamo", "dynamic"), EXPORTS)
def test_pytorch(network: type[nn.Module], dynamo: bool, dynamic: bool, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module = network()
    module.train()
    for _ in range(3):  # gives the batch norms statistics
        module(torch.randn(8, 3, SIZE, SIZE))
    module.eval()
    path = tmp_path / "exported.onnx"
    names = {"input_names": ["x"], "output_names": ["y"]}
    if dynamic and dynamo:
        names["dynamic_shapes"] = {"x": {0: torch.export.Dim("n")}}
    elif dynamic:
        names["dynamic_axes"] = {"x": {0: "n"}}
    torch.onnx.export(
        module, (torch.randn(2, 3, SIZE, SIZE),), path, dynamo=dynamo, verbose=False, **names
    )
    graph = zoo.resolve(str(path))
    assert graph.inputs[0].shape == (None, 3, SIZE, SIZE)
    assert graph.outputs[0].shape == (None, 5)
    images = torch.randn(7, 3, SIZE, SIZE)
    check(graph, images.numpy(), module(images).detach().numpy())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("network", [Shuffle, Mobile, Heads, Tokens])
@pytest.mark.parametrize("batch", [1, 4])
def test_pytorch_for_as_many_images(network: type[nn.Module], batch: int, tmp_path: Path) -> None:
    """Also where the batch is as large as other dimensions, or merged with those before it."""
    torch.manual_seed(0)
    module, path = network().eval(), tmp_path / "exported.onnx"
    torch.onnx.export(module, (torch.randn(batch, 3, SIZE, SIZE),), path, dynamo=False)
    images = torch.randn(3, 3, SIZE, SIZE)
    check(zoo.resolve(str(path)), images.numpy(), module(images).detach().numpy())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("batch", [1, 4])
def test_pytorch_that_mixes_images(batch: int, tmp_path: Path) -> None:
    torch.manual_seed(0)
    module, path = Mixing().eval(), tmp_path / "exported.onnx"
    images = torch.randn(batch, 3, SIZE, SIZE)
    torch.onnx.export(module, (images,), path, dynamo=False)
    graph = zoo.resolve(str(path))
    assert graph.batch == batch
    assert tie(graph).endswith("(Softmax): it works along axis 0, the batch")
    inputs, name = {graph.inputs[0].name: images.numpy()}, graph.outputs[0].name
    outputs = evaluate(graph.nodes, graph.weights, inputs, [name])
    assert_close(outputs[name], module(images).detach().numpy(), rtol=1e-5, atol=1e-6)


KERAS = """
import sys
import keras
import numpy as np
from keras import layers
keras.utils.set_random_seed(0)
image = layers.Input((16, 16, 3))
x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
x = layers.ReLU(6.0)(layers.BatchNormalization()(x))
x = layers.Add()([x, layers.DepthwiseConv2D(3, padding="same")(x)])
x = layers.LeakyReLU()(layers.ZeroPadding2D(1)(layers.MaxPooling2D(2)(x)))
x = layers.Flatten()(layers.AveragePooling2D(2)(x))
network = keras.Model(image, layers.Dense(5, activation="softmax")(x))
images = np.random.default_rng(0).random((4, 16, 16, 3), np.float32)
np.savez(sys.argv[2], images=images, expected=network.predict(images, verbose=0))
network.export(sys.argv[1], format="onnx", verbose=False)
"""


def test_keras(tmp_path: Path) -> None:
    # Keras chooses its backend once for a process; only its PyTorch backend exports by itself.
    path, arrays = tmp_path / "exported.onnx", tmp_path / "arrays.npz"
    environment = {**os.environ, "KERAS_BACKEND": "torch"}
    subprocess.run(
        [sys.executable, "-c", KERAS, path, arrays], check=True, env=environment,
        capture_output=True,
    )  # fmt: skip
    graph = zoo.resolve(str(path))
    assert graph.inputs[0].shape == (None, 16, 16, 3)
    with np.load(arrays) as stored:
        check(graph, stored["images"], stored["expected"])

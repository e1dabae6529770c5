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
from torch import nn

from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph
from columnar_nn.model.symbolic_batch import tie
from reference.evaluate import evaluate

functional = nn.functional
SIZE = 16


class Residual(nn.Module):
    """A block with a projected shortcut, batch norm, pooling in ceil mode and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding="same", dilation=2)
        self.shortcut = nn.Conv2d(3, 8, 1, stride=2)
        self.dense = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.norm(self.first(x)))
        y = functional.leaky_relu(self.second(y) + self.shortcut(x), 0.1)
        y = functional.max_pool2d(y, 3, stride=2, ceil_mode=True)
        y = functional.avg_pool2d(y, 2, padding=1, count_include_pad=False)
        y = functional.dropout(functional.adaptive_avg_pool2d(y, 1), 0.5, self.training)
        return functional.softmax(self.dense(torch.flatten(y, 1)), dim=1)


class Shuffle(nn.Module):
    """ShuffleNet's habits: chunk, concatenate, shuffle channels, depthwise, hard swish."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.slope = nn.PReLU(8)
        self.dense = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = functional.relu6(self.first(x)).chunk(2, dim=1)
        y = torch.cat([right, torch.sigmoid(left) * 2 - 0.5], dim=1)
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)
        y = self.slope(functional.hardswish(self.norm(self.depthwise(y))))
        y = functional.pad(y[:, :, 1:, ::2], (1, 0, 2, 1), value=0.5)
        return functional.log_softmax(
            self.dense(torch.tanh(y).mean(dim=(2, 3)).view(x.size(0), -1)), dim=1
        )


class Mobile(nn.Module):
    """MobileNetV3's habits, squeeze-and-excitation above all, and attention over the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Conv2d(3, 24, 1, bias=False)
        self.norm = nn.BatchNorm2d(24)
        self.depthwise = nn.Conv2d(24, 24, 5, stride=2, padding=2, groups=24)
        self.squeeze = nn.Conv2d(24, 8, 1)
        self.excite = nn.Conv2d(8, 24, 1)
        self.project = nn.Conv2d(24, 16, 1)
        self.keys, self.values = nn.Linear(16, 4), nn.Linear(16, 16)
        self.dense = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.depthwise(functional.hardswish(self.norm(self.expand(x))))
        gate = functional.silu(self.squeeze(functional.adaptive_avg_pool2d(y, 1)))
        y = self.project(functional.hardsigmoid(self.excite(gate)) * y)
        pixels = y.flatten(2).transpose(1, 2)
        keys = self.keys(pixels)
        weights = torch.softmax(keys @ keys.transpose(1, 2) / 2.0, dim=-1)
        return self.dense((pixels + weights @ self.values(pixels)).mean(dim=1))


class Heads(nn.Module):
    """A vision transformer's habits: pixels as tokens, attention in two heads, adaptive pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.qkv, self.project = nn.Linear(8, 24), nn.Linear(8, 8)
        self.dense = nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        n, length, width = tokens.shape
        q, k, v = (
            part.reshape(n, length, 2, width // 2).transpose(1, 2)
            for part in self.qkv(tokens).chunk(3, dim=-1)
        )
        y = torch.softmax(q @ k.transpose(-2, -1), dim=-1) @ v
        y = tokens + self.project(y.transpose(1, 2).reshape(n, length, width))
        y = functional.adaptive_avg_pool2d(y.transpose(1, 2).reshape(n, width, 4, 4), 2)
        return self.dense(y.view(n, -1))


class Mixing(Heads):
    """The same, but a softmax over the images."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(super().forward(x), dim=0)


def check(graph: Graph, images: np.ndarray, expected: np.ndarray) -> None:
    source, names = graph.inputs[0].name, [spec.name for spec in graph.outputs]
    reference = evaluate(graph.nodes, graph.weights, {source: images}, names)[names[0]]
    assert_close(reference, expected, rtol=1e-5, atol=1e-6)
    (engine,) = run_columnar(graph, {source: images})
    assert_close(engine, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore")  # the exporters warn about themselves
@pytest.mark.parametrize("network", [Residual, Shuffle, Mobile])
@pytest.mark.parametrize("dynamo", [False, True], ids=["torchscript", "dynamo"])
@pytest.mark.parametrize("dynamic", [False, True], ids=["fixed batch", "any batch"])
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
@pytest.mark.parametrize("network", [Shuffle, Mobile, Heads])
@pytest.mark.parametrize("batch", [1, 4])
def test_pytorch_for_as_many_images(network: type[nn.Module], batch: int, tmp_path: Path) -> None:
    """Also where the batch is as large as other dimensions."""
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

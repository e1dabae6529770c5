"""Wide residual networks for CIFAR-10 (Zagoruyko and Komodakis, arXiv:1605.07146)."""

from __future__ import annotations

from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder


def wide_resnet28_10(seed: int | None = 0, *, resolution: int = 32) -> Graph:
    """28 layers, ten times as wide as a residual network; 36,479,194 trainable parameters.

    Input "image" [N, 3, resolution, resolution], output "logits" [N, 10]. Batch normalisation and
    ReLU come before each convolution; a shortcut that is projected is so after them, as in the
    authors' version.
    """
    network = NetworkBuilder("wide_resnet28_10", (3, resolution, resolution), seed)
    tensor = network.conv("conv1", "image", 16, 3, pad=1)
    for stage, filters in enumerate((160, 320, 640), start=1):
        for block in range(4):
            stride = 2 if stage > 1 and block == 0 else 1
            tensor = _block(network, f"layer{stage}.{block}", tensor, filters, stride)
    tensor = _activated(network, "last", tensor)
    tensor = network.flatten("flatten", network.global_average_pool("avgpool", tensor))
    return network.graph(network.dense("dense", tensor, 10, output="logits"))


def _block(network: NetworkBuilder, name: str, tensor: str, filters: int, stride: int) -> str:
    """Two 3x3 convolutions around a shortcut, which nothing rectifies."""
    activated = _activated(network, f"{name}.1", tensor)
    branch = network.conv(f"{name}.conv1", activated, filters, 3, stride=stride, pad=1)
    branch = _activated(network, f"{name}.2", branch)
    branch = network.conv(f"{name}.conv2", branch, filters, 3, pad=1)
    if network.channels(tensor) != filters:
        tensor = network.conv(f"{name}.downsample", activated, filters, 1, stride=stride)
    return network.add(f"{name}.add", branch, tensor)


def _activated(network: NetworkBuilder, name: str, tensor: str) -> str:
    return network.relu(f"{name}.relu", network.batch_norm(f"{name}.bn", tensor))

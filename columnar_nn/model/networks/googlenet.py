"""GoogLeNet, the first Inception network (Szegedy et al., arXiv:1409.4842)."""

from __future__ import annotations

from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder

INCEPTIONS = {
    "3a": (64, 96, 128, 16, 32, 32),
    "3b": (128, 128, 192, 32, 96, 64),
    "4a": (192, 96, 208, 16, 48, 64),
    "4b": (160, 112, 224, 24, 64, 64),
    "4c": (128, 128, 256, 24, 64, 64),
    "4d": (112, 144, 288, 32, 64, 64),
    "4e": (256, 160, 320, 32, 128, 128),
    "5a": (256, 160, 320, 32, 128, 128),
    "5b": (384, 192, 384, 48, 128, 128),
}
"""Filters 1x1, 3x3 reduced, 3x3, 5x5 reduced, 5x5 and after the pooling: the paper's table 1."""


def googlenet(seed: int | None = 0, *, resolution: int = 224) -> Graph:
    """Nine inception modules without the two classifiers used in training; 6,998,552 parameters.

    Input "image" [N, 3, resolution, resolution], output "logits" [N, 1000]. It has the paper's
    5x5 convolutions and local response normalisation; torchvision's version, with 3x3 instead and
    batch normalisation, is another network.
    """
    network = NetworkBuilder("googlenet", (3, resolution, resolution), seed)
    tensor = _conv_relu(network, "conv1", "image", 64, 7, stride=2)
    tensor = network.max_pool("maxpool1", tensor, 3, 2, ceil=True)
    tensor = network.local_response("norm1", tensor)
    tensor = _conv_relu(network, "conv2.reduce", tensor, 64, 1)
    tensor = _conv_relu(network, "conv2", tensor, 192, 3)
    tensor = network.local_response("norm2", tensor)
    for number, filters in INCEPTIONS.items():
        if number in ("3a", "4a", "5a"):
            tensor = network.max_pool(f"maxpool{int(number[0]) - 1}", tensor, 3, 2, ceil=True)
        tensor = _inception(network, f"inception{number}", tensor, filters)
    tensor = network.flatten("flatten", network.global_average_pool("avgpool", tensor))
    return network.graph(network.dense("dense", tensor, 1000, output="logits"))


def _inception(
    network: NetworkBuilder, name: str, tensor: str, filters: tuple[int, int, int, int, int, int]
) -> str:
    """Convolutions of three sizes and a pooling, side by side."""
    one, reduced3, three, reduced5, five, pooled = filters
    branches = [_conv_relu(network, f"{name}.1x1", tensor, one, 1)]
    for kernel, reduced, wide in ((3, reduced3, three), (5, reduced5, five)):
        branch = f"{name}.{kernel}x{kernel}"
        small = _conv_relu(network, f"{branch}.reduce", tensor, reduced, 1)
        branches.append(_conv_relu(network, branch, small, wide, kernel))
    largest = network.max_pool(f"{name}.pool", tensor, 3, 1, pad=1)
    branches.append(_conv_relu(network, f"{name}.pool.project", largest, pooled, 1))
    return network.concat(f"{name}.concat", branches)


def _conv_relu(
    network: NetworkBuilder, name: str, tensor: str, filters: int, kernel: int, stride: int = 1
) -> str:
    pad = kernel // 2
    tensor = network.conv(name, tensor, filters, kernel, stride=stride, pad=pad, bias=True)
    return network.relu(f"{name}.relu", tensor)

"""AlexNet for one processor (Krizhevsky, "One weird trick", arXiv:1404.5997)."""

from __future__ import annotations

from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder

LAYERS = ((64, 11, 4, 2), (192, 5, 1, 2), (384, 3, 1, 1), (256, 3, 1, 1), (256, 3, 1, 1))
"""Filters, kernel, stride and padding of each convolution."""
_POOLED = (1, 2, 5)


def alexnet(seed: int | None = 0, *, resolution: int = 224) -> Graph:
    """Five convolutions and three dense layers; 61,100,840 parameters, as in torchvision's version.

    Input "image" [N, 3, resolution, resolution], output "logits" [N, 1000]. Unlike the network of
    2012 it has no groups and no local response normalisation. The first dense layer reads what
    there is of the image, 6 x 6 pixels of 224 x 224.
    """
    network, tensor = NetworkBuilder("alexnet", (3, resolution, resolution), seed), "image"
    for number, (filters, kernel, stride, pad) in enumerate(LAYERS, start=1):
        name = f"conv{number}"
        tensor = network.conv(name, tensor, filters, kernel, stride=stride, pad=pad, bias=True)
        tensor = network.relu(f"{name}.relu", tensor)
        if number in _POOLED:
            tensor = network.max_pool(f"maxpool{number}", tensor, 3, 2)
    tensor = network.flatten("flatten", tensor)
    for name in ("fc6", "fc7"):
        tensor = network.relu(f"{name}.relu", network.hidden(name, tensor, 4096))
    return network.graph(network.dense("fc8", tensor, 1000, output="logits"))

"""VGG (Simonyan and Zisserman, arXiv:1409.1556)."""

from __future__ import annotations

from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder

STAGES = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
"""Filters of the convolutions between two poolings: the paper's configuration D."""


def vgg16(seed: int | None = 0, *, resolution: int = 224) -> Graph:
    """Thirteen 3x3 convolutions and three dense layers; 138,357,544 parameters.

    Input "image" [N, 3, resolution, resolution], output "logits" [N, 1000]. The first dense layer
    reads what there is of the image, 7 x 7 pixels of 224 x 224.
    """
    network, tensor = NetworkBuilder("vgg16", (3, resolution, resolution), seed), "image"
    for stage, layers in enumerate(STAGES, start=1):
        for layer, filters in enumerate(layers, start=1):
            name = f"conv{stage}_{layer}"
            tensor = network.conv(name, tensor, filters, 3, pad=1, bias=True)
            tensor = network.relu(f"{name}.relu", tensor)
        tensor = network.max_pool(f"maxpool{stage}", tensor, 2, 2)
    tensor = network.flatten("flatten", tensor)
    for name in ("fc6", "fc7"):
        tensor = network.relu(f"{name}.relu", network.hidden(name, tensor, 4096))
    return network.graph(network.dense("fc8", tensor, 1000, output="logits"))

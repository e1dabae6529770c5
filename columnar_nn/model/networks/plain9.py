"""The study's network."""

from __future__ import annotations

from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder

FILTERS = (16, 16, 32, 32, 64, 64, 1)


def plain9(seed: int = 0) -> Graph:
    """Seven 3x3 valid convolutions, each with a ReLU, and a dense layer; 75,907 parameters.

    Input "image" [N, 3, 32, 32], output "logits" [N, 10].
    """
    network = NetworkBuilder("plain9", (3, 32, 32), seed)
    tensor = "image"
    for index, filters in enumerate(FILTERS, start=1):
        tensor = network.conv(f"conv{index}", tensor, filters, 3, bias=True)
        tensor = network.relu(f"relu{index}", tensor)
    tensor = network.flatten("flatten", tensor)
    return network.graph(network.dense("dense", tensor, 10, output="logits"))

"""Densely connected networks (Huang et al., arXiv:1608.06993)."""

from __future__ import annotations

from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder

BLOCKS = (6, 12, 24, 16)
GROWTH = 32
"""Filters that each layer adds."""


def densenet121(seed: int | None = 0, *, resolution: int = 224) -> Graph:
    """Four blocks in which every layer reads all before it; 7,978,856 trainable parameters.

    Input "image" [N, 3, resolution, resolution], output "logits" [N, 1000].
    """
    network = NetworkBuilder("densenet121", (3, resolution, resolution), seed)
    tensor = network.conv("conv1", "image", 2 * GROWTH, 7, stride=2, pad=3)
    tensor = network.relu("relu1", network.batch_norm("bn1", tensor))
    tensor = network.max_pool("maxpool", tensor, 3, 2, pad=1)
    for block, num_layers in enumerate(BLOCKS, start=1):
        if block > 1:
            name = f"transition{block - 1}"
            tensor = _activated_conv(network, name, tensor, network.channels(tensor) // 2, 1)
            tensor = network.average_pool(f"{name}.pool", tensor, 2, 2)
        for layer in range(1, num_layers + 1):
            name = f"block{block}.{layer}"
            branch = _activated_conv(network, f"{name}.bottleneck", tensor, 4 * GROWTH, 1)
            branch = _activated_conv(network, f"{name}.grow", branch, GROWTH, 3)
            tensor = network.concat(f"{name}.concat", [tensor, branch])
    tensor = network.relu("last.relu", network.batch_norm("last.bn", tensor))
    tensor = network.flatten("flatten", network.global_average_pool("avgpool", tensor))
    return network.graph(network.dense("dense", tensor, 1000, output="logits"))


def _activated_conv(
    network: NetworkBuilder, name: str, tensor: str, filters: int, kernel: int
) -> str:
    """Batch normalisation and ReLU before a convolution."""
    tensor = network.relu(f"{name}.relu", network.batch_norm(f"{name}.bn", tensor))
    return network.conv(f"{name}.conv", tensor, filters, kernel, pad=kernel // 2)

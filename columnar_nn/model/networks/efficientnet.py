"""EfficientNet (Tan and Le, arXiv:1905.11946)."""

from __future__ import annotations

from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder
from columnar_nn.model.networks.inverted_residual import Excitation, conv_bn, inverted_residual

STAGES = (
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
)
"""Expansion, kernel, stride of the first block, filters and blocks: the paper's table 1."""


def efficientnet_b0(seed: int | None = 0, *, resolution: int = 224) -> Graph:
    """Sixteen inverted residual blocks with excitation; 5,288,548 trainable parameters.

    Input "image" [N, 3, resolution, resolution], output "logits" [N, 1000]. A block squeezes to a
    quarter of the channels that enter it.
    """
    network = NetworkBuilder("efficientnet_b0", (3, resolution, resolution), seed)
    tensor = network.silu("stem.act", conv_bn(network, "stem", "image", 32, 3, stride=2))
    number = 0
    for expansion, kernel, first_stride, filters, num_blocks in STAGES:
        for block in range(num_blocks):
            number += 1
            channels = network.channels(tensor)
            tensor = inverted_residual(
                network,
                f"block{number}",
                tensor,
                expanded=expansion * channels,
                filters=filters,
                kernel=kernel,
                stride=first_stride if block == 0 else 1,
                activation=NetworkBuilder.silu,
                excitation=Excitation(channels // 4, NetworkBuilder.silu, NetworkBuilder.sigmoid),
            )
    tensor = network.silu("last.act", conv_bn(network, "last", tensor, 1280, 1))
    tensor = network.flatten("flatten", network.global_average_pool("avgpool", tensor))
    return network.graph(network.dense("dense", tensor, 1000, output="logits"))

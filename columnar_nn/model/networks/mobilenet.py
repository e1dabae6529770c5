"""MobileNetV2 (Sandler et al., arXiv:1801.04381) and V3 (Howard et al., arXiv:1905.02244)."""

from __future__ import annotations

from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder
from columnar_nn.model.networks.inverted_residual import Excitation, conv_bn, inverted_residual

STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Of V2 expansion, filters, blocks and stride of the first block: its paper's table 2."""

BLOCKS = (
    (3, 16, 16, 0, "relu", 1),
    (3, 64, 24, 0, "relu", 2),
    (3, 72, 24, 0, "relu", 1),
    (5, 72, 40, 24, "relu", 2),
    (5, 120, 40, 32, "relu", 1),
    (5, 120, 40, 32, "relu", 1),
    (3, 240, 80, 0, "hard_swish", 2),
    (3, 200, 80, 0, "hard_swish", 1),
    (3, 184, 80, 0, "hard_swish", 1),
    (3, 184, 80, 0, "hard_swish", 1),
    (3, 480, 112, 120, "hard_swish", 1),
    (3, 672, 112, 168, "hard_swish", 1),
    (5, 672, 160, 168, "hard_swish", 2),
    (5, 960, 160, 240, "hard_swish", 1),
    (5, 960, 160, 240, "hard_swish", 1),
)
"""Of V3 kernel, expanded channels, filters, squeezed channels (0: no excitation), activation and
stride: its paper's table 1, with a quarter of the expanded channels rounded as in torchvision."""

_ACTIVATIONS = {"relu": NetworkBuilder.relu, "hard_swish": NetworkBuilder.hard_swish}


def mobilenet_v2(seed: int | None = 0, *, resolution: int = 224) -> Graph:
    """Seventeen inverted residual blocks with depthwise convolutions; 3,504,872 parameters.

    Input "image" [N, 3, resolution, resolution], output "logits" [N, 1000].
    """
    network = NetworkBuilder("mobilenet_v2", (3, resolution, resolution), seed)
    tensor = network.relu6("stem.act", conv_bn(network, "stem", "image", 32, 3, stride=2))
    number = 0
    for expansion, filters, num_blocks, first_stride in STAGES:
        for block in range(num_blocks):
            number += 1
            tensor = inverted_residual(
                network,
                f"block{number}",
                tensor,
                expanded=network.channels(tensor) * expansion,
                filters=filters,
                kernel=3,
                stride=first_stride if block == 0 else 1,
                activation=NetworkBuilder.relu6,
            )
    tensor = network.relu6("last.act", conv_bn(network, "last", tensor, 1280, 1))
    tensor = network.flatten("flatten", network.global_average_pool("avgpool", tensor))
    return network.graph(network.dense("dense", tensor, 1000, output="logits"))


def mobilenet_v3(seed: int | None = 0, *, resolution: int = 224) -> Graph:
    """The large one: fifteen inverted residual blocks, eight with excitation; 5,483,032 parameters.

    Input "image" [N, 3, resolution, resolution], output "logits" [N, 1000].
    """
    network = NetworkBuilder("mobilenet_v3", (3, resolution, resolution), seed)
    tensor = network.hard_swish("stem.act", conv_bn(network, "stem", "image", 16, 3, stride=2))
    for number, (kernel, expanded, filters, squeezed, activation, stride) in enumerate(BLOCKS, 1):
        excitation = Excitation(squeezed, NetworkBuilder.relu, NetworkBuilder.hard_sigmoid)
        tensor = inverted_residual(
            network,
            f"block{number}",
            tensor,
            expanded=expanded,
            filters=filters,
            kernel=kernel,
            stride=stride,
            activation=_ACTIVATIONS[activation],
            excitation=excitation if squeezed else None,
        )
    tensor = network.hard_swish("last.act", conv_bn(network, "last", tensor, 960, 1))
    tensor = network.flatten("flatten", network.global_average_pool("avgpool", tensor))
    tensor = network.hard_swish("hidden.act", network.hidden("hidden", tensor, 1280))
    return network.graph(network.dense("dense", tensor, 1000, output="logits"))

"""MobileNetV2 (Sandler et al., arXiv:1801.04381)."""

from __future__ import annotations

from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder

STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
"""Expansion, filters, blocks and stride of the first block: the paper's table 2."""


def mobilenet_v2(seed: int = 0) -> Graph:
    """Seventeen inverted residual blocks with depthwise convolutions; 3,504,872 parameters.

    Input "image" [N, 3, 224, 224], output "logits" [N, 1000].
    """
    network = NetworkBuilder("mobilenet_v2", (3, 224, 224), seed)
    tensor = _conv_bn_relu6(network, "stem", "image", 32, 3, stride=2)
    number = 0
    for expansion, filters, num_blocks, first_stride in STAGES:
        for block in range(num_blocks):
            number += 1
            name, stride = f"block{number}", first_stride if block == 0 else 1
            channels = network.channels(tensor)
            branch, wide = tensor, channels * expansion
            if expansion > 1:
                branch = _conv_bn_relu6(network, f"{name}.expand", branch, wide, 1)
            branch = _conv_bn_relu6(
                network, f"{name}.depthwise", branch, wide, 3, stride=stride, group=wide
            )
            branch = network.conv(f"{name}.project.conv", branch, filters, 1)
            branch = network.batch_norm(f"{name}.project.bn", branch)
            residual = stride == 1 and channels == filters
            tensor = network.add(f"{name}.add", tensor, branch) if residual else branch
    tensor = _conv_bn_relu6(network, "last", tensor, 1280, 1)
    tensor = network.flatten("flatten", network.global_average_pool("avgpool", tensor))
    return network.graph(network.dense("dense", tensor, 1000, output="logits"))


def _conv_bn_relu6(
    network: NetworkBuilder,
    name: str,
    tensor: str,
    filters: int,
    kernel: int,
    *,
    stride: int = 1,
    group: int = 1,
) -> str:
    tensor = network.conv(
        f"{name}.conv", tensor, filters, kernel, stride=stride, pad=kernel // 2, group=group
    )
    return network.relu6(f"{name}.relu6", network.batch_norm(f"{name}.bn", tensor))

"""ShuffleNetV2 (Ma et al., arXiv:1807.11164)."""

from __future__ import annotations

from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder

STAGES = {2: (116, 4), 3: (232, 8), 4: (464, 4)}
"""Filters and units of each stage: the paper's table 5, 1x."""


def shufflenet_v2(seed: int | None = 0, *, resolution: int = 224) -> Graph:
    """Sixteen units whose channels are split and shuffled, 1x; 2,278,604 trainable parameters.

    Input "image" [N, 3, resolution, resolution], output "logits" [N, 1000].
    """
    network = NetworkBuilder("shufflenet_v2", (3, resolution, resolution), seed)
    tensor = _conv_bn_relu(network, "conv1", "image", 24, 3, stride=2)
    tensor = network.max_pool("maxpool", tensor, 3, 2, pad=1)
    for stage, (filters, num_units) in STAGES.items():
        for unit in range(1, num_units + 1):
            name = f"stage{stage}.{unit}"
            if unit == 1:
                kept = _depthwise_bn(network, f"{name}.kept.depthwise", tensor, 2)
                kept = _conv_bn_relu(network, f"{name}.kept.pointwise", kept, filters // 2, 1)
                branch = _branch(network, name, tensor, filters // 2, 2)
            else:
                half = filters // 2
                kept = network.some_channels(f"{name}.kept", tensor, 0, half)
                split = network.some_channels(f"{name}.split", tensor, half, filters)
                branch = _branch(network, name, split, half, 1)
            joined = network.concat(f"{name}.concat", [kept, branch])
            tensor = network.shuffle(f"{name}.shuffle", joined, 2)
    tensor = _conv_bn_relu(network, "conv5", tensor, 1024, 1)
    tensor = network.flatten("flatten", network.global_average_pool("avgpool", tensor))
    return network.graph(network.dense("dense", tensor, 1000, output="logits"))


def _branch(network: NetworkBuilder, name: str, tensor: str, filters: int, stride: int) -> str:
    """1x1, depthwise 3x3 and 1x1 convolution."""
    tensor = _conv_bn_relu(network, f"{name}.expand", tensor, filters, 1)
    tensor = _depthwise_bn(network, f"{name}.depthwise", tensor, stride)
    return _conv_bn_relu(network, f"{name}.pointwise", tensor, filters, 1)


def _depthwise_bn(network: NetworkBuilder, name: str, tensor: str, stride: int) -> str:
    channels = network.channels(tensor)
    tensor = network.conv(f"{name}.conv", tensor, channels, 3, stride=stride, pad=1, group=channels)
    return network.batch_norm(f"{name}.bn", tensor)


def _conv_bn_relu(
    network: NetworkBuilder, name: str, tensor: str, filters: int, kernel: int, stride: int = 1
) -> str:
    tensor = network.conv(f"{name}.conv", tensor, filters, kernel, stride=stride, pad=kernel // 2)
    return network.relu(f"{name}.relu", network.batch_norm(f"{name}.bn", tensor))

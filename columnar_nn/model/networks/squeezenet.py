"""SqueezeNet (Iandola et al., arXiv:1602.07360), version 1.1 of its authors."""

from __future__ import annotations

from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder

FIRES = {2: (16, 64), 3: (16, 64), 4: (32, 128), 5: (32, 128)} | {
    6: (48, 192),
    7: (48, 192),
    8: (64, 256),
    9: (64, 256),
}
"""Squeeze filters and filters of each of the two expansions, by the paper's fire number."""


def squeezenet(seed: int | None = 0, *, resolution: int = 224) -> Graph:
    """Eight fire modules and a convolution as classifier; 1,235,496 parameters.

    Input "image" [N, 3, resolution, resolution], output "logits" [N, 1000].
    """
    network = NetworkBuilder("squeezenet", (3, resolution, resolution), seed)
    tensor = network.relu("relu1", network.conv("conv1", "image", 64, 3, stride=2, bias=True))
    for number, (squeeze, expand) in FIRES.items():
        if number in (2, 4, 6):
            tensor = network.max_pool(f"maxpool{number}", tensor, 3, 2, ceil=True)
        name = f"fire{number}"
        tensor = network.conv(f"{name}.squeeze", tensor, squeeze, 1, bias=True)
        tensor = network.relu(f"{name}.squeeze.relu", tensor)
        halves = []
        for kernel in (1, 3):
            half = f"{name}.expand{kernel}x{kernel}"
            expanded = network.conv(half, tensor, expand, kernel, pad=kernel // 2, bias=True)
            halves.append(network.relu(f"{half}.relu", expanded))
        tensor = network.concat(f"{name}.concat", halves)
    tensor = network.relu("relu10", network.conv("conv10", tensor, 1000, 1, bias=True))
    return network.graph(network.flatten("logits", network.global_average_pool("avgpool", tensor)))

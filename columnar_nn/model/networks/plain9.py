"""The study's network."""

from __future__ import annotations

from columnar_nn.errors import UsageError
from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder

FILTERS = (16, 16, 32, 32, 64, 64, 1)
_KERNEL = 3


def plain9(seed: int | None = 0, *, width: int = 1, depth: int = 1, resolution: int = 32) -> Graph:
    """Seven 3x3 valid convolutions, each with a ReLU, and a dense layer; 75,907 parameters.

    Input "image" [N, 3, resolution, resolution], output "logits" [N, 10]. All convolutions but the
    last have `width` times their filters, and each of them stands there `depth` times. Raises
    UsageError if the images are too small for so many.
    """
    *body, last = FILTERS
    layers = [filters * width for filters in body for _ in range(depth)] + [last]
    smallest = 1 + (_KERNEL - 1) * len(layers)
    if resolution < smallest:
        raise UsageError(
            f"plain9 with {len(layers)} convolutions takes images of at least {smallest} x "
            f"{smallest}, not {resolution} x {resolution}: add @resolution={smallest}, or more"
        )
    network = NetworkBuilder("plain9", (3, resolution, resolution), seed)
    tensor = "image"
    for index, filters in enumerate(layers, start=1):
        tensor = network.conv(f"conv{index}", tensor, filters, _KERNEL, bias=True)
        tensor = network.relu(f"relu{index}", tensor)
    tensor = network.flatten("flatten", tensor)
    return network.graph(network.dense("dense", tensor, 10, output="logits"))

"""ConvNeXt (Liu et al., arXiv:2201.03545)."""

from __future__ import annotations

from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder

STAGES = ((96, 3), (192, 3), (384, 9), (768, 3))
"""Channels and blocks of each stage of the smallest one, T."""

_LAST, _FIRST = (0, 2, 3, 1), (0, 3, 1, 2)
"""Where a transposition takes the channels of an image."""


def convnext_tiny(seed: int | None = 0, *, resolution: int = 224) -> Graph:
    """Eighteen blocks of a depthwise 7x7 convolution and two dense layers; 28,589,128 parameters.

    Input "image" [N, 3, resolution, resolution], output "logits" [N, 1000]. Layers are normalised
    over the channels of each pixel, which are last there.
    """
    network = NetworkBuilder("convnext_tiny", (3, resolution, resolution), seed)
    tensor = network.conv("stem", "image", STAGES[0][0], 4, stride=4, bias=True)
    tensor = _normalized(network, "stem.norm", tensor)
    for stage, (channels, num_blocks) in enumerate(STAGES, start=1):
        if stage > 1:
            name = f"downsample{stage}"
            tensor = _normalized(network, f"{name}.norm", tensor)
            tensor = network.conv(name, tensor, channels, 2, stride=2, bias=True)
        for block in range(num_blocks):
            tensor = _block(network, f"stage{stage}.{block}", tensor)
    tensor = network.flatten("flatten", network.global_average_pool("avgpool", tensor))
    tensor = network.layer_norm("last.norm", tensor)
    return network.graph(network.dense("dense", tensor, 1000, output="logits"))


def _block(network: NetworkBuilder, name: str, tensor: str) -> str:
    channels = network.channels(tensor)
    branch = network.conv(
        f"{name}.depthwise", tensor, channels, 7, pad=3, group=channels, bias=True
    )
    branch = network.layer_norm(
        f"{name}.norm", network.transpose(f"{name}.channels_last", branch, _LAST)
    )
    branch = network.gelu(f"{name}.gelu", network.linear(f"{name}.expand", branch, 4 * channels))
    branch = network.linear(f"{name}.project", branch, channels)
    branch = network.transpose(f"{name}.channels_first", branch, _FIRST)
    factors = network.uniform(0.3, 0.7, channels).reshape(channels, 1, 1)
    return network.add(f"{name}.add", tensor, network.scale(f"{name}.scale", branch, factors))


def _normalized(network: NetworkBuilder, name: str, tensor: str) -> str:
    """An image normalised over the channels of each pixel."""
    tensor = network.transpose(f"{name}.channels_last", tensor, _LAST)
    tensor = network.layer_norm(name, tensor)
    return network.transpose(f"{name}.channels_first", tensor, _FIRST)

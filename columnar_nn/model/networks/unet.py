"""U-Net (Ronneberger et al., arXiv:1505.04597)."""

from __future__ import annotations

from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder

FILTERS = (64, 128, 256, 512)
"""Of each level from the top; below them are twice as many as of the last."""


def unet(seed: int | None = 0, *, resolution: int = 128) -> Graph:
    """23 convolutions down to a sixteenth of the image and up again; 31,031,810 parameters.

    Input "image" [N, 3, resolution, resolution], output "mask" [N, 2, resolution, resolution]: two
    classes for each pixel. The paper's images have one channel and 572 x 572 pixels, and lose a
    border at each convolution; here they are padded, as most versions do, so that the mask has the
    image's size.
    """
    network = NetworkBuilder("unet", (3, resolution, resolution), seed)
    tensor, skipped = "image", []
    for level, filters in enumerate(FILTERS, start=1):
        tensor = _two_convs(network, f"down{level}", tensor, filters)
        skipped.append(tensor)
        tensor = network.max_pool(f"maxpool{level}", tensor, 2, 2)
    tensor = _two_convs(network, "bottom", tensor, 2 * FILTERS[-1])
    for level in range(len(FILTERS), 0, -1):
        filters = FILTERS[level - 1]
        tensor = network.up_conv(f"up{level}.conv", tensor, filters, 2)
        tensor = network.concat(f"up{level}.concat", [skipped[level - 1], tensor])
        tensor = _two_convs(network, f"up{level}", tensor, filters)
    return network.graph(network.conv("mask", tensor, 2, 1, bias=True))


def _two_convs(network: NetworkBuilder, name: str, tensor: str, filters: int) -> str:
    for number in (1, 2):
        tensor = network.conv(f"{name}.conv{number}", tensor, filters, 3, pad=1, bias=True)
        tensor = network.relu(f"{name}.relu{number}", tensor)
    return tensor

"""Vision transformers (Dosovitskiy et al., arXiv:2010.11929)."""

from __future__ import annotations

import numpy as np

from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder

CHANNELS, HEADS, BLOCKS = 192, 3, 12
"""Of DeiT-Ti (Touvron et al., arXiv:2012.12877), the transformer called tiny."""
PATCH = 4
"""Pixels of a side: 64 patches of a CIFAR image."""


def vit_tiny(seed: int | None = 0, *, resolution: int = 32) -> Graph:
    """Twelve transformer blocks over patches of 4 x 4 pixels of CIFAR-10; 5,362,570 parameters.

    Input "image" [N, 3, resolution, resolution], output "logits" [N, 10] of the class token. That
    token and its position are one vector, as are all that are only added to each other.
    """
    network = NetworkBuilder("vit_tiny", (3, resolution, resolution), seed)
    tokens = (resolution // PATCH) ** 2
    tensor = network.conv("patches", "image", CHANNELS, PATCH, stride=PATCH, bias=True)
    tensor = network.reshape("patches.flat", tensor, [0, CHANNELS, tokens])
    tensor = network.transpose("tokens", tensor, [0, 2, 1])
    tensor = network.room_before("tokens.class", tensor)
    positions = network.normal(0.5, (1, tokens + 1, CHANNELS))
    tensor = network.add_constant("positions", tensor, positions)
    for block in range(BLOCKS):
        name = f"block{block}"
        branch = network.layer_norm(f"{name}.norm1", tensor)
        branch = _attention(network, f"{name}.attention", branch)
        tensor = network.add(f"{name}.add1", tensor, branch)
        branch = network.layer_norm(f"{name}.norm2", tensor)
        branch = network.linear(f"{name}.expand", branch, 4 * CHANNELS)
        branch = network.linear(f"{name}.project", network.gelu(f"{name}.gelu", branch), CHANNELS)
        tensor = network.add(f"{name}.add2", tensor, branch)
    tensor = network.first_token("class", network.layer_norm("norm", tensor))
    return network.graph(network.dense("dense", tensor, 10, output="logits"))


def _attention(network: NetworkBuilder, name: str, tensor: str) -> str:
    """Means of the values of all tokens, weighed by how like their keys are to a query."""
    tokens, width = network.size(tensor, 1), CHANNELS // HEADS
    together = network.linear(f"{name}.qkv", tensor, 3 * CHANNELS)
    heads = []
    for index, (what, perm) in enumerate(
        {"queries": (0, 2, 1, 3), "keys": (0, 2, 3, 1), "values": (0, 2, 1, 3)}.items()
    ):
        start, role = index * CHANNELS, f"{name}.{what}"
        part = network.some_channels(role, together, start, start + CHANNELS, axis=2)
        part = network.reshape(f"{role}.apart", part, [0, tokens, HEADS, width])
        heads.append(network.transpose(f"{role}.heads", part, perm))
    queries, keys, values = heads
    likeness = network.mat_mul(f"{name}.likeness", queries, keys)
    scaled = network.scale(f"{name}.scaled", likeness, np.array(width**-0.5))
    shares = network.softmax(f"{name}.shares", scaled)
    means = network.mat_mul(f"{name}.means", shares, values)
    means = network.transpose(f"{name}.tokens", means, [0, 2, 1, 3])
    means = network.reshape(f"{name}.joined", means, [0, tokens, CHANNELS])
    return network.linear(f"{name}.project", means, CHANNELS)

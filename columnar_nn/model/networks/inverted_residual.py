"""The block of mobile networks: expand, convolve each channel, excite, project."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from columnar_nn.model.networks.builder import NetworkBuilder

Activation = Callable[[NetworkBuilder, str, str], str]
"""A method of NetworkBuilder that takes a name and a tensor."""


class Excitation(NamedTuple):
    """Squeeze-and-excitation (Hu et al., arXiv:1709.01507): through `squeezed` channels."""

    squeezed: int
    activation: Activation
    gate: Activation


def inverted_residual(
    network: NetworkBuilder,
    name: str,
    tensor: str,
    *,
    expanded: int,
    filters: int,
    kernel: int,
    stride: int,
    activation: Activation,
    excitation: Excitation | None = None,
) -> str:
    """The block (Sandler et al., arXiv:1801.04381), with a shortcut where the shape stays."""
    channels, branch = network.channels(tensor), tensor
    if expanded != channels:
        branch = conv_bn(network, f"{name}.expand", branch, expanded, 1)
        branch = activation(network, f"{name}.expand.act", branch)
    branch = conv_bn(
        network, f"{name}.depthwise", branch, expanded, kernel, stride=stride, group=expanded
    )
    branch = activation(network, f"{name}.depthwise.act", branch)
    if excitation:
        branch = _excited(network, f"{name}.excite", branch, excitation)
    branch = conv_bn(network, f"{name}.project", branch, filters, 1)
    residual = stride == 1 and channels == filters
    return network.add(f"{name}.add", tensor, branch) if residual else branch


def conv_bn(
    network: NetworkBuilder,
    name: str,
    tensor: str,
    filters: int,
    kernel: int,
    *,
    stride: int = 1,
    group: int = 1,
) -> str:
    """A convolution that keeps the size but for its stride, and batch normalisation."""
    tensor = network.conv(
        f"{name}.conv", tensor, filters, kernel, stride=stride, pad=kernel // 2, group=group
    )
    return network.batch_norm(f"{name}.bn", tensor)


def _excited(network: NetworkBuilder, name: str, tensor: str, excitation: Excitation) -> str:
    """Every channel times a factor from the means of all of them."""
    means = network.global_average_pool(f"{name}.pool", tensor)
    small = network.conv(f"{name}.squeeze", means, excitation.squeezed, 1, bias=True)
    small = excitation.activation(network, f"{name}.squeeze.act", small)
    gate = network.conv(f"{name}.expand", small, network.channels(tensor), 1, bias=True)
    return network.multiply(name, tensor, excitation.gate(network, f"{name}.gate", gate))

"""Residual networks (He et al., arXiv:1512.03385) and their kin with groups."""

from __future__ import annotations

from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder


def resnet20(
    seed: int | None = 0, *, width: int = 1, depth: int = 1, resolution: int = 32
) -> Graph:
    """The paper's 20-layer network for CIFAR-10: three stages of three basic blocks.

    Input "image" [N, 3, resolution, resolution], output "logits" [N, 10]. Where a stage begins, the
    shortcut is a 1x1 convolution with batch normalisation (the paper's option B; its CIFAR networks
    used option A, zero-padded channels). There are `width` times as many filters, and `depth` times
    as many blocks a stage.
    """
    network = NetworkBuilder("resnet20", (3, resolution, resolution), seed)
    tensor = network.conv("conv1", "image", 16 * width, 3, pad=1)
    tensor = network.relu("relu1", network.batch_norm("bn1", tensor))
    for stage, filters in enumerate((16, 32, 64), start=1):
        for block in range(3 * depth):
            stride = 2 if stage > 1 and block == 0 else 1
            name = f"layer{stage}.{block}"
            tensor = _basic_block(network, name, tensor, filters * width, stride)
    return _head(network, tensor, 10)


def resnet18(seed: int | None = 0, *, resolution: int = 224) -> Graph:
    """Four stages of two basic blocks for ImageNet; 11,689,512 trainable parameters.

    Input "image" [N, 3, resolution, resolution], output "logits" [N, 1000].
    """
    network, tensor = _stem("resnet18", resolution, seed)
    for stage, filters in enumerate((64, 128, 256, 512), start=1):
        for block in range(2):
            stride = 2 if stage > 1 and block == 0 else 1
            name = f"layer{stage}.{block}"
            tensor = _basic_block(network, name, tensor, filters, stride)
    return _head(network, tensor, 1000)


def resnet50(seed: int | None = 0, *, resolution: int = 224) -> Graph:
    """Sixteen bottleneck blocks for ImageNet; 25,557,032 trainable parameters.

    Input "image" [N, 3, resolution, resolution], output "logits" [N, 1000]. A stage's stride is in
    its first 3x3 convolution, as in torchvision's version, not in the paper's 1x1 before it.
    """
    return _bottlenecks("resnet50", resolution, seed, narrow=1, group=1)


def resnext50(seed: int | None = 0, *, resolution: int = 224) -> Graph:
    """ResNeXt-50 32x4d (Xie et al., arXiv:1611.05431); 25,028,904 trainable parameters.

    As resnet50, but the 3x3 convolutions are twice as wide, in 32 groups.
    """
    return _bottlenecks("resnext50", resolution, seed, narrow=2, group=32)


def _bottlenecks(name: str, resolution: int, seed: int | None, *, narrow: int, group: int) -> Graph:
    """Fifty layers; 3x3 convolutions have `narrow` times a stage's filters in `group` groups."""
    network, tensor = _stem(name, resolution, seed)
    stages = ((3, 64), (4, 128), (6, 256), (3, 512))
    for stage, (num_blocks, filters) in enumerate(stages, start=1):
        for block in range(num_blocks):
            stride = 2 if stage > 1 and block == 0 else 1
            at = f"layer{stage}.{block}"
            wide = 4 * filters
            tensor = _bottleneck(network, at, tensor, narrow * filters, wide, stride, group)
    return _head(network, tensor, 1000)


def _stem(name: str, resolution: int, seed: int | None) -> tuple[NetworkBuilder, str]:
    """What comes before the blocks of an ImageNet network: 7x7 convolution and pooling."""
    network = NetworkBuilder(name, (3, resolution, resolution), seed)
    tensor = network.conv("conv1", "image", 64, 7, stride=2, pad=3)
    tensor = network.relu("relu1", network.batch_norm("bn1", tensor))
    return network, network.max_pool("maxpool", tensor, 3, 2, pad=1)


def _head(network: NetworkBuilder, tensor: str, num_classes: int) -> Graph:
    """What comes after the blocks: global average and dense layer."""
    tensor = network.flatten("flatten", network.global_average_pool("avgpool", tensor))
    return network.graph(network.dense("dense", tensor, num_classes, output="logits"))


def _basic_block(network: NetworkBuilder, name: str, tensor: str, filters: int, stride: int) -> str:
    """Two 3x3 convolutions around a shortcut."""
    branch = network.conv(f"{name}.conv1", tensor, filters, 3, stride=stride, pad=1)
    branch = network.relu(f"{name}.relu1", network.batch_norm(f"{name}.bn1", branch))
    branch = network.conv(f"{name}.conv2", branch, filters, 3, pad=1)
    branch = network.batch_norm(f"{name}.bn2", branch)
    shortcut = _shortcut(network, name, tensor, filters, stride)
    return network.relu(f"{name}.relu2", network.add(f"{name}.add", branch, shortcut))


def _bottleneck(
    network: NetworkBuilder,
    name: str,
    tensor: str,
    narrow: int,
    wide: int,
    stride: int,
    group: int,
) -> str:
    """1x1 convolution down to `narrow` filters, 3x3, and 1x1 up to `wide`, around a shortcut."""
    branch = network.conv(f"{name}.conv1", tensor, narrow, 1)
    branch = network.relu(f"{name}.relu1", network.batch_norm(f"{name}.bn1", branch))
    branch = network.conv(f"{name}.conv2", branch, narrow, 3, stride=stride, pad=1, group=group)
    branch = network.relu(f"{name}.relu2", network.batch_norm(f"{name}.bn2", branch))
    branch = network.conv(f"{name}.conv3", branch, wide, 1)
    branch = network.batch_norm(f"{name}.bn3", branch)
    shortcut = _shortcut(network, name, tensor, wide, stride)
    return network.relu(f"{name}.relu3", network.add(f"{name}.add", branch, shortcut))


def _shortcut(network: NetworkBuilder, name: str, tensor: str, filters: int, stride: int) -> str:
    """The block's input itself, projected where its shape changes."""
    if network.channels(tensor) == filters and stride == 1:
        return tensor
    projected = network.conv(f"{name}.downsample.conv", tensor, filters, 1, stride=stride)
    return network.batch_norm(f"{name}.downsample.bn", projected)

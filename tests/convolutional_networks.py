"""Ten small networks in PyTorch, of the kinds whose convolutions differ in how they round."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor, nn

SIDE = 24


def conv(channels: int, filters: int, kernel: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    convolution = nn.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(filters), nn.ReLU())


def plain(channels: int, filters: int) -> nn.Sequential:
    """Convolution and ReLU, initialised so that activations keep their variance."""
    convolution = nn.Conv2d(channels, filters, 3, padding=1)
    nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
    return nn.Sequential(convolution, nn.ReLU())


class Residual(nn.Module):
    """x + branch(x), rectified."""

    def __init__(self, *branch: nn.Module) -> None:
        super().__init__()
        self.branch = nn.Sequential(*branch)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(x + self.branch(x))


class Branches(nn.Module):
    """Branches side by side, as in Inception."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.branches = nn.ModuleList(branches)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([branch(x) for branch in self.branches], dim=1)


class Aggregated(nn.Module):
    """Layers one after the other whose outputs are all joined at the end, as in VoVNet."""

    def __init__(self, channels: int, filters: int, depth: int, joined: int) -> None:
        super().__init__()
        sizes = [channels] + [filters] * depth
        self.layers = nn.ModuleList(conv(sizes[i], filters) for i in range(depth))
        self.join = conv(sum(sizes), joined, 1)

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.layers:
            features.append(layer(features[-1]))
        return self.join(torch.cat(features, dim=1))


class Dense(nn.Module):
    """Every layer reads the outputs of all before it, as in DenseNet."""

    def __init__(self, channels: int, growth: int, depth: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(conv(channels + i * growth, growth) for i in range(depth))

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(x)], dim=1)
        return x


def of_many_scales(module: nn.Module) -> nn.Module:
    """The module with batch norms whose channels' scales spread over a factor of about 1,000."""
    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            nn.init.normal_(norm.weight)
            norm.weight.data = torch.exp(1.5 * norm.weight.data)
            nn.init.normal_(norm.bias)
    return module


def residual() -> nn.Module:
    blocks = [Residual(conv(32, 32), conv(32, 32)[:2]) for _ in range(4)]
    return nn.Sequential(conv(3, 32), *blocks)


def bottlenecks() -> nn.Module:
    blocks = [Residual(conv(128, 32, 1), conv(32, 32), conv(32, 128, 1)[:2]) for _ in range(4)]
    return nn.Sequential(conv(3, 128), *blocks)


def inception() -> nn.Module:
    def block(channels: int) -> nn.Module:
        return Branches(
            conv(channels, 16, 1),
            nn.Sequential(conv(channels, 16, 1), conv(16, 24)),
            nn.Sequential(conv(channels, 16, 1), conv(16, 24), conv(24, 24)),
            nn.Sequential(nn.AvgPool2d(3, 1, 1), conv(channels, 16, 1)),
        )

    return nn.Sequential(conv(3, 32), block(32), block(80), block(80))


def aggregated() -> nn.Module:
    return nn.Sequential(conv(3, 32), Aggregated(32, 32, 5, 64), Aggregated(64, 48, 5, 96))


def dense() -> nn.Module:
    return nn.Sequential(conv(3, 24), Dense(24, 16, 6), conv(120, 48, 1), Dense(48, 16, 4))


def without_norms() -> nn.Module:
    return nn.Sequential(plain(3, 32), *[plain(32, 32) for _ in range(6)])


def deep() -> nn.Module:
    return nn.Sequential(conv(3, 16), *[conv(16, 16) for _ in range(19)])


def many_channels() -> nn.Module:
    return nn.Sequential(conv(3, 256, stride=2), conv(256, 256), conv(256, 512), conv(512, 256))


def scales() -> nn.Module:
    return of_many_scales(nn.Sequential(conv(3, 32), *[conv(32, 32) for _ in range(5)]))


def few_channels() -> nn.Module:
    return nn.Sequential(conv(3, 5), conv(5, 10), nn.MaxPool2d(3, 1, 1), conv(10, 14), conv(14, 20))


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    builder.__name__: builder
    for builder in (
        residual,
        bottlenecks,
        inception,
        aggregated,
        dense,
        without_norms,
        deep,
        many_channels,
        scales,
        few_channels,
    )
}


def export(name: str, folder: Path) -> Path:
    """The network with batch norms that have seen some images, as an ONNX file that takes images
    [N, 3, SIDE, SIDE].

    Its output is a class for each pixel: a mean over all pixels would hide what rounds in each of
    them, and leave what rounds once for all, the weights with batch norms folded in.
    """
    torch.manual_seed(1)
    module = nn.Sequential(NETWORKS[name](), nn.LazyConv2d(4, 1))
    with torch.no_grad():
        for _ in range(3):
            module(torch.rand(8, 3, SIDE, SIDE))
    path = folder / f"{name}.onnx"
    torch.onnx.export(
        module.eval(),
        (torch.rand(1, 3, SIDE, SIDE),),
        path,
        dynamo=False,
        input_names=["x"],
        dynamic_axes={"x": {0: "n"}},
    )
    return path

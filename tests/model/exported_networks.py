"""Small networks in PyTorch, one for each habit of well-known architectures."""

from __future__ import annotations

import torch
from torch import nn

functional = nn.functional


class Residual(nn.Module):
    """A block with a projected shortcut, batch norm, pooling in ceil mode and dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norm = nn.BatchNorm2d(8)
        self.second = nn.Conv2d(8, 8, 3, padding="same", dilation=2)
        self.shortcut = nn.Conv2d(3, 8, 1, stride=2)
        self.dense = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu(self.norm(self.first(x)))
        y = functional.leaky_relu(self.second(y) + self.shortcut(x), 0.1)
        y = functional.max_pool2d(y, 3, stride=2, ceil_mode=True)
        y = functional.avg_pool2d(y, 2, padding=1, count_include_pad=False)
        y = functional.dropout(functional.adaptive_avg_pool2d(y, 1), 0.5, self.training)
        return functional.softmax(self.dense(torch.flatten(y, 1)), dim=1)


class Shuffle(nn.Module):
    """ShuffleNet's habits: chunk, concatenate, shuffle channels, depthwise, hard swish."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.depthwise = nn.Conv2d(8, 8, 3, groups=8, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.slope = nn.PReLU(8)
        self.dense = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        left, right = functional.relu6(self.first(x)).chunk(2, dim=1)
        y = torch.cat([right, torch.sigmoid(left) * 2 - 0.5], dim=1)
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, c, h, w)
        y = self.slope(functional.hardswish(self.norm(self.depthwise(y))))
        y = functional.pad(y[:, :, 1:, ::2], (1, 0, 2, 1), value=0.5)
        return functional.log_softmax(
            self.dense(torch.tanh(y).mean(dim=(2, 3)).view(x.size(0), -1)), dim=1
        )


class Mobile(nn.Module):
    """MobileNetV3's habits, squeeze-and-excitation above all, and attention over the pixels."""

    def __init__(self) -> None:
        super().__init__()
        self.expand = nn.Conv2d(3, 24, 1, bias=False)
        self.norm = nn.BatchNorm2d(24)
        self.depthwise = nn.Conv2d(24, 24, 5, stride=2, padding=2, groups=24)
        self.squeeze = nn.Conv2d(24, 8, 1)
        self.excite = nn.Conv2d(8, 24, 1)
        self.project = nn.Conv2d(24, 16, 1)
        self.keys, self.values = nn.Linear(16, 4), nn.Linear(16, 16)
        self.dense = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.depthwise(functional.hardswish(self.norm(self.expand(x))))
        gate = functional.silu(self.squeeze(functional.adaptive_avg_pool2d(y, 1)))
        y = self.project(functional.hardsigmoid(self.excite(gate)) * y)
        pixels = y.flatten(2).transpose(1, 2)
        keys = self.keys(pixels)
        weights = torch.softmax(keys @ keys.transpose(1, 2) / 2.0, dim=-1)
        return self.dense((pixels + weights @ self.values(pixels)).mean(dim=1))


class Heads(nn.Module):
    """A vision transformer's habits: pixels as tokens, attention in two heads, adaptive pooling."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.qkv, self.project = nn.Linear(8, 24), nn.Linear(8, 8)
        self.dense = nn.Linear(32, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        n, length, width = tokens.shape
        q, k, v = (
            part.reshape(n, length, 2, width // 2).transpose(1, 2)
            for part in self.qkv(tokens).chunk(3, dim=-1)
        )
        y = torch.softmax(q @ k.transpose(-2, -1), dim=-1) @ v
        y = tokens + self.project(y.transpose(1, 2).reshape(n, length, width))
        y = functional.adaptive_avg_pool2d(y.transpose(1, 2).reshape(n, width, 4, 4), 2)
        return self.dense(y.view(n, -1))


class Tokens(nn.Module):
    """torchvision's vision transformer: a class token, and PyTorch's own attention."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 4, stride=4)
        self.token = nn.Parameter(torch.randn(1, 1, 8))
        self.positions = nn.Parameter(torch.randn(1, 17, 8))
        self.norm = nn.LayerNorm(8)
        self.attention = nn.MultiheadAttention(8, 2, batch_first=True)
        self.dense = nn.Linear(8, 5)
        nn.init.normal_(self.attention.out_proj.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, _, height, width = x.shape
        patches = self.patches(x).reshape(n, 8, height // 4 * (width // 4)).permute(0, 2, 1)
        tokens = torch.cat([self.token.expand(n, -1, -1), patches], dim=1) + self.positions
        y = self.norm(tokens)
        y, _ = self.attention(y, y, y, need_weights=False)
        return self.dense((tokens + y)[:, 0])


class Mixing(Heads):
    """The same, but a softmax over the images."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(super().forward(x), dim=0)


class Plain(nn.Module):
    """VGG's and AlexNet's habits: convolutions, pools, dropout, dense layers."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Conv2d(3, 8, 5, padding=2),
            nn.ReLU(),
            nn.BatchNorm2d(8),
            nn.MaxPool2d(3, 2),
            nn.Conv2d(8, 12, 3, padding=1),
            nn.ELU(0.5),
            nn.MaxPool2d(2, 2),
            nn.Flatten(),
            nn.Dropout(),
            nn.Linear(108, 20),
            nn.ReLU(inplace=True),
            nn.Linear(20, 5),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.layers(x)


class Bottleneck(nn.Module):
    """ResNeXt's habits: a bottleneck of grouped convolutions, twice with the same edge."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 7, stride=2, padding=3, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in (16, 8, 8, 16))
        self.reduce = nn.Conv2d(16, 8, 1, bias=False)
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=4, bias=False)
        self.expand = nn.Conv2d(8, 16, 1, bias=False)
        self.dense = nn.Linear(16, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.max_pool2d(functional.relu(self.norms[0](self.stem(x))), 3, 2, 1)
        for _ in range(2):
            y = functional.relu(self.norms[1](self.reduce(x)))
            y = functional.relu(self.norms[2](self.grouped(y)))
            x = functional.relu(self.norms[3](self.expand(y)) + x)
        return self.dense(x.mean((-2, -1)))


class Dense(nn.Module):
    """DenseNet's habits: normalise before convolving, and concatenate all that was made."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norms = nn.ModuleList(nn.BatchNorm2d(6 + 4 * i) for i in range(4))
        self.convolutions = nn.ModuleList(
            nn.Conv2d(6 + 4 * i, 4, 3, padding=1, bias=False) for i in range(3)
        )
        self.transition = nn.Conv2d(18, 9, 1, bias=False)
        self.dense = nn.Linear(9, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        made = [self.stem(x)]
        for norm, convolution in zip(self.norms, self.convolutions, strict=False):
            made.append(convolution(functional.relu(norm(torch.cat(made, 1)))))
        y = functional.avg_pool2d(self.transition(self.norms[3](torch.cat(made, 1))), 2)
        return self.dense(torch.flatten(functional.adaptive_avg_pool2d(y, (1, 1)), 1))


class Inception(nn.Module):
    """GoogLeNet's habits: branches of windows of other sizes, joined."""

    def __init__(self) -> None:
        super().__init__()
        self.point = nn.Conv2d(3, 4, 1)
        self.square = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 6, 3, padding=1))
        self.tall = nn.Conv2d(3, 5, (7, 1), padding=(3, 0))
        self.wide = nn.Conv2d(5, 5, (1, 7), padding=(0, 3))
        self.pooled = nn.Conv2d(3, 2, 1)
        self.dense = nn.Linear(17 * 25, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = self.pooled(functional.max_pool2d(x, 3, 1, 1))
        y = torch.cat([self.point(x), self.square(x), self.wide(self.tall(x)), pooled], dim=1)
        y = functional.avg_pool2d(functional.relu(y), 5, 3, count_include_pad=False, ceil_mode=True)
        return self.dense(y.reshape(y.shape[0], -1))


class Inverted(nn.Module):
    """MobileNetV2's habits: wide depthwise convolutions between narrow edges, ReLU6."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(c) for c in (8, 24, 24, 8))
        self.expand = nn.Conv2d(8, 24, 1, bias=False)
        self.depthwise = nn.Conv2d(24, 24, 3, padding=1, groups=24, bias=False)
        self.project = nn.Conv2d(24, 8, 1, bias=False)
        self.dense = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu6(self.norms[0](self.stem(x)))
        y = functional.relu6(self.norms[1](self.expand(x)))
        y = functional.relu6(self.norms[2](self.depthwise(y)))
        x = x + self.norms[3](self.project(y))
        return self.dense(functional.dropout(x.mean([2, 3]), 0.2, self.training))


class Fire(nn.Module):
    """SqueezeNet's habits: squeeze, expand twice, concatenate; a convolution as classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(3, 4, 1)
        self.expand = nn.ModuleList([nn.Conv2d(4, 6, 1), nn.Conv2d(4, 6, 3, padding=1)])
        self.classifier = nn.Conv2d(12, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.relu(self.squeeze(functional.max_pool2d(x, 3, 2, ceil_mode=True)))
        x = torch.cat([functional.relu(expand(x)) for expand in self.expand], 1)
        x = functional.adaptive_avg_pool2d(functional.relu(self.classifier(x)), (1, 1))
        return functional.log_softmax(torch.squeeze(torch.squeeze(x, 3), 2), 1)


class Reparametrised(nn.Module):
    """RepVGG's and YOLO's habits: parallel branches of one shape, slices, space to depth."""

    def __init__(self) -> None:
        super().__init__()
        self.focus = nn.Conv2d(12, 8, 3, padding=1)
        self.branches = nn.ModuleList([nn.Conv2d(8, 8, 3, padding=1), nn.Conv2d(8, 8, 1)])
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Conv2d(8, 5, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        corners = [x[..., i::2, j::2] for i in (0, 1) for j in (0, 1)]
        x = functional.silu(self.focus(torch.cat(corners, 1)))
        x = functional.relu(sum(branch(x) for branch in self.branches) + self.norm(x))
        low, high = torch.split(self.head(x), [3, 5], dim=2)
        return torch.tanh(high.mean((2, 3))) - low.mean((2, 3)) / 2


NETWORKS = [
    Residual,
    Shuffle,
    Mobile,
    Heads,
    Plain,
    Bottleneck,
    Dense,
    Inception,
    Inverted,
    Fire,
    Reparametrised,
]

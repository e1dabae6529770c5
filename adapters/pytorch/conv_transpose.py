"""ConvTranspose in PyTorch; see `operators`."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F  # noqa: N812 - the name everybody knows it by
from torch import Tensor

from adapters.pytorch.registry import implements
from columnar_nn.model.shape_rules.operands import Operands
from columnar_nn.model.shape_rules.window import conv_transpose_window

CONV_TRANSPOSE: dict[int, Callable[..., Tensor]] = {
    1: F.conv_transpose1d,
    2: F.conv_transpose2d,
    3: F.conv_transpose3d,
}


@implements("ConvTranspose")
def conv_transpose(node: Operands, x: Tensor, w: Tensor, b: Tensor | None = None) -> Tensor:
    window, added = conv_transpose_window(node), node.attribute("output_padding")
    rank = len(window.output)
    before, after = window.pads[:rank], window.pads[rank:]
    strides, dilations, group = window.strides, window.dilations, node.attribute("group")
    fits = all(a < max(s, d) for a, s, d in zip(added, strides, dilations, strict=True))
    operation = CONV_TRANSPOSE[rank]
    if before == after and fits:
        return operation(x, w, b, strides, before, added, group, dilations)
    # PyTorch takes one padding for both ends, and no more at the end than a step: done afterwards.
    whole = operation(x, w, None, strides, 0, 0, group, dilations)
    widths = [(-first, more - last) for first, last, more in zip(before, after, added, strict=True)]
    made = F.pad(whole, [width for both in reversed(widths) for width in both])
    return made if b is None else made + b.reshape(-1, *[1] * rank)

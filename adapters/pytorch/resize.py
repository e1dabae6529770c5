"""Resize in PyTorch: F.interpolate where it has the same taps, else their sums axis by axis."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - the name everybody knows it by
from torch import Tensor

from adapters.network_nodes import same_taps
from adapters.pytorch.registry import implements
from columnar_nn.model.shape_rules.operands import Operands, fixed
from columnar_nn.model.shape_rules.resize import Resized, Taps, resized_axes, taps

LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}
HALF_PIXEL = {"coordinate_transformation_mode": "half_pixel"}
ALIGNED = {"coordinate_transformation_mode": "align_corners"}
KEYS = {"mode": "cubic", "cubic_coeff_a": -0.75, "exclude_outside": 0, "antialias": 0}
PLAIN = {"mode": "linear", "exclude_outside": 0, "antialias": 0}
FLOOR = {"mode": "nearest", "nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
EXACT = {"mode": "nearest", "nearest_mode": "round_prefer_ceil", **HALF_PIXEL}


@implements("Resize")
def resize(node: Operands, x: Tensor, *parameters: Tensor | None) -> Tensor:
    resized = resized_axes(node)
    native = _native(node, resized)
    if native is not None:
        spatial = enumerate(node.shape(0)[2:], start=2)
        sizes = [
            resized[axis].count if axis in resized else fixed(size, f"axis {axis}")
            for axis, size in spatial
        ]
        return F.interpolate(x, sizes, **native)
    for axis, change in resized.items():
        x = _along(x, axis, taps(change, node.node.attributes), node)
    return x


def _native(node: Operands, resized: Mapping[int, Resized]) -> dict[str, Any] | None:
    """The arguments of F.interpolate with which it does the same; None if it does not."""
    rank = len(node.shape(0))
    if min(resized) < 2 or rank not in LINEAR:
        return None
    linear = LINEAR[rank]
    forms: list[tuple[Mapping[str, object], dict[str, Any]]] = [
        (FLOOR, {"mode": "nearest"}),
        (EXACT, {"mode": "nearest-exact"}),
        ({**PLAIN, **HALF_PIXEL}, {"mode": linear, "align_corners": False}),
        ({**PLAIN, **ALIGNED}, {"mode": linear, "align_corners": True}),
    ]
    if rank == 4:
        forms += [
            ({**KEYS, **HALF_PIXEL}, {"mode": "bicubic", "align_corners": False}),
            ({**KEYS, **ALIGNED}, {"mode": "bicubic", "align_corners": True}),
        ]
    matching = (arguments for form, arguments in forms if same_taps(node, resized, form))
    return next(matching, None)


def _along(x: Tensor, axis: int, axis_taps: Taps, node: Operands) -> Tensor:
    """The weighted sums along one axis."""
    shape = [1] * len(node.shape(0))
    shape[axis] = -1
    total = None
    for sources, weights in zip(axis_taps.sources.T, axis_taps.weights.T, strict=True):
        term = x.index_select(axis, torch.from_numpy(np.ascontiguousarray(sources)))
        if not (weights == 1).all():
            term = term * torch.from_numpy(weights.astype(np.float32)).reshape(shape)
        total = term if total is None else total + term
    assert total is not None
    if axis_taps.outside.any():
        outside = torch.from_numpy(axis_taps.outside).reshape(shape)
        total = total.masked_fill(outside, node.attribute("extrapolation_value"))
    return total

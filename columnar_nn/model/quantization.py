"""QuantizeLinear and DequantizeLinear of what is computed, said by float32 on the integers' grid.

A quantised tensor is float32 that holds whole numbers, those of its type: saturate(round(x / scale)
+ zero point), rounded half to even, is Div, Round, Add, Clip, of which each is exact or rounds as
ONNX does; (q - zero point) * scale is Sub and Mul. So every engine computes the same as with
integers. What they make of constants, such as filters in int8, is worked out at import
(`model.fold`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass

import numpy as np
from onnx import TensorProto, helper

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.expressed import Chain
from columnar_nn.model.node import Node
from columnar_nn.model.onnx_file import FileNode
from columnar_nn.model.rewriting import Rewriting
from columnar_nn.model.shape_rules.operands import normalized_axis

KEEP_GRID = frozenset(
    {"Concat", "DepthToSpace", "Expand", "Flatten", "Gather", "Identity", "MaxPool", "Reshape"}
    | {"Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose", "Unsqueeze"}
)
"""Operators that only move or choose elements: they do to the float32 what they do to integers."""

_TYPES = ("int8", "uint8", "int16", "uint16")


def makes_integers(node: FileNode, quantized: Set[str]) -> bool:
    """Whether what a node makes stands for integers, as the tensors called `quantized` do.

    Raises InvalidModelError if it calculates with them: sums of int8 wrap, those of float32 do not.
    """
    if quantized.isdisjoint(node.inputs):
        return node.op_type == "QuantizeLinear"
    if node.op_type not in KEEP_GRID | {"Cast", "DequantizeLinear"}:
        raise InvalidModelError("calculates with integers; put DequantizeLinear before it")
    return node.op_type in KEEP_GRID


@dataclass(frozen=True)
class _Grid:
    """Scale and zero point, float32 in a shape that broadcasts to the tensor's."""

    scale: np.ndarray
    zero_point: np.ndarray
    dtype: np.dtype


def _grid(node: Node, rewriting: Rewriting) -> _Grid:
    """Raises InvalidModelError for scales or types that are not of this project."""
    scale = _constant(node, rewriting, 1, "scale")
    if scale is None or scale.dtype != np.float32:
        raise InvalidModelError("its scale is not in float32: export it so")
    zero_point = _constant(node, rewriting, 2, "zero point")
    asked = node.attributes.get("output_dtype", TensorProto.UNDEFINED)
    if zero_point is None:
        element = asked or TensorProto.UINT8
        zero_point = np.zeros(scale.shape, helper.tensor_dtype_to_np_dtype(element))
    if str(zero_point.dtype) not in _TYPES:
        raise InvalidModelError(f"{zero_point.dtype} is not supported: {', '.join(_TYPES)} are")
    if zero_point.shape != scale.shape and zero_point.size * scale.size != 1:
        raise InvalidModelError(f"zero points {zero_point.shape} for scales {scale.shape}")
    if node.attributes.get("block_size", 0):
        raise InvalidModelError("blocks are supported of constants only")
    shape = _broadcast_shape(node, rewriting, scale)
    return _Grid(
        scale.reshape(shape), zero_point.astype(np.float32).reshape(shape), zero_point.dtype
    )


def _constant(node: Node, rewriting: Rewriting, index: int, what: str) -> np.ndarray | None:
    """A constant input; None if it is absent."""
    tensor = node.inputs[index] if index < len(node.inputs) else ""
    if tensor and tensor not in rewriting.weights:
        raise InvalidModelError(f"its {what} is computed at run time; it must be a constant")
    return rewriting.weights[tensor] if tensor else None


def _broadcast_shape(node: Node, rewriting: Rewriting, scale: np.ndarray) -> tuple[int, ...]:
    """One scale has no dimension, one for each entry of an axis those that follow it, too."""
    if scale.size == 1:
        return ()
    shape = rewriting.shapes[node.inputs[0]]
    axis = normalized_axis(node.attributes.get("axis", 1), len(shape))
    if scale.ndim != 1 or shape[axis] != scale.size:
        raise InvalidModelError(f"scales {scale.shape} for axis {axis} of {shape}")
    return (scale.size, *(1,) * (len(shape) - axis - 1))


def _quantize(node: Node, rewriting: Rewriting) -> list[Node]:
    grid = _grid(node, rewriting)
    chain = Chain(node, rewriting)
    chain.add("Div", "scaled", rewriting.add_weight(f"{node.name}.scale", grid.scale))
    chain.add("Round", "rounded")
    if grid.zero_point.any():
        zero_point = rewriting.add_weight(f"{node.name}.zero_point", grid.zero_point)
        chain.add("Add", "shifted", zero_point)
    limits = np.iinfo(grid.dtype)
    bounds = (
        rewriting.add_weight(f"{node.name}.{name}", np.array(bound, np.float32))
        for name, bound in (("min", limits.min), ("max", limits.max))
    )
    chain.add("Clip", "saturated", *bounds)
    return chain.end()


def _dequantize(node: Node, rewriting: Rewriting) -> list[Node]:
    grid = _grid(node, rewriting)
    chain = Chain(node, rewriting)
    if grid.zero_point.any():
        zero_point = rewriting.add_weight(f"{node.name}.zero_point", grid.zero_point)
        chain.add("Sub", "shifted", zero_point)
    chain.add("Mul", "scaled", rewriting.add_weight(f"{node.name}.scale", grid.scale))
    return chain.end()


QUANTIZATION_FORMS: Mapping[str, Callable[[Node, Rewriting], list[Node]]] = {
    "DequantizeLinear": _dequantize,
    "QuantizeLinear": _quantize,
}
"""Canonical forms of both."""

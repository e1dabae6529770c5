"""A TensorFlow value that knows the order of its dimensions.

TensorFlow's CPU kernels want channels last, ONNX counts axes with channels second. A tensor
stays in whichever order it was made in until an operator needs the other.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from adapters.network_nodes import output_shape
from columnar_nn.model.shape_rules.operands import Operands


@dataclass(frozen=True)
class Tensor:
    """`value` is symbolic, or a NumPy array for a weight; `channels_last` says N, spatial..., C.

    Only tensors of three and more dimensions can have their channels last.
    """

    value: Any
    channels_last: bool = False

    @property
    def rank(self) -> int:
        """Number of dimensions."""
        return len(self.value.shape)

    def axis(self, axis: int) -> int:
        """Where ONNX's dimension `axis`, from either end, is in `value`."""
        axis %= self.rank
        if not self.channels_last or axis == 0:
            return axis
        return self.rank - 1 if axis == 1 else axis - 1

    def in_onnx_order(self) -> Any:
        """The value as ONNX has it, channels second."""
        if not self.channels_last:
            return self.value
        return transposed(self.value, [0, self.rank - 1, *range(1, self.rank - 1)])

    def with_channels_last(self) -> Any:
        """The value as TensorFlow's convolutions take it."""
        if self.channels_last or self.rank < 3:
            return self.value
        return transposed(self.value, [0, *range(2, self.rank), 1])

    def map(self, function: Callable[[Any], Any]) -> Tensor:
        """A function of single elements applied, whatever the order."""
        return Tensor(function(self.value), self.channels_last)


def channels_last(value: Any) -> Tensor:
    """A value that was computed with channels last."""
    return Tensor(value, len(value.shape) >= 3)


def aligned(rank: int, tensors: Sequence[Tensor]) -> tuple[list[Any], bool]:
    """The values in one order, ready to broadcast to `rank` dimensions; and whether it is last.

    Channels go last if any tensor of full rank has them there.
    """
    last = any(tensor.channels_last and tensor.rank == rank for tensor in tensors)
    if not last:
        return [tensor.in_onnx_order() for tensor in tensors], False
    return [_broadcastable(tensor, rank).with_channels_last() for tensor in tensors], True


def _broadcastable(tensor: Tensor, rank: int) -> Tensor:
    """The tensor with leading dimensions of size 1 up to `rank`; a scalar is left alone."""
    missing = rank - tensor.rank
    if missing == 0 or tensor.rank == 0:
        return tensor
    value = tensor.in_onnx_order()
    if isinstance(value, np.ndarray):
        return Tensor(value.reshape((1,) * missing + value.shape))
    for _ in range(missing):
        value = tf.expand_dims(value, 0)
    return Tensor(value)


def transposed(value: Any, order: Sequence[int]) -> Any:
    """The dimensions of a weight, now, or of a symbolic value, in the graph, reordered."""
    if isinstance(value, np.ndarray):
        return np.ascontiguousarray(value.transpose(order))
    return tf.transpose(value, order)


def target(node: Operands) -> list[int]:
    """The shape of a node's output as tf.reshape takes it."""
    return [-1 if size is None else size for size in output_shape(node)]


def reshaped(node: Operands, tensor: Tensor) -> Tensor:
    """The elements of a tensor in the shape of a node's output."""
    return Tensor(tf.reshape(tensor.in_onnx_order(), target(node)))

"""Operators that combine the elements along axes, in TensorFlow; see `operators`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from adapters.network_nodes import reduced_axes
from adapters.tensorflow.registry import implements
from adapters.tensorflow.tensor import Tensor, reshaped
from columnar_nn.model.shape_rules.operands import Operands, fixed


class Reduction(NamedTuple):
    """What is done to each element, over axes, and to each result."""

    over: Callable[..., Any]
    each: Callable[[Any], Any] | None = None
    finish: Callable[[Any], Any] | None = None


REDUCTIONS = {
    "ReduceL1": Reduction(tf.reduce_sum, tf.abs),
    "ReduceL2": Reduction(tf.reduce_sum, tf.square, tf.sqrt),
    "ReduceMax": Reduction(tf.reduce_max),
    "ReduceMean": Reduction(tf.reduce_mean),
    "ReduceMin": Reduction(tf.reduce_min),
    "ReduceProd": Reduction(tf.reduce_prod),
    "ReduceSum": Reduction(tf.reduce_sum),
    "ReduceSumSquare": Reduction(tf.reduce_sum, tf.square),
}


@implements(*REDUCTIONS)
def reduce_(node: Operands, x: Tensor, axes: Tensor | None = None) -> Tensor:
    over, each, finish = REDUCTIONS[node.node.op_type]
    reduced = [x.axis(axis) for axis in reduced_axes(node)]
    result = x.map(each) if each else x
    result = result.map(lambda value: over(value, reduced, keepdims=True)) if reduced else result
    result = result.map(finish) if finish else result
    return result if node.attribute("keepdims") or not reduced else reshaped(node, result)


@implements("ArgMax", "ArgMin")
def arg(node: Operands, x: Tensor) -> Tensor:
    place = tf.argmax if node.node.op_type == "ArgMax" else tf.argmin
    axis = x.axis(node.attribute("axis"))
    if node.attribute("select_last_index"):
        last = fixed(node.shape(0)[node.attribute("axis")], "the axis") - 1
        places = last - place(tf.reverse(x.value, [axis]), axis)
    else:
        places = place(x.value, axis)
    result = Tensor(tf.expand_dims(places, axis), x.channels_last)
    return result if node.attribute("keepdims") else reshaped(node, result)


@implements("Hardmax")
def hardmax(node: Operands, x: Tensor) -> Tensor:
    axis = x.axis(node.attribute("axis"))
    return x.map(lambda value: tf.one_hot(tf.argmax(value, axis), value.shape[axis], axis=axis))


@implements("LpNormalization")
def lp_normalization(node: Operands, x: Tensor) -> Tensor:
    over, each, finish = REDUCTIONS[f"ReduceL{node.attribute('p')}"]
    axis, tiny = x.axis(node.attribute("axis")), np.finfo(np.float32).tiny  # 0 over 0 is 0

    def normalized(value: Any) -> Any:
        norm = over(each(value) if each else value, axis, keepdims=True)
        return value / tf.maximum(finish(norm) if finish else norm, tiny)

    return x.map(normalized)


@implements("Softmax")
def softmax(node: Operands, x: Tensor) -> Tensor:
    return x.map(lambda value: tf.nn.softmax(value, axis=x.axis(node.attribute("axis"))))


@implements("LogSoftmax")
def log_softmax(node: Operands, x: Tensor) -> Tensor:
    return x.map(lambda value: tf.nn.log_softmax(value, axis=x.axis(node.attribute("axis"))))

"""fuse_layers: a convolution or product with what follows it, in one call.

    relu(vec_add(vec_scal_add(conv2d(x, w), b), r))  ->  conv_layer(x, w, b, r, activation=relu)
    relu(mat_add(mat_mul(x, w), b))                  ->  dense_layer(x, w, b, activation=relu)
    relu(vec_add(vec_add(matrix_product(x, w), b), r))
                                                     ->  matrix_layer(x, w, b, r, activation=relu)

Bias, residual and activation are each optional; the activation is any function of each element,
built in or a user's. Nothing that is read elsewhere is swallowed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from columnar_nn.expressions.expression import Call, Expression, Weight, transform, with_inputs
from columnar_nn.expressions.types import tensor_shape
from columnar_nn.functions.layer_activation import LayerActivation
from columnar_nn.functions.registry import VECTOR_FUNCTIONS
from columnar_nn.kernels.convolution import TEXTBOOK
from columnar_nn.plan.rewrites.along_end import along_end
from columnar_nn.plan.rewrites.usage import is_call, joined, use_counts

_LAYERS = {"conv2d": "conv_layer", "mat_mul": "dense_layer", "matrix_product": "matrix_layer"}
_BIASES = {
    "vec_scal_add": ("conv_layer", "matrix_layer"),
    "mat_add": ("dense_layer",),
    "vec_add": ("matrix_layer",),
}
_WITH_RESIDUAL = ("conv_layer", "matrix_layer")


def fuse_layers(roots: Sequence[Expression], textbook_only: bool = False) -> list[Expression]:
    """The roots with every layer that can be one call as one call.

    A textbook convolution, as all are if `textbook_only`, clamps what it stores, and applies no
    other function.
    """
    uses = use_counts(roots)

    def change(expression: Expression, inputs: tuple[Expression, ...]) -> Expression:
        changed = with_inputs(expression, inputs)
        if not isinstance(changed, Call):
            return changed
        if changed.function in _LAYERS:
            return _layer(changed)
        single = [uses[id(source)] == 1 for source in expression.inputs]
        if changed.function in _BIASES and len(changed.tensors) == 1:
            return _with_bias(changed) if single[0] else changed
        if changed.function == "vec_add":
            return _with_residual(changed, single)
        activation = _activation(changed)
        if activation is not None and single[0]:
            return _with_activation(changed, activation, textbook_only)
        return changed

    return transform(roots, change)


def _layer(call: Call) -> Call:
    """A convolution or product as a layer with a bias of zero, if its right factor is constant."""
    if not _is_of_weights(call):
        return call
    by_columns = call.function == "matrix_product"
    outputs = call.weights[0].shape[-1 if by_columns else 0]
    bias = Weight("zeros", np.zeros(outputs, np.float32))
    inputs = (*call.inputs, bias)
    return Call(_LAYERS[call.function], inputs, call.attributes, call.nodes, call.type)


def _is_of_weights(call: Call) -> bool:
    """Whether the second factor is a constant, of matrices one for all."""
    factor = call.inputs[1]
    if not isinstance(factor, Weight):
        return False
    return call.function != "matrix_product" or factor.array.ndim == 2


def _with_bias(call: Call) -> Call:
    layer, added = call.inputs
    if not is_call(layer, *_BIASES[call.function]) or not isinstance(layer, Call):
        return call
    if len(layer.inputs) != 3 or "activation" in layer.attributes or layer.weights[1].any():
        return call
    assert isinstance(added, Weight)
    values = _of_outputs(layer, added.array)
    if values is None:
        return call
    inputs = (*layer.inputs[:2], Weight(added.name, np.ascontiguousarray(values)))
    return Call(layer.function, inputs, layer.attributes, joined(layer, call), call.type)


def _of_outputs(layer: Call, added: np.ndarray) -> np.ndarray | None:
    """What is added to a layer as one number an output, None if it is another."""
    if layer.function != "matrix_layer":
        return np.broadcast_to(added, layer.weights[1].shape)
    shape = tensor_shape(layer.type)
    assert shape is not None
    return along_end(added, shape, len(shape) - 1)


def _with_residual(call: Call, single: Sequence[bool]) -> Call:
    for index in (0, 1):
        layer, other = call.inputs[index], call.inputs[1 - index]
        same = tensor_shape(other.type) == tensor_shape(call.type)
        if not (single[index] and same and isinstance(layer, Call)):
            continue
        if (
            layer.function in _WITH_RESIDUAL
            and len(layer.inputs) == 3
            and "activation" not in layer.attributes
        ):
            inputs = (*layer.inputs, other)
            return Call(layer.function, inputs, layer.attributes, joined(layer, call), call.type)
    return call


def _activation(call: Call) -> LayerActivation | None:
    function = VECTOR_FUNCTIONS.get(call.function)
    if function is None or function.activation is None:
        return None
    return LayerActivation(call.function, call.attributes, function.activation(call.attributes))


def _with_activation(call: Call, activation: LayerActivation, textbook_only: bool) -> Call:
    layer = call.inputs[0]
    if not is_call(layer, *_LAYERS.values()) or not isinstance(layer, Call):
        return call
    if "activation" in layer.attributes:
        return call
    is_textbook = textbook_only or layer.attributes.get("algorithm") == TEXTBOOK
    if layer.function == "conv_layer" and is_textbook and activation.kernel.function:
        return call
    attributes = {**layer.attributes, "activation": activation}
    return Call(layer.function, layer.inputs, attributes, joined(layer, call), call.type)

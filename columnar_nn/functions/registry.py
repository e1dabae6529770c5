"""All vector functions by name."""

from __future__ import annotations

from columnar_nn.functions import (
    activations,
    argmax,
    arithmetic,
    batch_norm,
    concat,
    conv2d,
    conv_layer,
    dense_layer,
    elementary,
    inverted_bottleneck,
    lrn,
    mat_mul,
    matrix_layer,
    matrix_product,
    normalization,
    pipeline,
    pixels_to_float,
    pooling,
    rearrange,
    reductions,
    reshape,
    resize,
    scale_add,
    softmax,
)
from columnar_nn.functions.vector_function import VectorFunction

MODULES = (
    conv2d,
    scale_add,
    batch_norm,
    activations,
    elementary,
    arithmetic,
    pooling,
    resize,
    reductions,
    lrn,
    normalization,
    mat_mul,
    matrix_product,
    softmax,
    argmax,
    reshape,
    rearrange,
    concat,
    pixels_to_float,
    conv_layer,
    dense_layer,
    inverted_bottleneck,
    matrix_layer,
    pipeline,
)

VECTOR_FUNCTIONS: dict[str, VectorFunction] = {
    function.name: function for module in MODULES for function in module.FUNCTIONS
}

"""compute_in_bfloat16: convolutions, dense layers and those of tokens with operands in bfloat16.

Not depthwise convolutions, of which each output sums a few products: a product of tiles would be
of zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn.expressions.expression import Call, Expression, transform, with_inputs
from columnar_nn.functions import conv2d
from columnar_nn.functions.bfloat16 import BFLOAT16
from columnar_nn.kernels.bfloat16 import multiplies_matrix

_CONVOLUTIONS, _PRODUCTS = ("conv2d", "conv_layer"), ("mat_mul", "dense_layer")

_OF_MATRICES = ("matrix_product", "matrix_layer")


def compute_in_bfloat16(roots: Sequence[Expression]) -> list[Expression]:
    """The roots with layers that have kernels in bfloat16 marked to be computed so."""

    def change(expression: Expression, inputs: tuple[Expression, ...]) -> Expression:
        changed = with_inputs(expression, inputs)
        if not (isinstance(changed, Call) and _has_kernel(changed)):
            return changed
        attributes = {**changed.attributes, "precision": BFLOAT16}
        return Call(changed.function, changed.inputs, attributes, changed.nodes, changed.type)

    return transform(roots, change)


def _has_kernel(call: Call) -> bool:
    if call.function == "inverted_bottleneck":
        return True  # it would not have been made
    if call.function in _OF_MATRICES:
        right = getattr(call.inputs[1], "array", None)
        return right is not None and multiplies_matrix(right)
    if call.function not in _CONVOLUTIONS:
        return call.function in _PRODUCTS
    is_whole: bool = conv2d.window_arguments(call)["groups"] == 1
    return is_whole or call.weights[0].shape[1] > 1

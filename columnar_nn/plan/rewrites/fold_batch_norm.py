"""fold_batch_norm: batch_norm(conv2d [+ bias]) becomes conv2d + bias with other weights.

Exact in real numbers; in float32 the new weights are rounded once, from float64.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from columnar_nn.expressions.expression import Call, Expression, Weight, transform, with_inputs
from columnar_nn.functions.batch_norm import scale_and_offset
from columnar_nn.plan.rewrites.usage import is_call, joined, use_counts


def fold_batch_norm(roots: Sequence[Expression]) -> list[Expression]:
    """The roots without the batch_norms whose convolution nothing else reads."""
    uses = use_counts(roots)

    def change(expression: Expression, inputs: tuple[Expression, ...]) -> Expression:
        changed = with_inputs(expression, inputs)
        if not is_call(expression, "batch_norm") or uses[id(expression.inputs[0])] > 1:
            return changed
        assert isinstance(changed, Call)
        source = inputs[0]
        bias = None
        if is_call(source, "vec_scal_add"):
            if uses[id(expression.inputs[0].inputs[0])] > 1:
                return changed
            assert isinstance(source, Call)
            bias, source = source, source.inputs[0]
        if not is_call(source, "conv2d"):
            return changed
        assert isinstance(source, Call)
        return _folded(changed, bias, source)

    return transform(roots, change)


def _folded(norm: Call, bias: Call | None, conv: Call) -> Call:
    scale, offset = scale_and_offset(norm)
    filters = conv.weights[0].astype(np.float64) * scale.reshape(-1, 1, 1, 1)
    if bias is not None:
        offset = offset + bias.weights[0].astype(np.float64) * scale
    nodes = joined(conv, norm)
    name = conv.nodes[0] if conv.nodes else "conv2d"
    weight = Weight(f"{name}.folded_weight", filters.astype(np.float32))
    convolution = Call("conv2d", (conv.inputs[0], weight), conv.attributes, nodes, conv.type)
    added = Weight(f"{name}.folded_bias", offset.astype(np.float32))
    return Call("vec_scal_add", (convolution, added), {}, nodes, conv.type)

"""fuse_bottlenecks: a depthwise layer with the 1x1 layers around it, in one call.

    conv_layer(conv_layer(conv_layer(x, 1x1), depthwise), 1x1)  ->  inverted_bottleneck(x, ...)

Either 1x1 layer may be missing, as where a depthwise layer's output is excited before it is
projected. Only where what lies between them would not stay in the cache
(`columnar_nn/kernels/bottleneck.py`); elsewhere a kernel each is as fast. Nothing that is read
elsewhere is swallowed.
"""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn.expressions.expression import Call, Expression, transform, with_inputs
from columnar_nn.functions import conv2d
from columnar_nn.plan.rewrites.usage import is_call, joined, use_counts


def fuse_bottlenecks(roots: Sequence[Expression]) -> list[Expression]:
    """The roots with such layers as one call."""
    uses = use_counts(roots)

    def change(expression: Expression, inputs: tuple[Expression, ...]) -> Expression:
        changed = with_inputs(expression, inputs)
        if not (_is_layer(changed) and uses[id(expression.inputs[0])] == 1):
            return changed
        assert isinstance(changed, Call)
        return _joined(changed) or changed

    return transform(roots, change)


def _is_layer(expression: Expression) -> bool:
    """Whether it is a layer whose algorithm is still open."""
    return (
        isinstance(expression, Call)
        and expression.function == "conv_layer"
        and "algorithm" not in expression.attributes
    )


def _joined(layer: Call) -> Call | None:
    """A layer with the one, or the bottleneck, whose output it reads; None if that does not pay."""
    before = layer.inputs[0]
    if not isinstance(before, Call) or len(before.tensors) > 1:
        return None
    if is_call(before, "inverted_bottleneck"):
        layers = before.attributes["layers"].attributes
    elif _is_layer(before) and conv2d.input_layout(before).kind == "nchw16c":
        layers = (before.attributes,)
    else:
        return None
    layers = (*layers, layer.attributes)
    if all(given.get("group", conv2d.DEFAULTS["group"]) == 1 for given in layers):
        return None
    from columnar_nn.functions.inverted_bottleneck import Layers, stages
    from columnar_nn.kernels import bottleneck

    made = Call(
        "inverted_bottleneck",
        (*before.inputs, *layer.inputs[1:]),
        {"layers": Layers(layers)},
        joined(before, layer),
        layer.type,
    )
    found = stages(made)
    return made if found and bottleneck.applies(found) and bottleneck.pays(found) else None

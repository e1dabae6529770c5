"""fuse_bottlenecks: a depthwise layer with the 1x1 layers around it, in one call.

    conv_layer(conv_layer(conv_layer(x, 1x1), depthwise), 1x1)  ->  inverted_bottleneck(x, ...)

Either 1x1 layer may be missing, as where a depthwise layer's output is excited before it is
projected. In float32 only where what lies between them would not stay in the cache
(`columnar_nn/kernels/bottleneck.py`), elsewhere a kernel each is as fast; in bfloat16, where
layers of a kernel each would change types, everywhere but on AMX
(`columnar_nn/kernels/bfloat16_bottleneck.py`). Nothing that is read elsewhere is swallowed.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

from columnar_nn.expressions.expression import Call, Expression, transform, with_inputs
from columnar_nn.functions import conv2d
from columnar_nn.functions.bfloat16 import BFLOAT16, FLOAT32
from columnar_nn.plan.rewrites.usage import is_call, joined, use_counts


def fuse_bottlenecks(roots: Sequence[Expression], precision: str = FLOAT32) -> list[Expression]:
    """The roots with such layers as one call, which has a kernel in that precision."""
    uses = use_counts(roots)

    def change(expression: Expression, inputs: tuple[Expression, ...]) -> Expression:
        changed = with_inputs(expression, inputs)
        if not (_is_layer(changed) and uses[id(expression.inputs[0])] == 1):
            return changed
        assert isinstance(changed, Call)
        return _joined(changed, precision) or changed

    return transform(roots, change)


def _is_layer(expression: Expression) -> bool:
    """Whether it is a layer whose algorithm is still open."""
    return (
        isinstance(expression, Call)
        and expression.function == "conv_layer"
        and "algorithm" not in expression.attributes
    )


def _joined(layer: Call, precision: str) -> Call | None:
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

    made = Call(
        "inverted_bottleneck",
        (*before.inputs, *layer.inputs[1:]),
        {"layers": Layers(layers)},
        joined(before, layer),
        layer.type,
    )
    found = stages(made)
    if found is None:
        return None
    name = "bfloat16_bottleneck" if precision == BFLOAT16 else "bottleneck"
    kernel = import_module(f"columnar_nn.kernels.{name}")  # of few plans
    return made if kernel.applies(found) and kernel.pays(found) else None

"""choose_algorithm: each convolution's algorithm, by the kernels' stated cost rule."""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn import kernels
from columnar_nn.expressions.expression import Call, Expression, transform, with_inputs
from columnar_nn.functions import conv2d
from columnar_nn.functions.bfloat16 import is_bfloat16
from columnar_nn.kernels.conv2d import ALGORITHMS
from columnar_nn.kernels.conv2d import choose_algorithm as cheapest

__all__ = ["ALGORITHMS", "choose_algorithm"]


class choose_algorithm:  # noqa: N801 - a rule with a parameter
    """Writes the algorithm that `algorithm` means at each layer."""

    def __init__(self, algorithm: str) -> None:
        self._algorithm = algorithm

    def __call__(self, roots: Sequence[Expression]) -> list[Expression]:
        """The convolutions of `roots` with their attribute `algorithm`."""
        return transform(roots, self._change)

    def _change(self, expression: Expression, inputs: tuple[Expression, ...]) -> Expression:
        changed = with_inputs(expression, inputs)
        if not (isinstance(changed, Call) and changed.function in ("conv2d", "conv_layer")):
            return changed
        arguments = {**conv2d.arguments(changed), "algorithm": self._algorithm}
        layout, weight = conv2d.input_layout(changed), changed.weights[0]
        if is_bfloat16(changed):
            chosen = kernels.choose_bfloat16(layout, weight, **arguments)
        else:
            chosen = cheapest(layout, weight, **arguments).algorithm
        attributes = {**changed.attributes, "algorithm": chosen}
        return Call(changed.function, changed.inputs, attributes, changed.nodes, changed.type)

"""pipeline: its argument, computed image by image instead of function by function.

It changes nothing in the result. Everything under it is one program, whose intermediate values
are those of a single image and stay in the core's cache; or, where the weights of layers outgrow
that, those of a group of images (`kernels.regions`).
"""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn.expressions.expression import Call
from columnar_nn.expressions.types import DataType
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction, no_operations
from columnar_nn.model.shape_rules import elementwise


class _Pipeline(VectorFunction):
    def result_type(self, call: Call) -> DataType:
        """Whatever its argument is."""
        return call.inputs[0].type


def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """Nothing: the order of execution is the program's."""
    return values[0]


FUNCTIONS = (_Pipeline("pipeline", elementwise.unary, assemble, no_operations),)

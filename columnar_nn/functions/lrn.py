"""lrn: ONNX LRN, local response normalisation across channels (Krizhevsky et al., 2012)."""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn import kernels
from columnar_nn.expressions.expression import Call
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction, elements
from columnar_nn.model.operators import OPERATORS
from columnar_nn.model.shape_rules import elementwise

DEFAULTS = OPERATORS["LRN"].defaults


def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """One kernel over planar channels."""
    source = assembly.planar(values[0])
    given = {**DEFAULTS, **call.attributes}
    return assembly.apply(kernels.local_response_normalization(source.layout, **given), source)


def _operations(call: Call) -> int:
    """A square and a sum for each channel of the window; scale, offset, power and product."""
    size: int = call.attributes["size"]
    return elements(call) * (2 * size + 4)


FUNCTIONS = (VectorFunction("lrn", elementwise.lrn, assemble, _operations, DEFAULTS),)

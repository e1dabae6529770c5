"""Files in float16, bfloat16, float64 and int8, which are imported, and computed, in float32.

Constants of the first three become float32, and a Cast between floating-point types, at run time,
is none. What the file's own arithmetic does beyond that is lost: float16 overflows at 65,504,
float64 has digits that float32 lacks. One in int8 (`model.quantization`) loses nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import numpy as np
from onnx import TensorProto

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.graph import Graph
from columnar_nn.model.onnx_file import FileNode, OnnxFile

FLOAT32, FLOAT64, FLOAT16, BFLOAT16 = "float32", "float64", "float16", "bfloat16"
INT8 = "int8"
"""Of a network that quantises what it computes, to integers of whichever type."""

_OTHERS: dict[int, str] = {
    TensorProto.FLOAT16: FLOAT16,
    TensorProto.BFLOAT16: BFLOAT16,
    TensorProto.DOUBLE: FLOAT64,
}
_HALVES = (FLOAT16, BFLOAT16)


def precision_of(file: OnnxFile) -> str:
    """The type that a file computes in: that of an input, a half type that it casts to, or INT8.

    Constants tell nothing: float64 ones compute sizes, float16 ones may be cast to float32 first.
    """
    inputs = [_OTHERS.get(value.type.tensor_type.elem_type, FLOAT32) for value in file.inputs]
    nodes = [*file.graph.nodes, *(n for body in file.functions.values() for n in body.nodes)]
    casts = [name for name in _cast_to(nodes) if name in _HALVES]
    quantized = [INT8 for node in nodes if node.op_type == "QuantizeLinear"]
    return next((name for name in (*inputs, *casts, *quantized) if name != FLOAT32), FLOAT32)


def is_float(element: int, precision: str) -> bool:
    """Whether an ONNX type is float32 here, in a file of a precision."""
    return element == TensorProto.FLOAT or _OTHERS.get(element) in _read_as_float32(precision)


def as_float32(array: np.ndarray, precision: str, what: str) -> np.ndarray:
    """A constant of a file of this precision: one of its floating-point type in float32.

    Raises InvalidModelError for a finite number that float32 does not hold.
    """
    if str(array.dtype) not in _read_as_float32(precision):
        return array
    with np.errstate(over="ignore"):
        narrowed = array.astype(np.float32)
    if array.dtype == np.float64 and not np.array_equal(np.isinf(array), np.isinf(narrowed)):
        raise InvalidModelError(f"{what} has values beyond float32's: export in float32")
    return narrowed


def note(graph: Graph) -> str:
    """What to say of a network of another precision beside its results; else empty."""
    if graph.precision == FLOAT32:
        return ""
    if graph.precision == INT8:
        return "the file computes in int8; it is computed in float32, on the grid of the integers"
    return f"the file is in {graph.precision}; it is imported, and computed, in float32"


def _read_as_float32(precision: str) -> tuple[str, ...]:
    return _HALVES if precision in _HALVES else (FLOAT64,) if precision == FLOAT64 else ()


def _cast_to(nodes: Iterable[FileNode]) -> Iterator[str]:
    """The types that nodes cast to, those of subgraphs too."""
    for node in nodes:
        target = node.attributes.get("to")
        if node.op_type == "Cast" and isinstance(target, int):
            yield _OTHERS.get(target, FLOAT32)
        for subgraph in node.subgraphs:
            yield from _cast_to(subgraph.nodes)

"""Values that a network's own nodes compute from nothing but constants, worked out at import.

Exporters write `x.view(x.size(0), -1)` as Shape, Gather, Concat and Reshape, and keep filters in
another precision, scaled or transposed. onnx.reference does the arithmetic, as ONNX says. The
size of the batch is not known before run time: it is carried along as the object BATCH, which
may be moved about but not calculated with.

Values are NumPy arrays; those that hold BATCH are object arrays of integers and BATCH.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper, shape_inference
from onnx.reference import ReferenceEvaluator

from columnar_nn.errors import InvalidModelError, first_line
from columnar_nn.model.graph import Node, Shape
from columnar_nn.model.operators import OPERATORS, REDUCTIONS, RENAMING, SUMMING, UNARY
from columnar_nn.model.stored_tensors import Budget

_ELEMENTWISE = """
Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor Cast
CastLike Clip Cos Cosh DequantizeLinear Div Equal Greater GreaterOrEqual Identity IsInf IsNaN Less
LessOrEqual Max Mean Min Mod Mul Not Or PRelu Pow QuantizeLinear Shrink Sin Sinh Sub Sum Tan Where
Xor
"""
_MOVEMENT = """
Compress Concat DepthToSpace Expand EyeLike Flatten Gather GatherElements GatherND NonZero OneHot
Pad Range Reshape ScatterElements ScatterND Slice SpaceToDepth Split Squeeze Tile Transpose Trilu
Unsqueeze
"""
_ALONG_AXES = """
ArgMax ArgMin BatchNormalization CumSum InstanceNormalization LayerNormalization LogSoftmax
LpNormalization ReduceLogSum ReduceLogSumExp Softmax TopK
"""
PRODUCTS = frozenset(name for name in SUMMING if OPERATORS[name].window is None) | {"Conv"}
FOLDED = PRODUCTS.union(
    UNARY, REDUCTIONS, _ELEMENTWISE.split(), _MOVEMENT.split(), _ALONG_AXES.split()
)
"""Operators that are worked out where all of their inputs are known.

Others are not: random ones, loops, and those whose work their operands do not bound.
"""

MAX_MULTIPLY_ADDS = 2**36
"""Of one product of constants: some seconds."""

_MULTIPLY_ADDS_A_BYTE = 32
"""Of a product in float32 or float64 in the time that others take to read or make a byte."""

_PARTIAL = frozenset({"Gather", "Slice"})
"""Operators that read no more of their first operand than they make."""

_SLOW = frozenset({"Erf", "GatherElements", "GatherND", "OneHot", "ScatterElements", "ScatterND"})
"""Operators that onnx.reference works out element by element in Python, as it does products of
other types than float32 and float64: about SLOWNESS times slower."""

_SLOWNESS = 64

MAX_LISTED = 4096
"""Elements of an integer constant, such as a shape, that the shape of a result may depend on."""


class _Batch:
    """The size of the batch, unknown until run time."""

    def __repr__(self) -> str:
        return "batch"


BATCH = _Batch()

_MOVED = {
    **dict.fromkeys(("Expand", "Flatten", "Gather", "GatherElements", "GatherND"), (0,)),
    **dict.fromkeys(("Identity", "Reshape", "Slice", "Squeeze", "Tile", "Transpose"), (0,)),
    "Unsqueeze": (0,),
    "Where": (1, 2),
    "ScatterElements": (0, 2),
    "ScatterND": (0, 2),
}
"""Which inputs of an operator it moves about without calculating with them; Concat all."""

_CALCULATED = {"Add": "added to", "Sub": "subtracted", "Mul": "multiplied", "Div": "divided"}


class DependsOnBatchError(Exception):
    """A node calculates with the size of the batch; the message says how."""


def shape_value(node: Node, shape: Shape) -> np.ndarray:
    """Value of a Shape node."""
    start, end = node.attributes.get("start", 0), node.attributes.get("end", len(shape))
    return known([BATCH if d is None else d for d in shape[start:end]])


def size_value(shape: Shape) -> np.ndarray:
    """Value of a Size node; raises DependsOnBatchError if the batch is not all there is."""
    if None not in shape:
        return np.array(math.prod(d for d in shape if d is not None), np.int64)
    if any(dimension not in (None, 1) for dimension in shape):
        raise DependsOnBatchError("multiplied")
    return np.array(BATCH, object)


def known(entries: Sequence[Any]) -> np.ndarray:
    """A list of integers and BATCH: int64 if there is no BATCH among them."""
    return np.array(entries, object if BATCH in entries else np.int64)


def evaluate(
    node: Node, opset: int, values: Sequence[np.ndarray | None], budget: Budget
) -> list[np.ndarray]:
    """Values of the outputs of a node in FOLDED; that of an absent input is None.

    Raises InvalidModelError for values that do not fit together or make more than the budget
    has left, and DependsOnBatchError for arithmetic on the batch.
    """
    if any(value is not None and value.dtype == object for value in values):
        return _evaluate_with_batch(node, opset, values, budget)
    if node.op_type in RENAMING:
        assert values[0] is not None
        return [values[0]]
    if node.op_type == "Pad":
        values = _cropped(values)
    return _evaluate(node, opset, values, budget)


def reshape_target(target: np.ndarray, shape: Shape) -> np.ndarray:
    """The int64 constant by which Reshape does what `target`, which holds BATCH, says.

    The batch is copied (0) from where it is in `shape`, or is what is left (-1). Raises
    DependsOnBatchError if neither can be.
    """
    entries = list(target.reshape(-1))
    for index, entry in enumerate(entries):
        if entry is BATCH:
            copied = index < len(shape) and shape[index] is None
            if not copied and -1 in entries:
                raise DependsOnBatchError(f"used twice in the shape {entries}")
            entries[index] = 0 if copied else -1
    return np.array(entries, np.int64)


def _evaluate_with_batch(
    node: Node, opset: int, values: Sequence[np.ndarray | None], budget: Budget
) -> list[np.ndarray]:
    """Moves numbers that stand for the entries, of which some are BATCH, and puts these back."""
    op_type, attributes = node.op_type, node.attributes
    if op_type == "Cast" and attributes["to"] in (onnx.TensorProto.INT64, onnx.TensorProto.INT32):
        op_type, attributes = "Identity", {}
    moved = range(len(values)) if op_type == "Concat" else _MOVED.get(op_type, ())
    entries: list[Any] = []
    coded: list[np.ndarray | None] = []
    for index, value in enumerate(values):
        if value is not None and index in moved:
            first = len(entries)
            entries.extend(value.reshape(-1))
            coded.append(np.arange(first, len(entries)).reshape(value.shape))
        elif value is not None and value.dtype == object:
            raise DependsOnBatchError(_CALCULATED.get(node.op_type, f"given to {node.op_type}"))
        else:
            coded.append(value)
    mover = Node(node.name, op_type, node.inputs, node.outputs, attributes)
    (codes,) = evaluate(mover, opset, coded, budget)
    moved_entries = [entries[code] for code in codes.reshape(-1)]
    result = np.empty(codes.shape, object)
    result.reshape(-1)[:] = moved_entries
    if not any(entry is BATCH for entry in moved_entries):
        return [result.astype(np.int64)]
    return [result]


def _cropped(values: Sequence[np.ndarray | None]) -> list[np.ndarray | None]:
    """Operands of a Pad whose negative pads are cut off, which onnx.reference cannot do."""
    data, pads, *others = values
    assert data is not None
    assert pads is not None
    axes = others[1] if len(others) > 1 else None
    axes = np.arange(data.ndim) if axes is None else axes.reshape(-1)
    fits = pads.size == 2 * axes.size and (axes >= -data.ndim).all() and (axes < data.ndim).all()
    if not fits or (pads >= 0).all():
        return list(values)
    kept = [slice(None)] * data.ndim
    for axis, crop in zip(axes, np.maximum(-pads.reshape(2, -1), 0).T, strict=True):
        kept[axis] = slice(crop[0], max(crop[0], data.shape[axis] - crop[1]))
    return [data[tuple(kept)], np.maximum(pads, 0), *others]


def _evaluate(
    node: Node, opset: int, values: Sequence[np.ndarray | None], budget: Budget
) -> list[np.ndarray]:
    inputs = [f"i{index}" if v is not None else "" for index, v in enumerate(values)]
    optional = _optional_outputs(node.op_type, opset)
    outputs = [
        f"o{index}" if name or index not in optional else ""
        for index, name in enumerate(node.outputs)
    ]
    given = {n: v for n, v in zip(inputs, values, strict=True) if v is not None}
    proto = helper.make_node(node.op_type, inputs, outputs)
    for name, value in node.attributes.items():
        kind: Any = _schema(node.op_type, opset).attributes[name].type
        proto.attribute.append(helper.make_attribute(name, value, attr_type=kind.value))
    what = f"node {node.name} ({node.op_type})"
    if node.op_type in ("Div", "Mod") and given["i1"].dtype.kind in "iu" and 0 in given["i1"]:
        raise InvalidModelError(f"{what}: divides by zero")
    try:
        types = _result_types(proto, opset, given)
    except Exception as error:  # of shape inference, or what its C++ code throws
        raise InvalidModelError(f"{what}: {_inner(error)}") from None
    _take(node, what, types, given, budget)
    try:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            evaluator = ReferenceEvaluator(proto, opsets={"": opset})
            results = evaluator.run(None, given)
    except Exception as error:  # onnx.reference raises whatever its operators' NumPy does
        raise InvalidModelError(f"{what}: constants do not fit: {first_line(error)}") from None
    # Some operators of onnx.reference also give the outputs that were left out.
    named = outputs if len(results) == len(outputs) else [name for name in outputs if name]
    found = dict(zip(named, results, strict=True))
    arrays = []
    for name in outputs:
        array = np.asarray(found[name]) if name else np.zeros(0, np.float32)
        if name in types:
            array = array.astype(types[name][0], copy=False)
        arrays.append(np.ascontiguousarray(array).reshape(array.shape))
    return arrays


@cache
def _optional_outputs(op_type: str, opset: int) -> frozenset[int]:
    """The places of the outputs that a node may leave out."""
    option = onnx.defs.OpSchema.FormalParameterOption.Optional
    formal = _schema(op_type, opset).outputs
    return frozenset(index for index, output in enumerate(formal) if output.option == option)


@cache
def _schema(op_type: str, opset: int) -> onnx.defs.OpSchema:
    return onnx.defs.get_schema(op_type, opset)


def _result_types(
    proto: onnx.NodeProto, opset: int, given: dict[str, np.ndarray]
) -> dict[str, tuple[Any, list[int | None]]]:
    """Dtype and shape of each output as ONNX infers them, before anything is computed."""
    types = {
        name: helper.make_tensor_type_proto(
            helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in given.items()
    }
    data = {
        name: numpy_helper.from_array(array, name)
        for name, array in given.items()
        if array.size <= MAX_LISTED and array.dtype.kind in "iuf"
    }
    inferred = shape_inference.infer_node_outputs(
        _schema(proto.op_type, opset), proto, types, data, {}, [helper.make_opsetid("", opset)], 10
    )
    return {
        name: (
            helper.tensor_dtype_to_np_dtype(value.tensor_type.elem_type),
            [d.dim_value if d.HasField("dim_value") else None for d in value.tensor_type.shape.dim],
        )
        for name, value in inferred.items()
        if value.tensor_type.elem_type and value.tensor_type.HasField("shape")
    }


def _take(
    node: Node,
    what: str,
    types: dict[str, tuple[Any, list[int | None]]],
    given: dict[str, np.ndarray],
    budget: Budget,
) -> None:
    """Counts what a node makes and multiplies; raises InvalidModelError if it is too much."""
    largest = made = 0
    for dtype, shape in types.values():
        if None in shape:  # which elements are kept depends on their values: at most all of them
            elements = sum(array.size * max(array.ndim, 1) for array in given.values())
        else:
            elements = math.prod(d for d in shape if d is not None)
        budget.take(elements * dtype.itemsize, what)
        made += elements * dtype.itemsize
        largest = max(largest, elements)
    if not types:
        budget.take(sum(array.nbytes * 8 for array in given.values()), what)
    if node.op_type in PRODUCTS:
        inner = max(next(iter(given.values())).shape, default=1)
        if node.op_type == "Conv":
            inner = _pixels_seen(node, given["i0"], given["i1"])
            # onnx.reference lists them for every place of the window
            budget.take(largest // max(len(given["i1"]), 1) * inner * 4, what)
        if largest * inner > MAX_MULTIPLY_ADDS:
            raise InvalidModelError(f"{what}: a product of constants of this size is not made")
        made += largest * inner // _MULTIPLY_ADDS_A_BYTE
    arrays = list(given.values())
    read = sum(array.nbytes for array in arrays[node.op_type in _PARTIAL :])
    slow = node.op_type in _SLOW or (
        node.op_type in PRODUCTS and arrays[0].dtype not in (np.float32, np.float64)
    )
    budget.spend((read + made) * (_SLOWNESS if slow else 1), what)


def _pixels_seen(node: Node, image: np.ndarray, filters: np.ndarray) -> int:
    """By a window of a Conv, in all channels, with those between the taps of a dilated one."""
    dilations = node.attributes["dilations"]
    seen = ((size - 1) * by + 1 for size, by in zip(filters.shape[2:], dilations, strict=True))
    return int(image.shape[1] * math.prod(seen))


def _inner(error: Exception) -> str:
    """The cause at the end of an error of ONNX's shape inference."""
    return first_line(error).rpartition("] ")[2]

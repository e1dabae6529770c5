"""Whether a node of a file is written as its opset asks: inputs, outputs and attributes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import onnx
from onnx import helper

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.graph import Node
from columnar_nn.model.onnx_file import FileGraph, FileNode

_KINDS: dict[str, Any] = {
    "INT": int,
    "FLOAT": (float, int),
    "STRING": str,
    "TENSOR": onnx.TensorProto,
    "SPARSE_TENSOR": onnx.SparseTensorProto,
    "GRAPH": FileGraph,
    "INTS": list,
    "FLOATS": list,
    "STRINGS": list,
}
"""Python type of an attribute's value by the name of its ONNX type."""


OPTIONAL = onnx.defs.OpSchema.FormalParameterOption.Optional


@dataclass(frozen=True)
class Signature:
    """What an operator of an opset takes: numbers of inputs and outputs, types, attributes.

    `types` holds the ONNX types that each formal input allows, the last for all that follow, and
    `optional` which inputs may be absent before others that are there.
    """

    inputs: tuple[int, int]
    outputs: tuple[int, int]
    types: tuple[frozenset[str], ...]
    optional: frozenset[int]
    attributes: Mapping[str, str]
    required: frozenset[str]


READ_ALTHOUGH_DEPRECATED = frozenset({"GroupNormalization"})
"""Operators whose deprecated form is read: of opset 18 to 20, with scale and bias of groups."""


@cache
def signature(op_type: str, opset: int) -> Signature | None:
    """The signature of one of ONNX's own operators; None if that opset has no such operator."""
    try:
        schema = onnx.defs.get_schema(op_type, opset, "")
    except onnx.defs.SchemaError:
        return None
    if schema.deprecated and op_type not in READ_ALTHOUGH_DEPRECATED:
        return None
    attributes: dict[str, Any] = schema.attributes
    return Signature(
        (schema.min_input, schema.max_input),
        (schema.min_output, schema.max_output),
        tuple(frozenset(formal.types) for formal in schema.inputs),
        frozenset(index for index, formal in enumerate(schema.inputs) if formal.option == OPTIONAL),
        {name: attribute.type.name for name, attribute in attributes.items()},
        frozenset(name for name, attribute in attributes.items() if attribute.required),
    )


def check_node(node: FileNode) -> None:
    """Raises InvalidModelError for a node that its operator's definition does not allow."""
    expected = signature(node.op_type, node.opset)
    if expected is None:
        why = "has no such operator"
        if onnx.defs.has(node.op_type):
            why = "has it no more, or not yet as it is now: export with another"
        raise InvalidModelError(f"opset {node.opset} {why}")
    for what, tensors, (least, most) in (
        ("input", node.inputs, expected.inputs),
        ("output", node.outputs, expected.outputs),
    ):
        if not least <= len(tensors) <= most:
            raise InvalidModelError(f"{len(tensors)} {what}(s), needs {least} to {most}")
    for index, tensor in enumerate(node.inputs):
        if not tensor and index not in expected.optional:
            raise InvalidModelError(f"input {index} is absent, which it must not be")
    for name, value in node.attributes.items():
        kind = expected.attributes.get(name)
        if kind is None:
            raise InvalidModelError(f"opset {node.opset} has no attribute {name!r} of it")
        if not isinstance(value, _KINDS.get(kind, object)):
            raise InvalidModelError(f"attribute {name!r} is not of type {kind}")
        if isinstance(value, list):
            element = {"INTS": int, "STRINGS": str}.get(kind, (float, int))
            if not all(isinstance(entry, element) for entry in value):
                raise InvalidModelError(f"attribute {name!r} is not of type {kind}")
    missing = sorted(expected.required - node.attributes.keys())
    if missing:
        raise InvalidModelError(f"attribute {missing[0]!r} is missing")


def check_constants(node: Node, opset: int, constants: Mapping[str, np.ndarray]) -> None:
    """Raises InvalidModelError for a constant whose type does not fit a node over float32."""
    for index, tensor in enumerate(node.inputs):
        if tensor in constants and not _fits(node, opset, index, str(constants[tensor].dtype)):
            raise InvalidModelError(
                f"weight {tensor!r} is {constants[tensor].dtype}; only float32 networks run here: "
                "export in float32"
            )


def check_results(node: Node, opset: int, types: Mapping[str, str]) -> None:
    """Raises InvalidModelError for an input, of those with `types`, that a node does not take."""
    for index, tensor in enumerate(node.inputs):
        if tensor in types and not _fits(node, opset, index, types[tensor]):
            raise InvalidModelError(
                f"input {tensor!r} is {types[tensor]}; here it may be float32 alone: export the "
                "network without what reads it"
            )


def _fits(node: Node, opset: int, index: int, dtype: str) -> bool:
    """Whether an input may be of a type: float32 where the operator takes that."""
    expected = signature(node.op_type, opset)
    assert expected is not None
    types = expected.types[min(index, len(expected.types) - 1)]
    element = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    found = f"tensor({onnx.TensorProto.DataType.Name(element).lower()})"
    return found in types and ("tensor(float)" not in types or found == "tensor(float)")

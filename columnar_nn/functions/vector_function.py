"""What a vector function is: its name, the type of its result, and the kernels it becomes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import pyarrow as pa

from columnar_nn.data import tensor_column
from columnar_nn.errors import InvalidModelError, InvalidPlanError
from columnar_nn.expressions.expression import Call
from columnar_nn.expressions.types import DataType, row_size, tensor_shape
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.kernels import Activation
from columnar_nn.model.graph import Node, Shape
from columnar_nn.model.shape_rules.operands import Operands
from columnar_nn.record import ValueRecord


class VectorFunction(ValueRecord):
    """A function over whole tensor columns.

    `shape` is the shape rule of the ONNX operator it follows: operands with the batch dimension
    first to output shapes. `assemble` adds its kernels to an assembly, given the values of its
    computed inputs, and returns the result's value. `operations` counts arithmetic operations
    an image (a multiply-add is two) as the operator's definition has them. `defaults` are the
    attributes that a call may leave out, and plan text does: those of the ONNX operator, from
    `model.operators`. `result` is float32, or int64, of which one number a row is a BIGINT.
    `activation` makes of a call's attributes what a convolution or dense layer can apply in its
    place; None of functions that are not of each element.
    """

    name: str
    shape: Callable[[Operands], tuple[Shape, ...]]
    assemble: Callable[[Assembly, Call, Sequence[Value]], Value]
    operations: Callable[[Call], int]
    defaults: Mapping[str, Any] = MappingProxyType({})
    result: str = "float32"
    activation: Callable[[Mapping[str, Any]], Activation] | None = None

    def result_type(self, call: Call) -> DataType:
        """Arrow type of the result; raises InvalidPlanError if the operands do not fit.

        Raises InvalidDataError for a column of tensors that do not lie row-major.
        """
        shapes: list[Shape] = []
        constants: list[np.ndarray | None] = []
        for operand in call.inputs:
            array = getattr(operand, "array", None)
            constants.append(array)
            if array is not None:
                shapes.append(array.shape)
                continue
            shape = tensor_shape(operand.type)
            if shape is None:
                raise InvalidPlanError(
                    f"{self.name} needs a tensor column, not {operand.type}: {call.label}"
                )
            tensor_column.refuse_other_orders(operand.type, getattr(operand, "name", call.label))
            shapes.append((None, *shape))
        attributes = {**self.defaults, **call.attributes}
        node = Node(call.label, self.name, ("",) * len(shapes), ("",), attributes)
        try:
            (output,) = self.shape(Operands(node, shapes, constants))
        except InvalidModelError as error:
            raise InvalidPlanError(f"{self.name} ({call.label}): {error}") from None
        if not output or output[0] is not None or None in output[1:]:
            raise InvalidPlanError(f"{self.name} ({call.label}) would mix rows: {output}")
        if self.result == "int64" and len(output) == 1:
            return pa.int64()
        return tensor_column.tensor_type(self.result, [d for d in output[1:] if d is not None])


def function_name(op_type: str) -> str:
    """What the vector function of an ONNX operator is called: LeakyRelu is leaky_relu."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", op_type).lower()


def elements(call: Call) -> int:
    """One operation for each element of the result."""
    shape = tensor_shape(call.type)
    return 1 if shape is None else row_size(shape)


def no_operations(call: Call) -> int:
    """None: the function moves or renames elements."""
    return 0

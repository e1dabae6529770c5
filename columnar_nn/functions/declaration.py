"""A Python function as a vector function: so are those of an element declared, and users'."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from columnar_nn import kernels
from columnar_nn.errors import InvalidModelError, UsageError
from columnar_nn.expressions.expression import Call
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.scale_add import direct_layout
from columnar_nn.functions.vector_function import VectorFunction, elements, function_name
from columnar_nn.kernels import Activation, PythonFunction
from columnar_nn.model.node import Shape
from columnar_nn.model.operators import OPERATORS
from columnar_nn.model.shape_rules import elementwise
from columnar_nn.model.shape_rules.operands import Operands
from columnar_nn.record import ValueRecord

ShapeRule = Callable[[tuple[int, ...]], Sequence[int]]
Function = TypeVar("Function", bound=Callable[..., float])


class DeclaredFunction(ValueRecord):
    """A declared function; `shape` gives its result's row, and is None of a function of elements.

    `attributes` are the parameters after the row's, with their defaults; `onnx` the operator,
    domain::Type, that it computes, if a user has declared one.
    """

    python: PythonFunction
    attributes: Mapping[str, float]
    shape: ShapeRule | None = None
    onnx: str | None = None

    def reference(self, x: np.ndarray, **attributes: float) -> np.ndarray:
        """What Python itself computes of [rows, ...] in float64, unrounded: the truth.

        Functions of math give what IEEE 754 says where Python's raise: infinity or NaN.
        """
        from columnar_nn.functions.ieee import in_ieee  # no network is computed so

        function = in_ieee(self.python.function)
        given = [attributes.get(name, default) for name, default in self.attributes.items()]
        source = x.astype(np.float64)
        with np.errstate(all="ignore"):
            if self.shape is None:
                results = [function(value, *given) for value in source.reshape(-1)]
                return np.array(results, np.float64).reshape(x.shape)
            out = np.zeros((len(x), *self.row_shape(x.shape[1:])))
            for row, result in zip(source, out, strict=True):
                function(row, result, *given)
        return out

    def row_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of a result's row; raises InvalidModelError for a shape that is none."""
        assert self.shape is not None
        made = tuple(self.shape(shape))
        if not all(isinstance(size, int) and size > 0 for size in made):
            raise InvalidModelError(f"its shape rule makes {made} of {shape}: give positive sizes")
        return made

    def vector_function(self) -> VectorFunction:
        """It as plans call it."""
        name = self.python.name
        if self.shape is not None:
            return VectorFunction(name, self._shape, self._rows, elements, self.attributes)
        return VectorFunction(
            name,
            elementwise.unary,
            self._elements,
            elements,
            self.attributes,
            activation=self._activation,
        )

    def _elements(self, assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
        source = direct_layout(assembly, values[0])
        kernel = kernels.unary(source.layout, self.python, *self._constants(call.attributes))
        return assembly.apply(kernel, source)

    def _activation(self, attributes: Mapping[str, Any]) -> Activation:
        return Activation(function=self.python, constants=tuple(self._constants(attributes)))

    def _shape(self, operands: Operands) -> tuple[Shape, ...]:
        batch, *row = operands.shape(0)
        return ((batch, *self.row_shape(tuple(size or 0 for size in row))),)

    def _rows(self, assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
        source = assembly.planar(values[0])
        target = self.row_shape(source.layout.shape)
        constants = self._constants(call.attributes)
        kernel = kernels.of_row(source.layout, target, self.python, *constants)
        return assembly.apply(kernel, source)

    def _constants(self, attributes: Mapping[str, Any]) -> list[float]:
        """Attributes in order, each of the type of its default."""
        given = {**self.attributes, **attributes}
        return [type(default)(given[key]) for key, default in self.attributes.items()]


def declare(
    name: str,
    function: Callable[..., Any],
    attributes: Mapping[str, float],
    shape: ShapeRule | None = None,
    onnx: str | None = None,
) -> DeclaredFunction:
    """The declaration of f(x, *attributes) or, with `shape`, of f(x, out, *attributes).

    Raises UsageError for parameters that do not fit, and for what no kernel can hold.
    """
    given = {
        key: value if isinstance(value, int) and shape else float(np.float32(value))
        for key, value in attributes.items()
    }
    _check_parameters(name, function, ["x", *(["out"] if shape else []), *given])
    return DeclaredFunction(PythonFunction.of(name, function), given, shape, onnx)


def computes(functions: list[VectorFunction], op_type: str) -> Callable[[Function], Function]:
    """Decorates the function of each element that an ONNX operator is; it joins `functions`.

    The operator's attributes are its parameters.
    """

    def register(function: Function) -> Function:
        declared = declare(function_name(op_type), function, OPERATORS[op_type].defaults)
        functions.append(declared.vector_function())
        return function

    return register


def function_of_elements(function: Callable[..., float]) -> VectorFunction:
    """A function of each element, without attributes, under its own name."""
    return declare(function.__name__, function, {}).vector_function()


def _check_parameters(name: str, function: Callable[..., Any], expected: Sequence[str]) -> None:
    """Names after those of rows are those of attributes, in any order that both have alike."""
    parameters = list(inspect.signature(function).parameters.values())
    found = [parameter.name for parameter in parameters]
    own = 1 if "out" not in expected else 2
    plain = all(
        parameter.kind is parameter.POSITIONAL_OR_KEYWORD and parameter.default is parameter.empty
        for parameter in parameters
    )
    if not plain or len(found) != len(expected) or found[own:] != list(expected[own:]):
        raise UsageError(
            f"function {name} takes ({', '.join(found)}): make it ({', '.join(expected)}), and "
            "give attributes and their defaults to the decorator"
        )

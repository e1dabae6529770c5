"""Vector functions of one's own: a Python function, declared, is one like the built-in ones.

    @columnar_nn.vector_function("mish", onnx="my.ops::Mish")
    def mish(x):
        return x * math.tanh(math.log1p(math.exp(x)))

    @columnar_nn.vector_function("l2_normalize", shape=lambda shape: shape)
    def l2_normalize(x, out):
        total = 0.0
        for i in range(x.shape[0]):
            total += x[i] * x[i]
        for i in range(x.shape[0]):
            out[i] = x[i] / math.sqrt(total)

docs/functions.md tells users what such a function may hold.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType, SimpleNamespace
from typing import Any, TypeVar

import numpy as np

from columnar_nn import kernels
from columnar_nn.errors import InvalidModelError, UsageError
from columnar_nn.expressions.expression import Call
from columnar_nn.functions.activations import function_of_elements
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.registry import VECTOR_FUNCTIONS
from columnar_nn.functions.vector_function import VectorFunction, elements
from columnar_nn.kernels import PythonFunction
from columnar_nn.model import batch_axis
from columnar_nn.model.batch_axis import Axis, MixedRowsError
from columnar_nn.model.node import Shape
from columnar_nn.model.operators import Operator, declare_operator
from columnar_nn.model.shape_rules import elementwise
from columnar_nn.model.shape_rules.operands import Operands

ShapeRule = Callable[[tuple[int, ...]], Sequence[int]]


@dataclass(frozen=True)
class DeclaredFunction:
    """A declared function; `shape` gives its result's row, and is None of a function of elements.

    `attributes` are the parameters after the row's, with their defaults; `onnx` the operator,
    domain::Type, that it computes.
    """

    python: PythonFunction
    attributes: Mapping[str, float]
    shape: ShapeRule | None
    onnx: str | None

    def reference(self, x: np.ndarray, **attributes: float) -> np.ndarray:
        """What Python itself computes of [rows, ...] in float64, unrounded: the truth.

        Functions of math give what IEEE 754 says where Python's raise: infinity or NaN.
        """
        function = _in_ieee(self.python.function)
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


DECLARED: dict[str, DeclaredFunction] = {}
"""Declared vector functions by name."""

Function = TypeVar("Function", bound=Callable[..., Any])


def vector_function(
    name: str,
    *,
    onnx: str | None = None,
    shape: ShapeRule | None = None,
    **attributes: float,
) -> Callable[[Function], Function]:
    """Decorator: declares a Python function as the vector function `name`.

    Without `shape` it is a function of an element, f(x, *attributes), that returns a number.
    With it, it is one of a row, f(x, out, *attributes), that writes `out`, whose shape `shape`
    gives of x's. `attributes` are further parameters with their defaults, numbers; calls give
    others by name. `onnx`, as "my.ops::Mish", is the custom operator that it computes in ONNX
    files. The decorated function stays as it is. Declared again under its name, it is replaced.
    Raises UsageError for a name that is not lower case letters, digits and _, or is a built-in
    function's, for parameters that do not fit, and for what no kernel can hold.
    """

    def declare(function: Function) -> Function:
        _check_names(name, onnx)
        given = {
            key: value if isinstance(value, int) and shape else float(np.float32(value))
            for key, value in attributes.items()
        }
        _check_parameters(name, function, ["x", *(["out"] if shape else []), *given])
        declared = DeclaredFunction(_compiled_as(name, function), given, shape, onnx)
        DECLARED[name] = declared
        VECTOR_FUNCTIONS[name] = _vector_function(declared)
        if onnx:
            declare_operator(onnx, _operator(declared))
        return function

    return declare


def function_of_operator(op_type: str) -> str | None:
    """The name of the declared function that computes an operator, None if there is none."""
    names = (name for name, declared in DECLARED.items() if declared.onnx == op_type)
    return next(names, None)


def _check_names(name: str, onnx: str | None) -> None:
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
        raise UsageError(f"function name {name!r}: use lower case letters, digits and _")
    if name in VECTOR_FUNCTIONS and name not in DECLARED:
        raise UsageError(f"function {name} is built in: choose another name")
    if onnx is not None and not re.fullmatch(r"[\w.]+::\w+", onnx):
        raise UsageError(f"function {name}: onnx={onnx!r} is no operator: write domain::Type")
    other = None if onnx is None else function_of_operator(onnx)
    if other not in (None, name):
        raise UsageError(f"function {name}: {onnx} is computed by {other} already")


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


def _compiled_as(name: str, function: Callable[..., Any]) -> PythonFunction:
    if not isinstance(function, FunctionType):
        raise UsageError(f"function {name} is no Python function, but {type(function).__name__}")
    return PythonFunction(name, function)


def _vector_function(declared: DeclaredFunction) -> VectorFunction:
    name = declared.python.name
    if declared.shape is None:
        return function_of_elements(name, declared.python, declared.attributes)

    def rule(operands: Operands) -> tuple[Shape, ...]:
        batch, *row = operands.shape(0)
        return ((batch, *declared.row_shape(tuple(size or 0 for size in row))),)

    def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
        source = assembly.planar(values[0])
        given = {**declared.attributes, **call.attributes}
        target = declared.row_shape(source.layout.shape)
        return assembly.apply(
            kernels.of_row(source.layout, target, declared.python, *_like(declared, given)), source
        )

    return VectorFunction(name, rule, assemble, elements, declared.attributes)


def _like(declared: DeclaredFunction, given: Mapping[str, Any]) -> list[float]:
    """Attributes in order, each of the type of its default."""
    return [type(default)(given[key]) for key, default in declared.attributes.items()]


def _operator(declared: DeclaredFunction) -> Operator:
    if declared.shape is None:
        rows = batch_axis.first_alone
        return Operator(elementwise.unary, rows, declared.attributes)
    rule = VECTOR_FUNCTIONS[declared.python.name].shape
    return Operator(rule, _first_axis, declared.attributes)


def _first_axis(operands: Operands, axes: Sequence[Axis]) -> int:
    axis = batch_axis.first_alone(operands, axes)
    if axis != 0:
        raise MixedRowsError(f"its rows are along axis {axis}, not the first")
    return axis


def _in_ieee(function: FunctionType) -> FunctionType:
    """The function with functions of math that give infinity or NaN where Python's raise."""
    changed: dict[FunctionType, FunctionType] = {}
    return _with_math(function, changed)


def _with_math(function: FunctionType, changed: dict[FunctionType, FunctionType]) -> FunctionType:
    if function not in changed:
        names = {**function.__globals__}
        copy = FunctionType(function.__code__, names, function.__name__, None, function.__closure__)
        changed[function] = copy
        for name in function.__code__.co_names:
            value = names.get(name)
            if value is math:
                names[name] = _IEEE
            elif isinstance(value, FunctionType):
                names[name] = _with_math(value, changed)
            elif callable(value) and value in vars(math).values():
                names[name] = vars(_IEEE)[value.__name__]
    return changed[function]


def _ieee(function: Callable[..., float]) -> Callable[..., float]:
    of_numpy = getattr(np, function.__name__, None)

    def compute(*arguments: float) -> float:
        try:
            return function(*arguments)
        except (ValueError, OverflowError):
            if of_numpy is not None:
                return float(of_numpy(*map(np.float64, arguments)))
            return math.nan

    return compute


_IEEE = SimpleNamespace(
    **{
        name: _ieee(value) if callable(value) else value
        for name, value in vars(math).items()
        if not name.startswith("_")
    }
)

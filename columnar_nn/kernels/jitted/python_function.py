"""Functions of the user's, compiled into the kernels that the built-in ones are compiled into.

A function of an element is first typed on blocks, so that it is vector code: arithmetic and the
functions below are defined on them. What does not type on blocks, as a branch does not, is compiled
on float64 numbers and rounded once, as a function of a row is.
"""

from __future__ import annotations

import ctypes
import math
import operator
import re
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import errors, types

from columnar_nn.errors import UsageError
from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jitted import columns, entry
from columnar_nn.kernels.jitted.blocks import block_type
from columnar_nn.kernels.jitted.compiler import (
    emitted_as,
    inlined_as,
    inlined_as_written,
    result_as_written,
)
from columnar_nn.kernels.jitted.emitter import BLOCK, FLOAT, INT32, Emitter, Value
from columnar_nn.kernels.jitted.error_function import complement, error_function
from columnar_nn.kernels.jitted.exponential import exponential, tanh
from columnar_nn.kernels.jitted.logarithm import logarithm, logarithm_of_one_and
from columnar_nn.kernels.jitted.python_numbers import greatest, least, power
from columnar_nn.kernels.python_function import PythonFunction

_unary, _binary = block_type(block_type), block_type(block_type, block_type)

emitted_as(math.exp, _unary)(exponential)
inlined_as(math.tanh, block_type)(tanh)
inlined_as(math.log, block_type)(logarithm)
inlined_as(math.log1p, block_type)(logarithm_of_one_and)
inlined_as(math.erf, block_type)(error_function)
inlined_as(math.erfc, block_type)(complement)
emitted_as(greatest, _binary)(lambda e, a, b: (b > a).select(b, a))
emitted_as(least, _binary)(lambda e, a, b: (b < a).select(b, a))


@emitted_as(power, _binary)
def _power(e: Emitter, base: Value, exponent: Value) -> Value:
    return e.of(e.call(f"llvm.pow.v{LANES}f32", BLOCK, base.ir, exponent.ir))


@emitted_as(operator.neg, _unary)
def _negative(e: Emitter, x: Value) -> Value:
    return e.of(e.builder.fneg(x.ir))


def _by_llvm(function: Callable[..., Any], name: str) -> None:
    @emitted_as(function, _unary)
    def emit(e: Emitter, x: Value) -> Value:
        return e.of(e.call(f"llvm.{name}.v{LANES}f32", BLOCK, x.ir))


def _by_lane(function: Callable[..., Any]) -> None:
    """A function of the C library, called for each lane."""

    @emitted_as(function, _unary)
    def emit(e: Emitter, x: Value) -> Value:
        result = ir.Constant(BLOCK, ir.Undefined)
        for index in range(LANES):
            value = e.call(f"{function.__name__}f", FLOAT, x.lane(index).ir)
            result = e.builder.insert_element(result, value, INT32(index))
        return e.of(result)


for _function in (math.fabs, math.floor, math.ceil):
    _by_llvm(_function, _function.__name__)
for _function in (
    *(math.log2, math.log10, math.expm1),
    *(math.sin, math.cos, math.tan, math.asin, math.acos, math.atan),
    *(math.sinh, math.cosh, math.asinh, math.acosh, math.atanh),
):
    _by_lane(_function)


_PYTHON_NAMES = {types.boolean: "a bool", types.int64: "an int", types.float64: "a float"}

_FORMS = {
    "unary": ("of_blocks", "of_numbers"),
    "binary": ("binary",),
    "epilogue": ("epilogue_of_blocks", "epilogue_of_numbers"),
    "of_rows": ("of_rows",),
    "of_columns": ("of_columns",),
}
"""The functions of a module that make a kernel of a Python function, the fastest first."""


def make_callable(python: PythonFunction) -> None:
    """Has kernels be able to call a function."""
    for function in (python.function, *python.called):
        inlined_as_written(function)


def link(
    name: str,
    arguments: Sequence[str],
    module: str,
    kind: str,
    constants: Sequence[int | str],
    python: PythonFunction,
) -> llvm.ModuleRef:
    """As `entry.link`, the kernel of a module of `jitted/` that computes a Python function.

    Raises UsageError for what does not type: what is not supported, where, what to write instead.
    """
    make_callable(python)
    if kind == "of_columns":
        _check_result(python, *map(str, constants))
    error: Exception | None = None
    for form in _FORMS[kind]:
        made = entry.kernel_function(module, form, (python.function, *constants))
        try:
            return entry.joined(name, arguments, made)
        except errors.NumbaError as refused:
            error = refused
    assert error is not None
    raise _refusal(python, error) from None


def _check_result(python: PythonFunction, parameters: str, result: str) -> None:
    """Raises UsageError for a function of columns that does not return what it declares."""
    try:
        found = result_as_written(python.function, columns.parameter_types(parameters))
    except errors.NumbaError as refused:
        raise _refusal(python, refused) from None
    declared = columns.number_type(result)
    may_be_none = isinstance(found, types.Optional) or found == types.none
    if may_be_none and not isinstance(declared, types.Optional):
        raise python.refusal("returning None", "declare the result as one that may be, `| None`")
    inner = found.type if isinstance(found, types.Optional) else found
    wanted = columns.NUMBERS[result[0]]
    widened = wanted == types.float64 and isinstance(inner, types.Integer)
    if not widened and inner not in (wanted, types.none):
        what = f"returning {_PYTHON_NAMES.get(inner, inner)} as {_PYTHON_NAMES[wanted]}"
        raise python.refusal(what, "convert it, or declare what it is")


def check(python: PythonFunction, linked: llvm.ModuleRef) -> None:
    """Raises UsageError for an optimized module that needs more than the C library."""
    library = ctypes.CDLL(None)
    missing = entry.foreign_symbols(linked)
    missing += [
        function.name
        for function in linked.functions
        if function.is_declaration
        and not function.name.startswith("llvm.")
        and not hasattr(library, function.name)
    ]
    if missing:
        name = re.sub(r"^numba_|f$", "", missing[0])
        what = name if name.isidentifier() and len(name) < 16 else "a function that numba adds"
        instead = "use another function of math, or write it out in loops"
        raise python.refusal(f"{what}, which the C library does not have,", instead)


def _refusal(python: PythonFunction, error: Exception) -> UsageError:
    """Numba's long text as one line: what, and the last place in the user's file that it names."""
    text = str(error)
    file = python.function.__code__.co_filename
    places = re.findall(r'File "([^"]+)", line (\d+)', text)
    lines = [int(line) for path, line in places if path in file]
    named = re.findall(r"<built-in function (\w+)>|Unknown attribute '(\w+)'", text)
    first = next((line.strip() for line in text.splitlines() if line.strip()), "")
    what = f"{''.join(named[-1])} of such arguments" if named else first
    instead = "use loops, numbers, x.shape, x[i], out[i] = value and functions of math"
    return python.refusal(what, instead, lines[-1] if lines else 0)

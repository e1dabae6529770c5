"""How numba passes values: calls of compiled functions, their status, tuples, what may be None."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.compiler import CompileResult
from numba.core.imputils import fix_returning_optional
from numba.core.registry import cpu_target

status_type = ir.IntType(32)
"""LLVM's type of what functions return: 0, or a status that says why they ended. 1 is numba's own
for what raises.
"""


def call(builder: ir.IRBuilder, compiled: CompileResult, arguments: Sequence[ir.Value]) -> Any:
    """Calls a compiled function of another module; what it returns.

    The status that it returns, too, is not looked at: nothing in a kernel raises.
    """
    return _called(builder, compiled, arguments)[1]


def call_as_written(
    builder: ir.IRBuilder, compiled: CompileResult, arguments: Sequence[ir.Value]
) -> Any:
    """As `call`, of a user's function: what it raises, the calling one raises."""
    status, result = _called(builder, compiled, arguments)
    context = cpu_target.target_context
    with cgutils.if_unlikely(builder, status.is_error):
        context.call_conv.return_status_propagate(builder, status)
    return fix_returning_optional(context, builder, compiled.signature, status, result)


def call_reporting(
    builder: ir.IRBuilder, compiled: CompileResult, arguments: Sequence[ir.Value]
) -> tuple[ir.Value, ir.Value]:
    """As `call`; whether the function has raised, and its status, int32."""
    status = _called(builder, compiled, arguments)[0]
    return status.is_error, status.code


def fail_if(builder: ir.IRBuilder, condition: ir.Value, status: int) -> None:
    """Has a function, and those that call it, end with a status where the condition holds."""
    with cgutils.if_unlikely(builder, condition):
        builder.ret(status_type(status))


def _called(
    builder: ir.IRBuilder, compiled: CompileResult, arguments: Sequence[ir.Value]
) -> tuple[Any, Any]:
    """The status of a call, and its result."""
    convention, about = cpu_target.target_context.call_conv, compiled.fndesc
    kind = convention.get_function_type(about.restype, about.argtypes)
    function = cgutils.get_or_insert_function(builder.module, kind, about.mangled_name)
    called: tuple[Any, Any] = convention.call_function(
        builder, function, about.restype, about.argtypes, arguments
    )
    return called


def make_tuple(builder: ir.IRBuilder, kind: types.BaseTuple, items: Sequence[ir.Value]) -> ir.Value:
    """A tuple of numba's type `kind`."""
    return cpu_target.target_context.make_tuple(builder, kind, items)


def make_optional(
    builder: ir.IRBuilder, kind: types.Optional, value: ir.Value, valid: ir.Value
) -> ir.Value:
    """A value of numba's type `kind`, which is None where it is not valid."""
    made = cpu_target.target_context.make_helper(builder, kind)
    made.data, made.valid = value, valid
    return made._getvalue()

"""A kernel as a module of LLVM's language: its function, those it calls, and the way in from C."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types

from columnar_nn.kernels.jitted import records
from columnar_nn.kernels.jitted.compiler import call, compile_function
from columnar_nn.kernels.jitted.emitter import WORD, Emitter
from columnar_nn.kernels.parameters import BLOCK_BYTES

_OF_NUMBA = (".const.pickle", "_ZN5numba", "numba_", "NRT_", "Py")
"""What the names of exceptions, of numba's compiled functions and of its libraries begin with."""


def kernel_function(module: str, function: str, constants: Sequence[int | str]) -> Callable:
    """The Python function of a kernel, made for its constants if it has any."""
    found = getattr(importlib.import_module(f"columnar_nn.kernels.jitted.{module}"), function)
    made: Callable = found(*constants) if constants else found
    return made


def link(name: str, arguments: Sequence[str], function: Callable) -> llvm.ModuleRef:
    """A module with the C function `name` of int64 `arguments`, of which `function` takes some."""
    wanted = records.annotated_types(function)
    compiled = compile_function(function, tuple(wanted.values()), types.none)
    module = ir.Module(name=name)
    module.triple = llvm.get_process_triple()
    entry = ir.Function(module, ir.FunctionType(ir.VoidType(), [WORD] * len(arguments)), name)
    entry.attributes.alignstack = BLOCK_BYTES  # else vectors kept there straddle cache lines
    emitter = Emitter(ir.IRBuilder(entry.append_basic_block("entry")))
    given = dict(zip(arguments, map(emitter.of, entry.args), strict=True))
    values = [records.load(emitter, kind, given[argument]).ir for argument, kind in wanted.items()]
    call(emitter.builder, compiled, values)
    emitter.builder.ret_void()
    linked = llvm.parse_assembly(str(module))
    for part in compiled.library.modules():
        linked.link_in(llvm.parse_assembly(str(part)))
    symbols = [f.name for f in linked.functions if f.is_declaration]
    symbols += [variable.name for variable in linked.global_variables]
    refused = [symbol for symbol in symbols if symbol.startswith(_OF_NUMBA)]
    if refused:
        raise TypeError(f"{name} may raise, or needs Python or numba when run: {refused}")
    for symbol in (*linked.functions, *linked.global_variables):
        if not symbol.is_declaration and symbol.name != name:
            symbol.linkage = llvm.Linkage.internal
    linked.verify()
    return linked

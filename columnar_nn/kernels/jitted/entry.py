"""A kernel as a module of LLVM's language: its function, those it calls, and the way in from C."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence
from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types

from columnar_nn.kernels.jitted import records
from columnar_nn.kernels.jitted.compiler import compile_function
from columnar_nn.kernels.jitted.convention import call_reporting
from columnar_nn.kernels.jitted.emitter import WORD, Emitter
from columnar_nn.kernels.jitted.modules import hide_all_but
from columnar_nn.kernels.parameters import BLOCK_BYTES, WORD_BYTES
from columnar_nn.kernels.tables import OUTSIDE, SPOILED_BYTES

_OF_NUMBA = (".const.pickle", "_ZN5numba", "numba_", "NRT_", "Py")
"""What the names of exceptions, of numba's compiled functions and of its libraries begin with."""


def kernel_function(module: str, function: str, constants: Sequence[Any]) -> Callable:
    """The Python function of a kernel, made for its constants if it has any."""
    found = getattr(importlib.import_module(f"columnar_nn.kernels.jitted.{module}"), function)
    made: Callable = found(*constants) if constants else found
    return made


def link(name: str, arguments: Sequence[str], function: Callable) -> llvm.ModuleRef:
    """A module with the C function `name` of int64 `arguments`, of which `function` takes some.

    Raises TypeError for one that may raise, or needs Python or numba when run.
    """
    linked = joined(name, arguments, function)
    refused = foreign_symbols(linked)
    if refused:
        raise TypeError(f"{name} may raise, or needs Python or numba when run: {refused}")
    return linked


def joined(name: str, arguments: Sequence[str], function: Callable) -> llvm.ModuleRef:
    """As `link`, whatever it needs; what it raises is reported in the word before its scratch."""
    wanted = records.annotated_types(function)
    compiled = compile_function(function, tuple(wanted.values()), types.none)
    module = ir.Module(name=name)
    module.triple = llvm.get_process_triple()
    entry = ir.Function(module, ir.FunctionType(ir.VoidType(), [WORD] * len(arguments)), name)
    entry.attributes.alignstack = BLOCK_BYTES  # else vectors kept there straddle cache lines
    emitter = Emitter(ir.IRBuilder(entry.append_basic_block("entry")))
    given = dict(zip(arguments, map(emitter.of, entry.args), strict=True))
    values = [records.load(emitter, kind, given[argument]).ir for argument, kind in wanted.items()]
    raised, status = map(emitter.of, call_reporting(emitter.builder, compiled, values))
    if "scratch" in given:
        with emitter.when(raised, likely=False):
            own = emitter.of(emitter.builder.sext(status.ir, WORD))
            report = (own > OUTSIDE).select(own, emitter.word(OUTSIDE))
            emitter.store(given["scratch"] - SPOILED_BYTES, report, WORD_BYTES)
    emitter.builder.ret_void()
    linked = llvm.parse_assembly(str(module))
    for part in compiled.library.modules():
        linked.link_in(llvm.parse_assembly(str(part)))
    hide_all_but(name, linked)
    linked.verify()
    return linked


def foreign_symbols(module: llvm.ModuleRef) -> list[str]:
    """What of a module belongs to exceptions, to Python or to numba."""
    symbols = [f.name for f in module.functions if f.is_declaration]
    symbols += [variable.name for variable in module.global_variables]
    return [symbol for symbol in symbols if symbol.startswith(_OF_NUMBA)]

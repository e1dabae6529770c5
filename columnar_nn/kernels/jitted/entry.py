"""A kernel as a module of LLVM's language: its function, those it calls, and the way in from C."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Sequence

import llvmlite.binding as llvm
from llvmlite import ir
from numba import types

from columnar_nn.kernels.emit.emitter import WORD, Emitter
from columnar_nn.kernels.jitted import records
from columnar_nn.kernels.jitted.compiler import call, compile_function
from columnar_nn.kernels.parameters import BLOCK_BYTES

PASSES = (
    *("always_inliner", "sroa", "instruction_combine", "simplify_cfg"),
    *("sroa", "loop_rotate", "instruction_combine", "new_gvn", "simplify_cfg"),
    *("dead_code_elimination", "global_dead_code_eliminate"),
)
"""LLVM's optimisations that kernels need: what is called becomes one function, variables go to
registers, loops are tested at their end, common expressions computed once. Numba's ranges count
behind a pointer in a struct: the second "sroa" brings that into a register, without which simple
loops take 1.5 to 5 times as long. The code generator hoists what a loop does not change.
"""


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
    unknown = [f.name for f in linked.functions if f.is_declaration and f.name.startswith("_Z")]
    if unknown:
        raise TypeError(f"{name} calls what numba compiles itself: {', '.join(unknown)}")
    for symbol in (*linked.functions, *linked.global_variables):
        if not symbol.is_declaration and symbol.name != name:
            symbol.linkage = llvm.Linkage.internal
    linked.verify()
    return linked

"""Modules of LLVM's language that have one way in."""

from __future__ import annotations

import llvmlite.binding as llvm


def hide_all_but(function: str, module: llvm.ModuleRef) -> None:
    """Makes one function all that is seen of a module from outside."""
    for symbol in (*module.functions, *module.global_variables):
        if not symbol.is_declaration and symbol.name != function:
            symbol.linkage = llvm.Linkage.internal


def reached_from(function: str, text: str) -> str:
    """A module without what a function in it does not reach."""
    module = llvm.parse_assembly(text)
    hide_all_but(function, module)
    machine = llvm.Target.from_triple(module.triple).create_target_machine()
    builder = llvm.create_pass_builder(machine, llvm.create_pipeline_tuning_options())
    passes = llvm.create_new_module_pass_manager()
    passes.add_global_dead_code_eliminate_pass()
    passes.run(module, builder)
    return str(module)

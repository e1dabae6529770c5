"""LLVM's passes and its code generator, driven for kernels: imported where one must be compiled.

Its library takes 20 ms to load, which a process that compiles nothing need not spend.
"""

from __future__ import annotations

import contextlib

import llvmlite.binding as llvm

from columnar_nn.kernels import host


def target_machine() -> llvm.TargetMachine:
    """LLVM's code generator for this processor."""
    with contextlib.suppress(RuntimeError):  # llvmlite 0.45 and newer initialize themselves
        llvm.initialize()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    return llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine(
        cpu=host.processor_name(),
        features=host.processor_features(),
        opt=3,
        codemodel="jitdefault",
    )


PASSES = (
    *("always_inliner", "sroa", "instruction_combine", "simplify_cfg"),
    *("sroa", "loop_rotate", "instruction_combine", "new_gvn", "simplify_cfg"),
    *("dead_code_elimination", "global_dead_code_eliminate"),
)
"""LLVM's optimisations that kernels need: what is called becomes one function, variables go to
registers, loops are tested at their end, common expressions computed once. A range counts behind a
pointer in a struct: the second "sroa" brings that into a register, without which simple loops take
1.5 to 5 times as long. The code generator hoists what a loop does not change.

LLVM's standard pipeline takes 1 s a kernel and gains nothing over these, which take 0.05 s: kernels
are written in vectors and unrolled where it pays.
"""


def object_code(module: llvm.ModuleRef) -> bytes:
    """A module made better by PASSES, and then machine code."""
    optimize(module)
    return emit(module)


def optimize(module: llvm.ModuleRef) -> None:
    """Makes a module better by PASSES."""
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    builder = llvm.create_pass_builder(target_machine(), options)
    passes = llvm.create_new_module_pass_manager()
    for name in PASSES:
        getattr(passes, f"add_{name}_pass")()
    passes.run(module, builder)


def emit(module: llvm.ModuleRef) -> bytes:
    """Machine code of a module as it is."""
    code: bytes = target_machine().emit_object(module)
    return code

"""Machine code: emitted once as LLVM code, compiled, kept on disk, loaded from there.

Every kernel is a C function

    void kernel(parameters, input, second_input, output, scratch, part, parts)

of seven int64 values: the address of its int64 parameters, the addresses of one image of each
input and of the output, the address of scratch memory of the calling thread, and which of how
many equal parts of the work to do (0 of 1: all). No two parts write the same element, and no
part reads what another part writes, so that threads share one image without locks.

The modules in `emit/` write kernels in LLVM's language through llvmlite, numba's compiler layer.
Rejected, measured on plain9's nine kernels with AVX2: the same microkernels as numba intrinsics
inside `numba.cfunc` loops, equally fast when run, took 11 to 15 s to compile (type inference of
integer loops, and every pass twice) and 0.45 s to import numba. Numba's file cache also misses
closures made by a factory, and serves a stale kernel when a generator that it does not see has
changed.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import importlib
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm

from columnar_nn.kernels import cache, host

ARGUMENTS = ("parameters", "source", "second", "target", "scratch", "part", "parts")
"""Of a kernel that a program runs."""

PASSES = ("sroa", "simplify_cfg", "loop_rotate", "instruction_combine", "new_gvn", "simplify_cfg")
"""LLVM's optimisations that kernels need: variables to registers, loops tested at their end,
common expressions once. The code generator hoists what a loop does not change.
"""


@dataclass(frozen=True)
class Kernel:
    """A compiled function, named by its module, its function there and constants of that.

    The module is one of `jitted/`, or of `emit/` until all are. Two equal kernels share their
    machine code. int64 `arguments` in, nothing out; `calls` are the kernels that it calls.
    """

    module: str
    function: str
    constants: tuple[int | str, ...] = ()
    arguments: tuple[str, ...] = ARGUMENTS
    calls: tuple[Kernel, ...] = ()
    jitted: bool = False

    @property
    def file_name(self) -> str:
        """Name of its function, and of its file in the cache without suffix."""
        return "-".join((self.module, self.function, *map(str, self.constants)))

    @property
    def address(self) -> int:
        """Address of the machine code; loads it, or compiles it first, on first use."""
        with _LOCK:
            return _address(self)

    @functools.cached_property
    def run(self) -> Callable[..., None]:
        """The function, to call with Python integers; it runs without the interpreter's lock."""
        words = [ctypes.c_int64] * len(self.arguments)
        return ctypes.CFUNCTYPE(None, *words)(self.address)


_LOCK = threading.RLock()
_ENGINES: list[Any] = []  # an engine owns its machine code: they live as long as the process


@functools.cache
def _address(kernel: Kernel) -> int:
    for called in kernel.calls:
        llvm.add_symbol(called.file_name, _address(called))
    code = cache.read(kernel.file_name)
    if code is None:
        code = compile_kernel(kernel)
        cache.write(kernel.file_name, code)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _ENGINES.append(engine)
    return int(engine.get_function_address(kernel.file_name))


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


def assembly(kernel: Kernel) -> str:
    """The kernel in LLVM's language, before any optimisation."""
    from llvmlite import ir

    from columnar_nn.kernels.emit.emitter import WORD, Emitter

    module = ir.Module(name=kernel.file_name)
    module.triple = llvm.get_process_triple()
    kind = ir.FunctionType(ir.VoidType(), [WORD] * len(kernel.arguments))
    function = ir.Function(module, kind, kernel.file_name)
    builder = ir.IRBuilder(function.append_basic_block("entry"))
    emitter = Emitter(builder)
    emit = getattr(
        importlib.import_module(f"columnar_nn.kernels.emit.{kernel.module}"), kernel.function
    )
    emit(emitter, *map(emitter.of, function.args), *kernel.constants)
    builder.ret_void()
    return str(module)


def compile_kernel(kernel: Kernel) -> bytes:
    """Object code of a kernel for this processor.

    LLVM's standard pipeline takes 1 s a kernel and gains nothing over these passes, which take
    0.05 s: kernels are written in vectors and unrolled where it pays.
    """
    if kernel.jitted:
        from columnar_nn.kernels.jitted import entry

        function = entry.kernel_function(kernel.module, kernel.function, kernel.constants)
        module = entry.link(kernel.file_name, kernel.arguments, function)
        return object_code(module, entry.PASSES)
    return object_code(llvm.parse_assembly(assembly(kernel)), PASSES)


def object_code(module: llvm.ModuleRef, pass_names: Sequence[str]) -> bytes:
    """A module made better by LLVM's passes, and then machine code."""
    machine = target_machine()
    module.verify()
    options = llvm.create_pipeline_tuning_options(speed_level=2)
    builder = llvm.create_pass_builder(machine, options)
    passes = llvm.create_new_module_pass_manager()
    for name in pass_names:
        getattr(passes, f"add_{name}_pass")()
    passes.run(module, builder)
    code: bytes = machine.emit_object(module)
    return code

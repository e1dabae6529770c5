"""Numba's flags, and machine code: compiled once, kept on disk, loaded without numba.

Every kernel is a C function

    void kernel(parameters, input, second_input, output, scratch, part, parts)

of seven int64 values: the address of its int64 parameters, the addresses of one image of each
input and of the output, the address of scratch memory of the calling thread, and which of how
many equal parts of the work to do (0 of 1: all). No two parts write the same element, and no
part reads what another part writes, so that threads share one image without locks.

The functions live in `compiled/`, whose modules import numba; this module does not, unless a
kernel is missing from the cache. That halves the start of a process: numba alone takes 0.2 to
0.45 s to import, loading the object code of a kernel about a millisecond. Numba's own file
cache was rejected: it misses closures made by a factory in every new process, and serves a
stale kernel when a generator that it does not see has changed.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import threading
from dataclasses import dataclass
from typing import Any

import llvmlite.binding as llvm

from columnar_nn.kernels import cache

NUM_ARGUMENTS = 7

FLAGS = {
    "nopython": True,
    "fastmath": False,  # sums keep their written order and NaN its meaning
    "error_model": "numpy",  # no exception paths in machine code
    "boundscheck": False,
}


@dataclass(frozen=True)
class Kernel:
    """A compiled function, named by its module in `compiled/`, its factory and its constants.

    Two equal kernels share their machine code. `num_arguments` int64 values in, nothing out.
    """

    module: str
    factory: str
    constants: tuple[int | str, ...] = ()
    num_arguments: int = NUM_ARGUMENTS

    @property
    def file_name(self) -> str:
        """Name of its file in the cache, without suffix."""
        return "-".join((self.module, self.factory, *map(str, self.constants)))

    @property
    def address(self) -> int:
        """Address of the machine code; loads it, or compiles it first, on first use."""
        return _address(self)


_LOCK = threading.RLock()
_ENGINES: list[Any] = []  # an engine owns its machine code: they live as long as the process


@functools.cache
def _initialize_llvm() -> None:
    with contextlib.suppress(RuntimeError):  # llvmlite 0.45 and newer initialize themselves
        llvm.initialize()
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@functools.cache
def _address_once(kernel: Kernel) -> int:
    payload = cache.read(kernel.file_name)
    if payload is None:
        payload = _compile(kernel)
        cache.write(kernel.file_name, payload)
    symbol, _, code = payload.partition(b"\n")
    return _load(symbol.decode(), code)


def _address(kernel: Kernel) -> int:
    with _LOCK:
        return _address_once(kernel)


def _load(symbol: str, code: bytes) -> int:
    _initialize_llvm()
    machine = llvm.Target.from_triple(llvm.get_process_triple()).create_target_machine()
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), machine)
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _ENGINES.append(engine)
    return int(engine.get_function_address(symbol))


def _compile(kernel: Kernel) -> bytes:
    """Symbol name, newline, object code."""
    import numba

    module = importlib.import_module(f"columnar_nn.kernels.compiled.{kernel.module}")
    function = getattr(module, kernel.factory)(*kernel.constants)
    signature = numba.void(*[numba.int64] * kernel.num_arguments)
    compiled = numba.cfunc(signature, **FLAGS)(function)
    # Numba keeps the object code for its own cache; there is no public way to it.
    code: bytes = compiled._library._get_compiled_object()
    return compiled.native_name.encode() + b"\n" + code

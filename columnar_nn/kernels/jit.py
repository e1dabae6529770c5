"""Machine code: compiled once by numba and LLVM, kept on disk, loaded from there.

Every kernel is a C function

    void kernel(parameters, input, second_input, output, scratch, part, parts,
                images, input_bytes, second_bytes, output_bytes)

of int64 values: the address of its int64 parameters, the addresses of one image of each
input and of the output, the address of scratch memory of the calling thread, and which of how
many equal parts of the work to do (0 of 1: all). No two parts write the same element, and no
part reads what another part writes, so that threads share one image without locks. One that takes
a group of images at once is told how many, and the bytes from one to the next of each tensor; the
others are called for each.

Their code is Python (`jitted/`) that numba's front end types and lowers to LLVM's language; passes
and object code are LLVM's (`code_generator`), the cache (`cache`) and the loader (`loader`) are the
project's own.
Numba's own entry points were rejected: `njit` and `cfunc` take 1.5 to 3 times as long to compile
(F(4x4): 1.2 and 1.0 s against 0.55, direct 3x3: 2.6 and 3.8 s against 1.2), since they run LLVM's
standard pipeline, add wrappers for Python and do much of it twice. Their file cache misses closures
that a factory makes, serves a stale kernel when a function in another file has changed, and needs
numba imported, 0.3 s, at every start. As it is, plain9 with an empty cache takes 4 s of processor
time, imports included, 2 s more than with all kernels written in LLVM's language by hand, and
with a full one 0.6 s, since numba is not imported.
"""

from __future__ import annotations

import ctypes
import functools
import threading
from collections.abc import Callable
from typing import Any

from columnar_nn.kernels import cache, loader
from columnar_nn.kernels.parameters import Code
from columnar_nn.kernels.python_function import PythonFunction
from columnar_nn.record import ValueRecord

ARGUMENTS = (
    *("parameters", "source", "second", "target", "scratch", "part", "parts"),
    *("images", "source_bytes", "second_bytes", "target_bytes"),
)
"""Of a kernel that a program runs."""


class Kernel(ValueRecord, Code):
    """A compiled function, named by its module, its function there and constants of that.

    The module is one of `jitted/`. Two equal kernels share their machine code. int64 `arguments`
    in, nothing out; `calls` are the kernels that it calls. One of a `python` function has its key
    as the first constant.
    """

    module: str
    function: str
    constants: tuple[int | str, ...] = ()
    arguments: tuple[str, ...] = ARGUMENTS
    calls: tuple[Kernel, ...] = ()
    python: PythonFunction | None = None

    @property
    def _compared(self) -> tuple[Any, ...]:
        return self.module, self.function, self.constants, self.arguments, self.calls

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


@functools.cache
def _address(kernel: Kernel) -> int:
    code = cache.read(kernel.file_name)
    if code is None:
        code = compile_kernel(kernel)
        cache.write(kernel.file_name, code)
    called = {other.file_name: _address(other) for other in kernel.calls}
    return loader.load(code, kernel.file_name, called)


def compile_kernel(kernel: Kernel) -> bytes:
    """Object code of a kernel for this processor; raises UsageError for what is no kernel."""
    from columnar_nn.kernels import code_generator
    from columnar_nn.kernels.jitted import entry

    if kernel.python is not None:
        from columnar_nn.kernels.jitted import python_function

        module = python_function.link(
            kernel.file_name,
            kernel.arguments,
            kernel.module,
            kernel.function,
            kernel.constants[1:],
            kernel.python,
        )
        code_generator.optimize(module)
        python_function.check(kernel.python, module)
        return code_generator.emit(module)
    function = entry.kernel_function(kernel.module, kernel.function, kernel.constants)
    return code_generator.object_code(entry.link(kernel.file_name, kernel.arguments, function))

"""Object code of kernels brought into memory to be run: here where it can be, else by LLVM.

LLVM's library takes 20 ms to load and its loader 1.5 ms a kernel, which is most of what a process
takes that finds its kernels in the cache; `elf` takes 0.15 ms a kernel.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from columnar_nn.kernels import elf

_KEPT: list[Any] = []
"""What holds the machine code of kernels, which live as long as the process."""


def load(code: bytes, function: str, called: Mapping[str, int]) -> int:
    """The address of `function` of an object file, which calls what is at the addresses `called`.

    It stays there to the end of the process.
    """
    try:
        loaded = elf.load(code, function, called)
    except elf.UnsupportedError:
        return _load_by_llvm(code, function, called)
    _KEPT.append(loaded.memory)
    return loaded.address


def _load_by_llvm(code: bytes, function: str, called: Mapping[str, int]) -> int:
    import llvmlite.binding as llvm

    from columnar_nn.kernels.code_generator import target_machine

    for name, address in called.items():
        llvm.add_symbol(name, address)
    engine = llvm.create_mcjit_compiler(llvm.parse_assembly(""), target_machine())
    engine.add_object_file(llvm.ObjectFileRef.from_data(code))
    engine.finalize_object()
    _KEPT.append(engine)
    return int(engine.get_function_address(function))

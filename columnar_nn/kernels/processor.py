"""What LLVM says of this processor, kept in the cache until the system starts anew.

LLVM's library takes 20 ms to load: a process that compiles nothing does without.
"""

from __future__ import annotations

import functools
from importlib.util import find_spec
from pathlib import Path

from columnar_nn.record import ValueRecord
from columnar_nn.settings import signed_files
from columnar_nn.settings.digest import blake2b

_KIND, _SUFFIX = "processors", ".processor"
_BOOT = Path("/proc/sys/kernel/random/boot_id")
"""Another at each start of Linux, before which no processor can be changed."""


class Processor(ValueRecord):
    """LLVM's name of it, and its features as LLVM's code generator takes them."""

    name: str
    features: str


@functools.cache
def this() -> Processor:
    """The processor that this process runs on."""
    name = _file_name()
    stored = signed_files.read(_KIND, name) if name else None
    if stored is not None:
        return Processor(*stored.decode().split("\n"))
    import llvmlite.binding as llvm

    found = Processor(llvm.get_host_cpu_name(), str(llvm.get_host_cpu_features().flatten()))
    if name:
        signed_files.write(_KIND, name, f"{found.name}\n{found.features}".encode())
    return found


def _file_name() -> str:
    """Of this version of LLVM and this start of the system; "" where that has no name."""
    try:
        boot = _BOOT.read_bytes()
    except OSError:
        return ""
    return blake2b(boot + version_file("llvmlite"), digest_size=10).hexdigest() + _SUFFIX


def version_file(package: str) -> bytes:
    """What an installed package says of its version, without importing it.

    importlib.metadata takes 30 ms to import and to ask.
    """
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name("_version.py").read_bytes()

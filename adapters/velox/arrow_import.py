"""Has pyvelox free the Arrow columns that it imports.

pyvelox 0.2.0 exports what `to_velox` is given to Arrow's C interface, imports it as a viewer, who
owns nothing, and never calls the release callbacks: 1.1 KB are lost for a flat column and 3.4 KB
for a constant one, and plain9 needs 160,000 of them. Velox's importFromArrowAsOwner takes the same
arguments and frees each column as soon as no vector needs it.
"""

from __future__ import annotations

import ctypes
import mmap
import platform
import struct
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

VIEWER = (
    "_ZN8facebook5velox23importFromArrowAsViewerERK11ArrowSchemaRK10ArrowArrayPNS0_6memory"
    "10MemoryPoolE"
)
"""importFromArrowAsViewer(const ArrowSchema&, const ArrowArray&, memory::MemoryPool*)"""

OWNER = (
    "_ZN8facebook5velox22importFromArrowAsOwnerER11ArrowSchemaR10ArrowArrayPNS0_6memory"
    "10MemoryPoolE"
)
"""importFromArrowAsOwner(ArrowSchema&, ArrowArray&, memory::MemoryPool*)"""

JUMP = b"\xff\x25\x00\x00\x00\x00"
"""x86-64: jmp to the address in the eight bytes after the instruction."""


@cache
def take_ownership() -> bool:
    """Sends Velox's import as a viewer on to its import as an owner, in this process.

    Returns whether it did; elsewhere than in the wheel for which it was written, nothing changes
    but the memory that is needed.
    """
    import pyvelox

    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return False
    if metadata.version("pyvelox") != "0.2.0":
        return False
    library = ctypes.CDLL(str(Path(pyvelox.__file__).parent / "libvelox.so"))
    viewer, owner = (
        ctypes.cast(library[name], ctypes.c_void_p).value or 0 for name in (VIEWER, OWNER)
    )
    jump = JUMP + struct.pack("<Q", owner)
    first_page = viewer // mmap.PAGESIZE * mmap.PAGESIZE
    size = viewer + len(jump) - first_page
    protect = ctypes.CDLL(None).mprotect
    protect.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    writable = mmap.PROT_READ | mmap.PROT_WRITE
    if protect(first_page, size, writable | mmap.PROT_EXEC) != 0:
        return False  # a system that forbids code to be written
    ctypes.memmove(viewer, jump, len(jump))
    protect(first_page, size, mmap.PROT_READ | mmap.PROT_EXEC)
    return True

"""Memory in huge pages, where Linux gives them to those who ask.

An image reads all of a network's weights: thousands of pages of 4 kB, more than the processor keeps
addresses of, and each has to be looked up, in a virtual machine twice over. Of 2 MB they are few.
"""

from __future__ import annotations

import contextlib
import mmap
import sys
import threading
import weakref

import numpy as np

HUGE_BYTES = 2**21
"""A huge page of x86-64, and of 64-bit ARM with pages of 4 kB."""

MAPPING_BYTES = 2**25
"""Addresses that are taken at once; memory is what is written to."""

LINE_BYTES = 64


class HugePages:
    """Zeroed memory, given away piece by piece, each from a cache line on; for several threads.

    Pieces share mappings, which live as long as one of their pieces does: it is for what is kept
    together.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latest: weakref.ref[np.ndarray] | None = None
        self._used = 0

    def take(self, num_bytes: int) -> np.ndarray:
        """So many bytes, uint8."""
        with self._lock:
            mapping = self._latest() if self._latest else None
            if mapping is None or self._used + num_bytes > len(mapping):
                mapping = _mapped(max(num_bytes, MAPPING_BYTES) + HUGE_BYTES)
                self._latest = weakref.ref(mapping)
                self._used = -mapping.ctypes.data % HUGE_BYTES
            start = self._used
            self._used = start + -(-num_bytes // LINE_BYTES) * LINE_BYTES
        return mapping[start : start + num_bytes]


def _mapped(num_bytes: int) -> np.ndarray:
    if sys.platform != "linux":
        return np.zeros(num_bytes, np.uint8)
    pages = mmap.mmap(-1, num_bytes, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with contextlib.suppress(OSError):  # of a kernel without them
        pages.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(pages, np.uint8)


HUGE_PAGES = HugePages()
"""Those of all weights of this process."""

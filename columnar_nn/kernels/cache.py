"""Compiled kernels on disk, one file a kernel, shared by every process of the user.

They lie in the sub-folder `kernels` of the cache (columnar_nn/cache_root.py). In it each generation
of kernels has a folder of its own, named by a hash of everything that changes the machine code: the
sources of this package, the llvmlite version, the processor's name and features, and the vector
width. A file carries a digest, so that a damaged one is compiled again rather than run.
"""

from __future__ import annotations

import functools
import hashlib
import platform
import sys
from importlib import metadata
from pathlib import Path

from columnar_nn import cache_root
from columnar_nn.kernels import host

_KIND, _SUFFIX = "kernels", ".kernel"


@functools.cache
def generation() -> str:
    """Hash of everything that changes the machine code of a kernel."""
    digest = hashlib.sha256()
    package = Path(__file__).parent
    for source in sorted(package.rglob("*.py")):
        name = source.relative_to(package).as_posix()
        digest.update(name.encode() + b"\0" + source.read_bytes() + b"\0")
    for fact in (
        metadata.version("llvmlite"),
        sys.platform,
        platform.machine(),
        host.processor_name(),
        host.processor_features(),
        str(host.vector_width()),
    ):
        digest.update(fact.encode() + b"\0")
    return digest.hexdigest()[:20]


def read(kernel: str) -> bytes | None:
    """The stored object code of `kernel` in this generation; None if absent or damaged."""
    stored = cache_root.read(_KIND, f"{generation()}/{kernel}{_SUFFIX}")
    if stored is None:
        return None
    digest, payload = stored[:32], stored[32:]
    return payload if hashlib.sha256(payload).digest() == digest else None


def write(kernel: str, payload: bytes) -> None:
    """Stores object code for later processes; silently does not where the disk refuses."""
    content = hashlib.sha256(payload).digest() + payload
    cache_root.write(_KIND, f"{generation()}/{kernel}{_SUFFIX}", content)

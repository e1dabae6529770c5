"""Compiled kernels on disk, one file a kernel, shared by every process of the user.

They lie in the sub-folder `kernels` of the cache (columnar_nn/settings/cache_root.py). In it each
generation of kernels has a folder of its own, named by a hash of everything that changes the
machine code: the sources that kernels are made of, the versions of numba, llvmlite and Python, what
configures numba, the processor's name and features, and the vector width. What they hold is run:
they are signed (columnar_nn/settings/signed_files.py), and one that is damaged, or was written by
somebody else or for another kernel, is compiled again.
"""

from __future__ import annotations

import functools
import platform
import sys

from columnar_nn.kernels import host, sources
from columnar_nn.kernels.processor import version_file
from columnar_nn.settings import signed_files, variables
from columnar_nn.settings.digest import blake2b

_KIND, _SUFFIX = "kernels", ".kernel"


@functools.cache
def generation() -> str:
    """Hash of everything that changes the machine code of a kernel."""
    digest = blake2b(digest_size=10)
    digest.update(sources.digest())
    for package in ("llvmlite", "numba"):
        digest.update(version_file(package) + b"\0")
    for fact in (
        "{}.{}".format(*sys.version_info),  # numba compiles bytecode, which differs by version
        *variables.of_numba(),
        sys.platform,
        platform.machine(),
        host.processor_name(),
        host.processor_features(),
        str(host.vector_width()),
    ):
        digest.update(fact.encode() + b"\0")
    return digest.hexdigest()


def read(kernel: str) -> bytes | None:
    """The stored object code of `kernel` in this generation; None if there is none to trust."""
    return signed_files.read(_KIND, _name(kernel))


def write(kernel: str, payload: bytes) -> None:
    """Stores object code for later processes; silently does not where the disk refuses."""
    signed_files.write(_KIND, _name(kernel), payload)


def _name(kernel: str) -> str:
    return f"{generation()}/{kernel}{_SUFFIX}"

"""Compiled kernels on disk, one file a kernel, shared by every process of the user.

They lie in the sub-folder `kernels` of the cache (columnar_nn/settings/cache_root.py). In it each
generation of kernels has a folder of its own, named by a hash of everything that changes the
machine code: the sources of this package, the versions of numba, llvmlite and Python, what
configures numba, the processor's name and features, and the vector width. What they hold is run: a
file carries a code that only the user's own key makes, which lies beside them, so that one that is
damaged, or was written by somebody else or for another kernel, is compiled again.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import platform
import secrets
import sys
from importlib.util import find_spec
from pathlib import Path

from columnar_nn.kernels import host
from columnar_nn.settings import cache_root, variables

_KIND, _SUFFIX = "kernels", ".kernel"
_KEY, _KEY_BYTES, _CODE_BYTES = "kernels.key", 32, 32


@functools.cache
def generation() -> str:
    """Hash of everything that changes the machine code of a kernel."""
    digest = hashlib.sha256()
    sources = Path(__file__).parent
    for source in sorted(sources.rglob("*.py")):
        name = source.relative_to(sources).as_posix()
        digest.update(name.encode() + b"\0" + source.read_bytes() + b"\0")
    for package in ("llvmlite", "numba"):
        digest.update(_version_file(package) + b"\0")
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
    return digest.hexdigest()[:20]


def _version_file(package: str) -> bytes:
    """What an installed package says of its version, without importing it.

    importlib.metadata takes 30 ms to import and to ask.
    """
    spec = find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).with_name("_version.py").read_bytes()


def read(kernel: str) -> bytes | None:
    """The stored object code of `kernel` in this generation; None if there is none to trust."""
    stored = cache_root.read(_KIND, _name(kernel))
    key = _key() if stored is not None else None
    if stored is None or key is None:
        return None
    code, payload = stored[:_CODE_BYTES], stored[_CODE_BYTES:]
    return payload if hmac.compare_digest(_code(key, kernel, payload), code) else None


def write(kernel: str, payload: bytes) -> None:
    """Stores object code for later processes; silently does not where the disk refuses."""
    key = _key()
    if key is not None:
        cache_root.write(_KIND, _name(kernel), _code(key, kernel, payload) + payload)


def _name(kernel: str) -> str:
    return f"{generation()}/{kernel}{_SUFFIX}"


def _code(key: bytes, kernel: str, payload: bytes) -> bytes:
    """Message authentication code (RFC 2104) of a kernel's name and object code."""
    return hmac.digest(key, _name(kernel).encode() + b"\0" + payload, "sha256")


def _key() -> bytes | None:
    """The user's key, made when first asked for; None where none can be kept."""
    for _ in range(2):
        key = cache_root.read("keys", _KEY)
        if key is not None and len(key) == _KEY_BYTES:
            return key
        fresh = secrets.token_bytes(_KEY_BYTES)
        cache_root.write("keys", _KEY, fresh, replace=key is not None)
    return None

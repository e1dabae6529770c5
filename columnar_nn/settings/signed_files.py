"""Files of the cache that are run, or decide what is: a process must know that the user wrote them.

Each carries a code that only the user's own key makes, which lies in the sub-folder `keys` of the
cache, so that one that is damaged, or was written by somebody else or under another name, is none.
"""

from __future__ import annotations

import os
from _operator import _compare_digest  # which hmac has, and loads OpenSSL besides

from columnar_nn.settings import cache_root
from columnar_nn.settings.digest import blake2b

_KEY, _KEY_BYTES, _CODE_BYTES = "kernels.key", 32, 32


def read(kind: str, name: str) -> bytes | None:
    """What was written as `name`, a path below the kind's folder; None if none is trusted."""
    stored = cache_root.read(kind, name)
    key = _key() if stored is not None else None
    if stored is None or key is None:
        return None
    code, payload = stored[:_CODE_BYTES], stored[_CODE_BYTES:]
    return payload if _compare_digest(_code(key, kind, name, payload), code) else None


def write(kind: str, name: str, payload: bytes) -> None:
    """Stores a file for later processes; silently does not where the disk refuses."""
    key = _key()
    if key is not None:
        cache_root.write(kind, name, _code(key, kind, name, payload) + payload)


def _code(key: bytes, kind: str, name: str, payload: bytes) -> bytes:
    """Message authentication code (BLAKE2b's own, with a key) of a file's name and content."""
    signed = f"{kind}/{name}".encode() + b"\0" + payload
    return blake2b(signed, digest_size=_CODE_BYTES, key=key).digest()


def _key() -> bytes | None:
    """The user's key, made when first asked for; None where none can be kept."""
    for _ in range(2):
        key = cache_root.read("keys", _KEY)
        if key is not None and len(key) == _KEY_BYTES:
            return key
        fresh = os.urandom(_KEY_BYTES)
        cache_root.write("keys", _KEY, fresh, replace=key is not None)
    return None

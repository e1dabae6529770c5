"""Files of the cache that are run, or decide what is: a process must know that the user wrote them.

Each carries a code that only the user's own key makes, which lies in the sub-folder `keys` of the
cache, so that one that is damaged, or was written by somebody else or under another name, is none.
"""

from __future__ import annotations

import hmac
import os

from columnar_nn.settings import cache_root

_KEY, _KEY_BYTES, _CODE_BYTES = "kernels.key", 32, 32


def read(kind: str, name: str) -> bytes | None:
    """What was written as `name`, a path below the kind's folder; None if none is trusted."""
    stored = cache_root.read(kind, name)
    key = _key() if stored is not None else None
    if stored is None or key is None:
        return None
    code, payload = stored[:_CODE_BYTES], stored[_CODE_BYTES:]
    return payload if hmac.compare_digest(_code(key, kind, name, payload), code) else None


def write(kind: str, name: str, payload: bytes) -> None:
    """Stores a file for later processes; silently does not where the disk refuses."""
    key = _key()
    if key is not None:
        cache_root.write(kind, name, _code(key, kind, name, payload) + payload)


def _code(key: bytes, kind: str, name: str, payload: bytes) -> bytes:
    """Message authentication code (RFC 2104) of a file's name and content."""
    return hmac.digest(key, f"{kind}/{name}".encode() + b"\0" + payload, "sha256")


def _key() -> bytes | None:
    """The user's key, made when first asked for; None where none can be kept."""
    for _ in range(2):
        key = cache_root.read("keys", _KEY)
        if key is not None and len(key) == _KEY_BYTES:
            return key
        fresh = os.urandom(_KEY_BYTES)
        cache_root.write("keys", _KEY, fresh, replace=key is not None)
    return None

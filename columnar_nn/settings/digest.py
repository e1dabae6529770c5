"""BLAKE2b, of which the cache has its names and codes (RFC 7693), without loading OpenSSL.

hashlib and hmac load that, 3 ms of a start; so here, as in Python's own `random`, the function is
taken from the module that hashlib has it of, and from hashlib where there is none.
"""

from __future__ import annotations

try:
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

__all__ = ["blake2b"]

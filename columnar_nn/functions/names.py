"""Names of functions that users declare."""

from __future__ import annotations

import re
from collections.abc import Collection

from columnar_nn.errors import UsageError
from columnar_nn.functions.registry import VECTOR_FUNCTIONS
from columnar_nn.functions.scalar import SCALAR_FUNCTIONS


def check_name(name: str, declared: Collection[str]) -> None:
    """Raises UsageError for a name that is none, or another function's than one of `declared`."""
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
        raise UsageError(f"function name {name!r}: use lower case letters, digits and _")
    if name not in declared and (name in VECTOR_FUNCTIONS or name in SCALAR_FUNCTIONS):
        raise UsageError(
            f"function {name} is built in, or declared as one of another kind: choose another name"
        )

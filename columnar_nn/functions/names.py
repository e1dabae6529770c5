"""Names of functions that users declare."""

from __future__ import annotations

import re
from collections.abc import Container

from columnar_nn.errors import UsageError
from columnar_nn.functions.registry import VECTOR_FUNCTIONS
from columnar_nn.functions.scalar_registry import SCALAR_FUNCTIONS

BUILT_IN = frozenset((*VECTOR_FUNCTIONS, *SCALAR_FUNCTIONS))


def check_text(name: object, decorator: str) -> None:
    """Raises UsageError if a decorator stands over a function without having been called."""
    if not isinstance(name, str):
        raise UsageError(f'@{decorator} is called with the function\'s name: @{decorator}("name")')


def check_name(name: str, of_other_kind: Container[str]) -> None:
    """Raises UsageError for a name that is none, built in, or of a function of another kind."""
    if not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
        raise UsageError(f"function name {name!r}: use lower case letters, digits and _")
    if name in BUILT_IN:
        raise UsageError(f"function {name} is built in: choose another name")
    if name in of_other_kind:
        raise UsageError(
            f"function {name} is declared as a vector and a scalar function: choose another name"
        )

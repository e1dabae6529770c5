"""JSON of anyone's: a value that is bounded in depth and in its numbers, or why it is none."""

from __future__ import annotations

import json
import math
from typing import Any

MAX_DEPTH = 24
"""Of lists and objects within each other."""

MAX_DIGITS = 18
"""Of a whole number, which then fits into 64 bits."""


def parse(text: str) -> Any:
    """The value in a text. Raises ValueError, in words, also for a number that is none."""
    try:
        value = json.loads(
            text,
            parse_int=_whole,
            parse_float=_real,
            parse_constant=_refuse,
            object_pairs_hook=_without_repeats,
        )
    except RecursionError:
        raise ValueError(f"it is over {MAX_DEPTH} levels deep") from None
    _check_depth(value)
    return value


def _whole(text: str) -> int:
    if len(text.lstrip("-")) > MAX_DIGITS:
        raise ValueError(f"a whole number of {len(text)} digits")
    return int(text)


def _real(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text:.40} is larger than any number")
    return value


def _refuse(text: str) -> Any:
    raise ValueError(f"{text} is no number")


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name twice in an object")
    return found


def _check_depth(value: Any) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for one in level:
            if isinstance(one, dict):
                below += one.values()
            elif isinstance(one, list):
                below += one
        level = [one for one in below if isinstance(one, dict | list)]
        if not level:
            return
    raise ValueError(f"it is over {MAX_DEPTH} levels deep")

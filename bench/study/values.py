"""Values of an axis as they are written: lists, and ranges of numbers.

Ranges are llama-bench's: `1-8` and `1-8+2` count up, `1-1000*10` multiplies.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from columnar_nn.errors import UsageError

MOST = 1000
"""Values of an axis: more are a slip of the pen."""

_LARGEST = 10**9
_RANGE = re.compile(r"(\d+)(?:-(\d+)(?:([+*])(\d+))?)?")
_EXAMPLES = "such as 1,2,4 or 1-8+1 or 1-1000*10"


def numbers(name: str, written: object) -> tuple[int, ...]:
    """The positive numbers of a text, a number, or a list of both, each once, in order.

    Raises UsageError, naming the axis.
    """
    found: dict[int, None] = {}
    for text in texts(name, written):
        for number in _numbers(name, text):
            found[number] = None
            if len(found) > MOST:
                raise UsageError(f"{name} {text!r}: over {MOST:,} values")
    return tuple(found)


def texts(name: str, written: object) -> tuple[str, ...]:
    """The texts between the commas of a text, or of those of a list, each once, in order.

    Raises UsageError, naming the axis.
    """
    parts = written if isinstance(written, list | tuple) else [written]
    if not all(isinstance(part, str | int) and not isinstance(part, bool) for part in parts):
        raise UsageError(f"{name} {written!r}: expected a text or a number, or a list of them")
    found = [text.strip() for part in parts for text in str(part).split(",")]
    if not found or not all(found):
        raise UsageError(f"{name} {written!r}: a value is missing")
    return tuple(dict.fromkeys(found))


def _numbers(name: str, text: str) -> Iterator[int]:
    match = _RANGE.fullmatch(text)
    if match is None:
        raise UsageError(f"{name} {text!r}: expected positive whole numbers {_EXAMPLES}")
    first, last = int(match[1]), int(match[2] or match[1])
    sign, step = match[3] or "+", int(match[4] or 1)
    if not 1 <= first <= last <= _LARGEST:
        raise UsageError(f"{name} {text!r}: it must go up, from 1 at least to {_LARGEST:,} at most")
    if step < (2 if sign == "*" else 1):
        raise UsageError(f"{name} {text!r}: it would never end")
    while first <= last:
        yield first
        first = first * step if sign == "*" else first + step

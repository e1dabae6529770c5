"""Sizes that a user gives to inputs whose file leaves them free."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from columnar_nn.errors import InvalidModelError, UsageError, printable
from columnar_nn.model.node import Shape

Sizes = tuple[int, ...]

EVERY = ""
"""The key of sizes that are for every input."""

_SIZES = re.compile(r"[1-9]\d{0,8}(?:x[1-9]\d{0,8})*")


def parse(texts: Iterable[str]) -> dict[str, Sizes]:
    """Sizes by name of the input from texts [NAME:]224x224, the last dimensions of a row.

    Without a name they are for EVERY input. Raises UsageError.
    """
    found: dict[str, Sizes] = {}
    for text in texts:
        name, _, sizes = text.rpartition(":")
        if not _SIZES.fullmatch(sizes) or name in found:
            raise UsageError(
                f"--input-shape {text!r}: write sizes such as 224x224 or 3x224x224, of one of "
                "several inputs NAME:3x224x224, each once"
            )
        found[name] = tuple(map(int, sizes.split("x")))
    return found


def fixed(name: str, shape: Shape, given: Mapping[str, Sizes]) -> Shape:
    """The shape of an input, its free sizes but for the batch as `given`.

    Raises InvalidModelError for sizes that remain free, or are others than the file's.
    """
    sizes = given.get(name, given.get(EVERY, ()))
    if len(sizes) >= len(shape):
        raise InvalidModelError(
            f"input {name!r} has {len(shape)} dimension(s), the batch among them: --input-shape "
            f"gives {len(sizes)} sizes"
        )
    kept = len(shape) - len(sizes)
    for place, (size, wanted) in enumerate(zip(shape[kept:], sizes, strict=True), kept):
        if size not in (None, wanted):
            raise InvalidModelError(
                f"dimension {place} of input {name!r} is {size}, and --input-shape says {wanted}: "
                "give the file's"
            )
    result = (*shape[:kept], *sizes)
    for place, size in enumerate(result[1:], 1):
        if size is None:
            raise InvalidModelError(
                f"dimension {place} of input {name!r} is symbolic; only the first (the batch) may "
                f"be: give its size with --input-shape {_example(result[place:])}, or export with "
                "a fixed image size"
            )
    return result


def _example(sizes: Shape) -> str:
    """Sizes from a free one on, as they might be given: the file's own, 3 channels of 224x224."""
    usual = (3, 224, 224)[-len(sizes) :] if len(sizes) <= 3 else (3,) * len(sizes)
    return "x".join(str(size or there) for size, there in zip(sizes, usual, strict=True))


def check_names(given: Mapping[str, Sizes], names: Iterable[str]) -> None:
    """Raises UsageError for sizes of an input that is not there."""
    known = list(names)
    for name in given.keys() - {EVERY, *known}:
        raise UsageError(
            f"--input-shape {printable(name)}: no such input; there are {', '.join(known)}"
        )

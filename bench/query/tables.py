"""The tables and networks of a query, as NAME=PATH on the command line has them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from bench.data.dataset import open_dataset
from bench.data.readers import is_images
from columnar_nn.errors import UsageError

EMBEDDED = "photo10"
"""The set of images that is there without being named."""


class Tables(Mapping[str, Any]):
    """Tables by name, each opened when a query reads it: data sets are read once to check them."""

    def __init__(self, paths: Mapping[str, str]) -> None:
        self._paths = {EMBEDDED: EMBEDDED, **paths}
        self._opened: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._opened:
            path = self._paths[name]
            self._opened[name] = open_dataset(path) if is_images(path) else path
        return self._opened[name]

    def __iter__(self) -> Any:
        return iter(self._paths)

    def __len__(self) -> int:
        return len(self._paths)


def named(option: str, values: Sequence[str] | None) -> dict[str, str]:
    """The paths by name of an option NAME=PATH, repeatable; raises UsageError."""
    found: dict[str, str] = {}
    for value in values or ():
        name, sign, path = value.partition("=")
        if not (sign and name.isidentifier() and path):
            raise UsageError(f"{option} {value!r}: write NAME=PATH, the name of letters and digits")
        if name.lower() in map(str.lower, found):
            raise UsageError(f"{option} {name} is given twice: names differ in more than case")
        found[name] = path
    return found

"""Objects that show themselves: as one line where they are printed, as HTML in a notebook."""

from __future__ import annotations

from importlib import import_module

from columnar_nn.errors import printable

LINE = 96
"""Most characters of a repr."""


def line(kind: str, words: str) -> str:
    """`<kind words>`, shortened to LINE characters; control characters in it are escaped."""
    text = printable(f"{kind} {words}")
    return f"<{text}>" if len(text) <= LINE - 2 else f"<{text[: LINE - 6]} ...>"


class Shown:
    """An object of which a notebook shows HTML.

    That is written in a room above all that is shown: hence the import by name.
    """

    __slots__ = ()

    def _repr_html_(self) -> str:
        text: str = import_module("columnar_nn.display.pages").html(self)
        return text

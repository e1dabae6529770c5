"""Pictures in a terminal: two pixels a character, above each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rich.color import Color
from rich.style import Style
from rich.text import Text

UPPER_HALF = "▀"


def half_blocks(pictures: Sequence[np.ndarray], gap: int = 1) -> Text:
    """Pictures beside each other, each uint8 [height, width, 3] of one even height."""
    text = Text()
    for line in range(0, len(pictures[0]), 2):
        for picture in pictures:
            for upper, lower in zip(picture[line], picture[line + 1], strict=True):
                text.append(UPPER_HALF, Style(color=_color(upper), bgcolor=_color(lower)))
            text.append(" " * gap)
        text.append("\n")
    return text


def _color(pixel: np.ndarray) -> Color:
    red, green, blue = (int(value) for value in pixel)
    return Color.from_rgb(red, green, blue)

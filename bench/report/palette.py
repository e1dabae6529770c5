"""How engines look: a colour a backend, a mark and a dash a configuration; the same everywhere.

Colours differ for every kind of colour blindness (tests/report/test_palette.py), and marks where
colours do not print. Each has a counterpart for a dark page.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple


class Look(NamedTuple):
    """Of one engine: the colour on white, Vega's name of its mark, and its dash."""

    colour: str
    mark: str
    dash: tuple[int, ...]


INK, SOFT, FAINT, PAPER = "#1f2328", "#59636e", "#dde2e8", "#ffffff"

_BACKENDS = {
    "columnar": "#d1480b",
    "onnxruntime": "#0b62b8",
    "openvino": "#0f9a74",
    "pytorch": "#8e2f8f",
    "tensorflow": "#b98900",
    "velox": "#3aa6dd",
    "reference": "#737c87",
}
_OTHERS = ("#5a3d2b", "#2b2f77")
STAGES = ("#98a2ae", "#4fa8d8", "#0b62b8", "#b98900")
"""Of the stages of a start, and of the parts of memory, in order."""

DARK = {
    INK: "#e6edf3",
    SOFT: "#9aa5b1",
    FAINT: "#353c45",
    PAPER: "#12161b",
    "#d1480b": "#ff8a4c",
    "#0b62b8": "#5aa2ff",
    "#0f9a74": "#37cfa0",
    "#8e2f8f": "#e07be0",
    "#b98900": "#e2b93b",
    "#3aa6dd": "#8adcff",
    "#737c87": "#a7b0ba",
    "#98a2ae": "#707a86",
    "#4fa8d8": "#8adcff",
    "#5a3d2b": "#c79b7f",
    "#2b2f77": "#a3a8ff",
}
"""Each colour on a dark page."""

_MARKS = (
    *("circle", "square", "triangle-up", "diamond", "triangle-down", "cross"),
    *("triangle-right", "triangle-left", "wedge"),
)
_STRIDE = 4
"""Between the marks of two configurations of a backend."""

_DASHES = ((1, 0), (6, 3), (2, 2), (8, 3, 2, 3))


def looks(engines: Sequence[str]) -> dict[str, Look]:
    """How each of these looks, by its name "backend:configuration".

    The first configuration of a backend has a whole line; the order given decides which is first.
    """
    colours = dict(_BACKENDS)
    counts: dict[str, int] = {}
    found = {}
    for engine in engines:
        backend = engine.partition(":")[0]
        colours.setdefault(backend, _OTHERS[(len(colours) - len(_BACKENDS)) % len(_OTHERS)])
        number = counts.setdefault(backend, 0)
        counts[backend] += 1
        mark = _MARKS[(list(colours).index(backend) + _STRIDE * number) % len(_MARKS)]
        found[engine] = Look(colours[backend], mark, _DASHES[number % len(_DASHES)])
    return found

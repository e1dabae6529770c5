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
    "columnar": "#c23f06",
    "onnxruntime": "#0b62b8",
    "openvino": "#0d9a78",
    "pytorch": "#7d2a86",
    "tensorflow": "#c99a00",
    "velox": "#45b0e6",
    "reference": "#737c87",
}
_OTHERS = ("#5a3d2b", "#2b2f77")
STAGES = ("#98a2ae", "#4fa8d8", "#0b62b8", "#b98900", "#5d6672")
"""Of the stages of a start, and of the parts of memory, in order."""

DARK = {
    INK: "#e6edf3",
    SOFT: "#9aa5b1",
    FAINT: "#353c45",
    PAPER: "#12161b",
    "#c23f06": "#ff7f40",
    "#0b62b8": "#4f94ff",
    "#0d9a78": "#2fc79a",
    "#7d2a86": "#e58be0",
    "#b98900": "#e2b93b",
    "#c99a00": "#ecd052",
    "#45b0e6": "#9fe3ff",
    "#737c87": "#98a2ad",
    "#98a2ae": "#707a86",
    "#5d6672": "#c3cad2",
    "#4fa8d8": "#8adcff",
    "#5a3d2b": "#c79b7f",
    "#2b2f77": "#a3a8ff",
}
"""Each colour on a dark page."""

_MARKS = (
    *("circle", "square", "triangle-up", "diamond", "triangle-down", "cross"),
    *("triangle-right", "triangle-left", "M-.8,-.9L.8,-.9L-.8,.9L.8,.9Z"),
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

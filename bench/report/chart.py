"""A chart as Vega-Lite: its name, how it is read, and only as much of its rows as it draws."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pyarrow as pa

from bench.report import drawing, encodings


@dataclass(frozen=True)
class Chart:
    """One chart: `name` says which it is, `reading` in a sentence or two how it is read."""

    name: str
    title: str
    reading: str
    spec: Mapping[str, Any]


def in_units(table: pa.Table, ms: Sequence[str]) -> list[dict[str, Any]]:
    """Rows with milliseconds beside the seconds of these columns, or in place of `seconds`."""
    rows: list[dict[str, Any]] = table.to_pylist()
    for row in rows:
        for name in ms:
            value = row[name] and row[name] * 1e3
            row[name if name == "seconds" else f"{name.removesuffix('_s')}_ms"] = value
    return rows


def finished(name: str, title: str, reading: str, drawn: Any, height: int | None = None) -> Chart:
    """A chart of this drawing, so many pixels high, in the look that all of them have."""
    sized = drawn.properties(height=height) if height else drawn
    whole = sized.add_params(alt.param(name=encodings.HIDDEN, value=[]))
    spec = whole.configure(**encodings.CONFIG).to_dict()
    layers = spec.get("layer", [spec])
    for dataset, rows in spec["datasets"].items():
        # Layers that all have the same rows have them from the whole.
        own = [layer for layer in layers if {**spec, **layer}["data"]["name"] == dataset]
        spec["datasets"][dataset] = _drawn(rows, set().union(*map(_fields, own)))
    rows = [row for of in spec["datasets"].values() for row in of]
    _keep_drawn(spec, {row["engine"] for row in rows if "engine" in row})
    longest = max((len(label) for label in _labels(spec)), default=0)
    column = round(_SYMBOL + _CHARACTER * longest)
    return Chart(name, title, reading, {**spec, "usermeta": {drawing.LEGEND_COLUMN: column}})


def _keep_drawn(part: Any, engines: Collection[str]) -> None:
    """Takes out of scales, and so of legends, the engines that the chart has no row of."""
    if isinstance(part, list):
        for one in part:
            _keep_drawn(one, engines)
    elif isinstance(part, dict):
        if part.get("field") == "engine" and "scale" in part:
            scale = part["scale"]
            kept = [n for n, name in enumerate(scale["domain"]) if name in engines]
            scale |= {of: [scale[of][n] for n in kept] for of in ("domain", "range")}
        for name, one in part.items():
            if name != "datasets":
                _keep_drawn(one, engines)


def _drawn(rows: Sequence[Mapping[str, Any]], fields: Collection[str]) -> list[dict[str, Any]]:
    """Rows as far as they are drawn or told, to six digits."""
    return [
        {
            name: float(f"{value:.6g}") if isinstance(value, float) else value
            for name, value in row.items()
            if name in fields
        }
        for row in rows
    ]


def _fields(layer: Mapping[str, Any]) -> set[str]:
    channels = layer["encoding"].values()
    told = [one for of in channels for one in (of if isinstance(of, list) else [of])]
    return {channel["field"] for channel in told if "field" in channel} | _FILTERED


_FILTERED = {"engine", "roof"}
"""Fields that filters look at."""


def _labels(spec: Any) -> Iterator[str]:
    """What legends have to say: the names that a chart's scales are of."""
    if isinstance(spec, list):
        for part in spec:
            yield from _labels(part)
    elif isinstance(spec, dict):
        domain = spec.get("domain")
        yield from (label for label in domain or () if isinstance(label, str))
        for name in ("layer", "encoding", "color", "scale"):
            yield from _labels(spec.get(name))


_SYMBOL, _CHARACTER = 36, 6.6
"""Pixels of a legend's symbol with its margins, and of a character at its size."""

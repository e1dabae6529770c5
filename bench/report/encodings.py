"""What charts are made of: axes, marks, lines, and how all of them look."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import altair as alt

from bench.report import palette
from bench.report.figures import Panel

HIDDEN = "hidden"
"""Vega's signal with the engines that are not to be drawn."""


def points(
    panel: Panel,
    rows: Sequence[Mapping[str, Any]],
    x: alt.X,
    y: alt.Y,
    low: str = "",
    high: str = "",
    size: int = 55,
    name: str = "samples",
) -> list[alt.Chart]:
    """Marks, hollow where a row is not sound, each with its interval."""
    style = marked(panel)
    tooltip = [
        alt.Tooltip("engine:N"),
        alt.Tooltip("samples:Q", title="images", format=",")
        if name == "samples"
        else alt.Tooltip(f"{name}:N"),
        alt.Tooltip(y["shorthand"], title=y["title"], format=".4~g"),
    ]
    if any("doubt" in row for row in rows):
        tooltip.append(alt.Tooltip("doubt:N", title="note"))
    layers = []
    if low:
        intervals = of_rows(rows).mark_rule(strokeWidth=1.3)
        span = {"y": alt.Y(low, title=y["title"]), "y2": high, "color": style["color"]}
        layers.append(intervals.encode(x=x, **span))
    sound = [row for row in rows if row["sound"]]
    marks = [of_rows(rows).mark_point(size=size, fill=palette.PAPER, opacity=1)]
    marks += [of_rows(sound).mark_point(size=size, filled=True, opacity=1)] if sound else []
    layers += [mark.encode(x=x, y=y, tooltip=tooltip, **style) for mark in marks]
    return layers


def coloured(panel: Panel) -> dict[str, Any]:
    """Colour and dash of each engine's lines; the rows have the dash, so that no legend does."""
    looks = palette.looks(panel.engines)
    colours = [look.colour for look in looks.values()]
    scale = alt.Scale(domain=list(looks), range=colours)
    return {
        "color": alt.Color("engine:N", title=None, scale=scale),
        "strokeDash": alt.StrokeDash("dash:N", scale=None, legend=None),
    }


def marked(panel: Panel) -> dict[str, Any]:
    """Colour and mark of each engine."""
    looks = palette.looks(panel.engines)
    scale = alt.Scale(domain=list(looks), range=[look.mark for look in looks.values()])
    shape = alt.Shape("engine:N", title=None, scale=scale)
    return {"color": coloured(panel)["color"], "shape": shape}


def line(
    panel: Panel, rows: Sequence[Mapping[str, Any]], x: alt.X, y: alt.Y, width: float = 1.5
) -> alt.Chart:
    """A line for each engine."""
    looks = palette.looks(panel.engines)
    dashed = [{**row, "dash": list(looks[row["engine"]].dash)} for row in rows]
    drawn = of_rows(dashed).mark_line(strokeWidth=width, clip=True)
    return drawn.encode(x=x, y=y, **coloured(panel))


def of_rows(rows: Sequence[Mapping[str, Any]]) -> alt.Chart:
    """A chart of these rows without those of engines that the reader does not want to see."""
    used = alt.Chart(alt.InlineData(values=[*rows]))
    return used.transform_filter(f"indexof({HIDDEN}, datum.engine) < 0")


def log_x(field: str, title: str, values: Sequence[float]) -> alt.X:
    """A logarithmic axis whose ticks are what was measured, if these are not too many."""
    ticks = list(values) if len(values) <= 8 else _ticks(values, (1,))
    return alt.X(
        f"{field}:Q",
        title=title,
        scale=alt.Scale(type="log", nice=False, padding=14),
        axis=alt.Axis(values=ticks, format=","),
    )


def log(
    field: str,
    title: str,
    values: Sequence[float],
    steps: Sequence[int] = (1,),
    format: str = ",~g",
    padding: int = 14,
) -> dict[str, Any]:
    """A logarithmic channel with ticks at powers of ten, times each of the steps."""
    span = max(values) / min(values)
    ticks = _ticks(values, _FINE if span < 5 else (1, 2, 5) if span < 30 else steps)
    return {
        "shorthand": f"{field}:Q",
        "title": title,
        "scale": alt.Scale(type="log", nice=False, padding=padding),
        "axis": alt.Axis(values=ticks, format=format),
    }


_FINE = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)


def _ticks(values: Sequence[float], steps: Sequence[float]) -> list[float]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return [float(f"{step}e{power}") for power in range(low, high + 1) for step in steps]


_FONT = "Arial, Helvetica, 'Liberation Sans', sans-serif"
"""Static charts are laid out with these widths: another font would run over its place."""

CONFIG: dict[str, Any] = {
    "aria": False,
    "background": "transparent",
    "font": _FONT,
    "padding": 4,
    "view": alt.ViewConfig(stroke=None),
    "axis": alt.AxisConfig(
        labelColor=palette.SOFT,
        titleColor=palette.INK,
        gridColor=palette.FAINT,
        domainColor=palette.SOFT,
        tickColor=palette.SOFT,
        labelFontSize=12,
        titleFontSize=12.5,
        titleFontWeight="normal",
        titlePadding=8,
        labelOverlap=True,
    ),
    "legend": alt.LegendConfig(
        orient="bottom",
        labelColor=palette.INK,
        labelFontSize=12.5,
        labelLimit=0,
        symbolSize=80,
        symbolStrokeWidth=1.8,
        rowPadding=4,
        columnPadding=18,
    ),
}

"""The charts of a panel as Vega-Lite, each only if there is something to draw."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt
import pyarrow as pa

from bench.report import encodings, latency_charts, palette, roofline
from bench.report.chart import Chart, finished, in_units
from bench.report.figures import REST, Figures, Panel
from bench.report.fits import Line


def charts(panel: Panel) -> Iterator[Chart]:
    """Those of one setting, the most telling first."""
    for draw in (_times, _ratios, _residuals, _layers, _roofline, _errors, _starts, _memory):
        chart = draw(panel)
        if chart is not None:
            yield chart
    yield from _queries(panel)
    yield from latency_charts.charts(panel)


def across(figures: Figures) -> Iterator[Chart]:
    """Throughput over threads and over processes, time over partitions, where there are several."""
    yield from _all_scaling(figures.scaling)
    rows = in_units(figures.partitions, ms=("median_s", "low_s", "high_s"))
    for setting in dict.fromkeys(row["setting"] for row in rows):
        mine = [row for row in rows if row["setting"] == setting]
        yield _partitions(setting, mine)
        if shared := [row for row in mine if row["balance"] is not None]:
            yield _balance(setting, shared)


def _all_scaling(table: pa.Table) -> Iterator[Chart]:
    rows = table.to_pylist()
    for setting in dict.fromkeys(row["setting"] for row in rows):
        mine = [row for row in rows if row["setting"] == setting]
        for axis in ("threads", "processes"):
            counts = sorted({row[axis] for row in mine})
            if len(counts) > 1:
                yield _scaling(axis, setting, counts, mine)


def _times(panel: Panel) -> Chart | None:
    rows = in_units(panel.tables["times"], ms=("median_s", "low_s", "high_s", "fit_s"))
    if len(rows) < 2:  # the table says as much
        return None
    sizes = sorted({row["samples"] for row in rows})
    x = encodings.log_x("samples", "images in a run", sizes)
    values = [row[name] for row in rows for name in ("low_ms", "high_ms")]
    y = alt.Y(**encodings.log("median_ms", "time of a run (ms)", values))
    lines = _lines(panel)
    fitted = {row["engine"] for row in lines}
    joined = [row for row in rows if row["engine"] not in fitted]
    layers = [
        *(encodings.line(panel, of, x, y, width) for of, width in ((lines, 2), (joined, 1)) if of),
        *encodings.points(panel, rows, x, y, "low_ms:Q", "high_ms:Q"),
    ]
    crossings = in_units(panel.tables["crossings"], ms=("seconds",))
    if crossings:
        marks = alt.Chart(alt.InlineData(values=crossings)).encode(
            x=x,
            y=alt.Y("seconds:Q"),
            tooltip=[
                alt.Tooltip("samples:Q", title="images", format=",.0f"),
                alt.Tooltip("before:N", title="fastest below"),
                alt.Tooltip("after:N", title="fastest above"),
            ],
        )
        layers.append(marks.mark_point(shape="circle", size=190, color=palette.INK, strokeWidth=1))
    reading = (
        "Lower is faster; both axes are logarithmic. A bar is the interval that holds the true "
        "median, a hollow mark a time that is not to be trusted (see the table). "
    )
    if fitted:
        reading += (
            "Lines are fits of a fixed time a call and a time an image, weighted so that every "
            "run counts by its relative error. "
        )
    if crossings:
        reading += "A ring is where the fastest engine changes, according to the lines."
    return finished("time", "Time against images", reading.strip(), alt.layer(*layers), 380)


def _ratios(panel: Panel) -> Chart | None:
    rows = [row for row in panel.tables["times"].to_pylist() if row["ratio"] is not None]
    if len({row["engine"] for row in rows}) < 2:
        return None
    sizes = sorted({row["samples"] for row in rows})
    x = encodings.log_x("samples", "images in a run", sizes)
    values = [row[name] for row in rows for name in ("ratio", "ratio_low", "ratio_high")]
    y = alt.Y(**encodings.log("ratio", "times as long as the fastest", values, (1, 2, 5)))
    layers = [
        encodings.line(panel, rows, x, y),
        *encodings.points(panel, rows, x, y, "ratio_low:Q", "ratio_high:Q"),
    ]
    reading = (
        "Each engine's time over that of the fastest whose output passed, in the same session: 1 "
        "is the fastest. The interval is as wide as both medians' together. A hollow mark is by "
        "fastest undisturbed runs, because others disturbed the medians."
    )
    return finished("ratio", "Against the fastest", reading, alt.layer(*layers), 320)


def _residuals(panel: Panel) -> Chart | None:
    rows = [row for row in panel.tables["times"].to_pylist() if row["residual"] is not None]
    if not rows:
        return None
    sizes = sorted({row["samples"] for row in rows})
    x = encodings.log_x("samples", "images in a run", sizes)
    y = alt.Y("residual:Q", title="time over the line", axis=alt.Axis(format="+.0%", tickCount=6))
    zero = alt.Chart(alt.InlineData(values=[{"residual": 0}]))
    layers = [
        zero.mark_rule(color=palette.SOFT).encode(y="residual:Q"),
        encodings.line(panel, rows, x, y),
        *encodings.points(panel, rows, x, y),
    ]
    reading = (
        "How far each time is above (+) or below (-) its fitted line. Within some per cent the "
        "two costs tell all; a bend says that cost an image changes with the number of images."
    )
    return finished("residuals", "What the fit leaves over", reading, alt.layer(*layers), 260)


def _errors(panel: Panel) -> Chart | None:
    rows = in_units(panel.tables["errors"], ms=("image_s",))
    rows = [{**row, "sound": row["status"] == "PASSED"} for row in rows if row["max_rel"]]
    if len(rows) < 2:
        return None
    x = alt.X(
        **encodings.log("image_ms", "time of an image (ms)", [row["image_ms"] for row in rows])
    )
    values = [row["max_rel"] for row in rows]
    y = alt.Y(**encodings.log("max_rel", "largest error / largest output", values, format=".0e"))
    layers = encodings.points(panel, rows, x, y, size=110)
    reading = (
        "Down and to the left is better: what an image takes in the longest run, and the largest "
        "error of any run's outputs over the largest output of the float64 reference. A hollow "
        "mark did not pass. The reference itself has no error and is not drawn."
    )
    return finished("error", "Error against time", reading, alt.layer(*layers), 320)


_STAGES = {
    "process": "process, Python",
    "import": "import",
    "build": "build",
    "first_inference": "first result",
    REST: "harness between",
}
_MEMORY = {"before": "Python, harness", "engine": "the engine"}


def _starts(panel: Panel) -> Chart | None:
    rows = panel.tables["starts"].to_pylist()
    reading = "From the start of a process to its first result, on a warm page cache."
    chart = _bars(panel, rows, "seconds", "cold start (s)", _STAGES, palette.STAGES)
    return chart and finished("start", "Cold start", reading, chart)


def _memory(panel: Panel) -> Chart | None:
    rows = panel.tables["memory"].to_pylist()
    rows = [{**row, "mib": row["bytes"] / 2**20} for row in rows]
    reading = (
        "Largest resident memory of an engine's process; what it had before the engine was "
        "imported is shown apart."
    )
    chart = _bars(panel, rows, "mib", "peak memory (MiB)", _MEMORY, palette.STAGES[:3:2])
    return chart and finished("memory", "Memory", reading, chart)


def _layers(panel: Panel) -> Chart | None:
    table = panel.tables["layers"]
    if not len(table):
        return None
    rows = in_units(table, ms=("seconds",))
    looks = palette.looks(panel.engines)
    engines = [engine for engine in panel.engines if any(r["engine"] == engine for r in rows)]
    names = list(dict.fromkeys(r["layer"] for r in sorted(rows, key=lambda r: r["position"])))
    bars = (
        encodings.of_rows(rows)
        .mark_bar()
        .encode(
            x=alt.X(
                "seconds:Q",
                title=f"time in a run of {rows[0]['samples']:,} images (ms)",
                axis=alt.Axis(tickCount=6),
            ),
            y=alt.Y("layer:N", sort=names, title=None, axis=alt.Axis(labelLimit=140)),
            yOffset=alt.YOffset("engine:N", sort=engines),
            color=alt.Color(
                "engine:N",
                title=None,
                scale=alt.Scale(domain=engines, range=[looks[name].colour for name in engines]),
            ),
            tooltip=["engine:N", "layer:N", alt.Tooltip("seconds:Q", title="ms", format=".3~g")],
        )
    )
    reading = (
        "What each layer takes in a run with the clocks of operators on: medians. Layers that any "
        "of the engines computes in one operator are one row."
    )
    height = len(names) * (7 * len(engines) + 8)
    return finished("layers", "Time of each layer", reading, bars, height)


def _roofline(panel: Panel) -> Chart | None:
    rows = [{**row, "sound": True} for row in panel.tables["intensities"].to_pylist()]
    rates = {row["roof"]: row["rate"] for row in panel.tables["roofs"].to_pylist()}
    peak = rates.pop(roofline.PEAK, None)
    if not rows or peak is None or not rates:
        return None
    first = min(*(row["intensity"] for row in rows), peak / max(rates.values())) / 2
    last = max(*(row["intensity"] for row in rows), peak / min(rates.values())) * 2
    lines = [
        {"roof": roof, "intensity": at, "gflops": rate * at / 1e9}
        for roof, rate in rates.items()
        for at in (first, peak / rate)
    ]
    lines += [
        {"roof": roofline.PEAK, "intensity": at, "gflops": peak / 1e9}
        for at in (peak / max(rates.values()), last)
    ]
    points = [{**row, "gflops": row["rate"] / 1e9} for row in rows]
    values = [row["gflops"] for row in (*points, *lines)]
    x = alt.X(**encodings.log("intensity", "operations a byte", [first, last], padding=54))
    y = alt.Y(**encodings.log("gflops", "GFLOP/s", values))
    drawn = alt.Chart(alt.InlineData(values=lines)).encode(x=x, y=y, detail="roof:N")
    starts = [line for line in lines if line["intensity"] in (first, last)]
    names = alt.Chart(alt.InlineData(values=starts)).encode(x=x, y=y, text="roof:N")
    at_the_right = f"datum.roof == '{roofline.PEAK}'"
    layers = [
        drawn.mark_line(color=palette.SOFT, strokeWidth=1.2),
        *(
            names.transform_filter(condition).mark_text(
                align=align, dx=dx, dy=dy, color=palette.SOFT, fontSize=11.5
            )
            for condition, align, dx, dy in (
                (at_the_right, "right", -2, -8),
                (f"!({at_the_right})", "right", -5, 2),
            )
        ),
        *encodings.points(panel, points, x, y, name="layer"),
    ]
    reading = (
        "Each mark is a layer: what it reached, over the operations it executes for each byte of "
        "input, weights and output. The lines are what this machine reached in the same command: "
        "multiply-adds in registers, and bytes from each level of its memory."
    )
    return finished("roofline", "Roofline", reading, alt.layer(*layers), 340)


def _scaling(axis: str, setting: str, counts: Sequence[int], rows: Sequence[Any]) -> Chart:
    panel = _panel_of(rows)
    x = alt.X(f"{axis}:Q", title=axis, axis=alt.Axis(values=list(counts), format="d"))
    y = alt.Y("images_per_second:Q", title="images/s", axis=alt.Axis(format="~s"))
    points = [{**row, "sound": True} for row in rows]
    layers = [
        encodings.line(panel, points, x, y),
        *encodings.points(panel, points, x, y, "low:Q", "high:Q"),
    ]
    reading = f"Higher is faster: {setting}. Twice the {axis} are at best twice the throughput."
    return finished(axis, f"Throughput over {axis}", reading, alt.layer(*layers), 320)


def _cuts(rows: Sequence[Any]) -> alt.X:
    """Partitions from the fewest on, equal ones before skewed ones."""
    texts = {row["partitions"] for row in rows}
    order = sorted(texts, key=lambda text: (int(text.partition(":")[0]), text))
    axis = alt.Axis(labelAngle=0)
    return alt.X("partitions:N", title="partitions of the images", sort=order, axis=axis)


def _partitions(setting: str, rows: Sequence[Any]) -> Chart:
    panel = _panel_of(rows)
    values = [row[name] for row in rows for name in ("low_ms", "high_ms")]
    x, y = _cuts(rows), alt.Y(**encodings.log("median_ms", "time of a run (ms)", values))
    layers = encodings.points(panel, rows, x, y, "low_ms:Q", "high_ms:Q")
    reading = (
        f"Lower is faster: {setting}. The images of a run are cut into so many parts, of one size "
        "or by Zipf's law, and dealt to the processes; a run is done when the last of them is."
    )
    return finished("partitions", "Time against partitions", reading, alt.layer(*layers), 300)


def _balance(setting: str, rows: Sequence[Any]) -> Chart:
    panel = _panel_of(rows)
    scale = alt.Scale(domain=[0, 1])
    axis = alt.Axis(format=".0%", tickCount=6)
    y = alt.Y("balance:Q", title="mean part / longest part", scale=scale, axis=axis)
    layers = encodings.points(panel, rows, _cuts(rows), y)
    reading = (
        f"What the processes' parts of a run took in the mean over the longest: {setting}. At 100% "
        "all of them end together, at 50% half of their time is waiting."
    )
    return finished("balance", "Balance of the processes", reading, alt.layer(*layers), 260)


def _panel_of(rows: Sequence[Any]) -> Panel:
    """A panel that has nothing but the engines of these rows."""
    return Panel(None, tuple(dict.fromkeys(row["engine"] for row in rows)), {})  # type: ignore[arg-type]


_SQL_PARTS = {
    "scan": "scan of Parquet files",
    "relational": "filters, joins, groups, order",
    "conversion": "conversion between engines",
    "network": "network",
    "rest": "planning, waiting",
}


def _queries(panel: Panel) -> Iterator[Chart]:
    """Of each query the most images, a bar an engine."""
    rows = in_units(panel.tables["queries"], ms=("seconds",))
    for query in dict.fromkeys(row["query"] for row in rows):
        mine = [row for row in rows if row["query"] == query]
        most = max(row["samples"] for row in mine)
        shown = [row for row in mine if row["samples"] == most]
        reading = (
            f"What each part of a run takes, from {most:,} images in Parquet files to the rows: "
            "medians, in which a part that threads share counts by its mean over them. "
        )
        if alone := dict.fromkeys(row["engine"] for row in shown if row["alone"]):
            reading += f"{', '.join(alone)} runs no network, only what is around it."
        title = f"Query {query}: where the time goes"
        chart = _bars(panel, shown, "seconds", "time of a run (ms)", _SQL_PARTS, palette.STAGES)
        if chart is not None:
            yield finished("query", title, reading.strip(), chart)


def _bars(
    panel: Panel,
    rows: Sequence[Mapping[str, Any]],
    field: str,
    title: str,
    parts: Mapping[str, str],
    colours: Sequence[str],
) -> alt.Chart | None:
    """Stacked bars, one an engine, those that need least on top."""
    if not rows:
        return None
    totals: dict[str, float] = {}
    for row in rows:
        totals[row["engine"]] = totals.get(row["engine"], 0.0) + row[field]
    order = {part: number for number, part in enumerate(parts)}
    data = [{**row, "what": parts[row["part"]], "order": order[row["part"]]} for row in rows]
    return (
        encodings.of_rows(data)
        .mark_bar(height={"band": 0.7})
        .encode(
            x=alt.X(f"{field}:Q", title=title, stack="zero", axis=alt.Axis(tickCount=6)),
            y=alt.Y("engine:N", title=None, sort=sorted(totals, key=lambda name: totals[name])),
            color=alt.Color(
                "what:N",
                title=None,
                scale=alt.Scale(domain=list(parts.values()), range=list(colours[: len(parts)])),
            ),
            order="order:Q",
            tooltip=["engine:N", "what:N", alt.Tooltip(f"{field}:Q", title=title, format=".3~g")],
        )
        .properties(height=24 * len(totals))
    )


def _lines(panel: Panel) -> list[dict[str, Any]]:
    """Points of the fitted lines, close enough to look smooth on logarithmic axes."""
    times = panel.tables["times"].to_pylist()
    rows = []
    for found in panel.tables["lines"].to_pylist():
        line = Line(found["call_s"], found["image_s"])
        sizes = [row["samples"] for row in times if row["engine"] == found["engine"]]
        low, high = math.log10(min(sizes)), math.log10(max(sizes))
        for step in range(_STEPS + 1):
            samples = 10 ** (low + (high - low) * step / _STEPS)
            seconds = line.at(samples)
            rows.append(
                {
                    "engine": found["engine"],
                    "samples": float(f"{samples:.4g}"),
                    "median_ms": float(f"{seconds * 1e3:.4g}"),
                }
            )
    return [row for row in rows if row["median_ms"] > 0]


_STEPS = 24

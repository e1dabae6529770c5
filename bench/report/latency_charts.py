"""The charts of latency: against the rate of queries, and of all percentiles."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import altair as alt

from bench.report import encodings, palette
from bench.report.chart import Chart, finished, in_units
from bench.report.figures import Panel
from bench.results.schema import MULTI_STREAM, SERVER, SINGLE_STREAM

_USUAL_PERCENT = 99.0


def charts(panel: Panel) -> Iterator[Chart]:
    """Those of one setting: latency over rate, then percentiles of each way queries arrived."""
    rows = in_units(panel.tables["latencies"], ms=("latency_s", "at_most_s"))
    rows = [{**row, "where": _where(row)} for row in rows]
    knees = in_units(panel.tables["knees"], ms=("limit_s",))
    against = _against_rate(panel, [row for row in rows if (row["rate"] or 0) > 0], knees)
    if against is not None:
        yield against
    common = _common_rate([row for row in rows if row["rate"] is not None])
    for where in dict.fromkeys(row["where"] for row in rows if row["rate"] in (None, common)):
        mine = [row for row in rows if row["where"] == where]
        if len({row["percent"] for row in mine}) > 1:
            yield _percentiles(panel, where, mine)


def _common_rate(rows: Sequence[Mapping[str, Any]]) -> float | None:
    """The largest of the rates at which most engines were served; None if each had its own."""
    engines: dict[float, set[str]] = {}
    for row in rows:
        engines.setdefault(row["rate"], set()).add(row["engine"])
    most = max(map(len, engines.values()), default=0)
    if most < min(2, len({row["engine"] for row in rows})):
        return None
    return max((rate for rate, found in engines.items() if len(found) == most), default=None)


def _against_rate(
    panel: Panel, rows: Sequence[Mapping[str, Any]], knees: Sequence[Mapping[str, Any]]
) -> Chart | None:
    limits = {(knee["percent"], knee["limit_ms"]) for knee in knees}
    percents = {row["percent"] for row in rows}
    percent, limit_ms = next(iter(sorted(limits)), (_USUAL_PERCENT, None))
    if percent not in percents:
        if not percents:
            return None
        percent = max(percents & {50.0, 90.0} or percents)
    shown = [row for row in rows if row["percent"] == percent]
    if len({row["rate"] for row in shown}) < 2:
        return None
    rates = [row["rate"] for row in shown]
    x = alt.X(**encodings.log("rate", "queries a second", rates, (1, 2, 5)))
    values = [row[name] for row in shown for name in ("latency_ms", "at_most_ms")]
    values += [limit_ms] if limit_ms else []
    title = f"p{percent:g} of latency (ms)"
    y = alt.Y(**encodings.log("latency_ms", title, values, (1, 2, 5)))
    layers = []
    if limit_ms:
        ends = [{"rate": rate, "limit": limit_ms} for rate in (min(rates), max(rates))]
        rule = alt.Chart(alt.InlineData(values=ends)).encode(x=x, y=alt.Y("limit:Q", title=title))
        layers.append(rule.mark_line(color=palette.SOFT, strokeDash=[4, 4]))
    layers += [
        encodings.line(panel, shown, x, y),
        *encodings.points(panel, shown, x, y, "latency_ms:Q", "at_most_ms:Q", name="where"),
    ]
    reading = (
        f"The latency that {percent:g} of 100 queries stay below, from when they were due, over "
        "how many arrive a second, by chance. It rises where waiting for a turn begins to count, "
        "and steeply as the rate nears what an engine can do. A bar ends at what the true "
        "percentile is at most, with 99% confidence. "
    )
    if limit_ms:
        best = {(knee["engine"], knee["rate"]) for knee in knees}
        marked = [row for row in shown if (row["engine"], row["rate"]) in best]
        if marked:
            ring = encodings.of_rows(marked).encode(x=x, y=y)
            layers.append(
                ring.mark_point(shape="circle", size=190, color=palette.INK, strokeWidth=1)
            )
        reading += (
            "The dashed line is the limit, a ring the largest rate that was within it, below "
            "every rate that was not."
        )
    return finished("rate", "Latency against rate", reading.strip(), alt.layer(*layers), 360)


def _percentiles(panel: Panel, where: str, rows: Sequence[Mapping[str, Any]]) -> Chart:
    rows = [{**row, "nines": -math.log10(1 - row["percent"] / 100)} for row in rows]
    usual = [
        percent
        for percent in (50.0, 90.0, 99.0, 99.9, 99.99)
        if percent <= max(row["percent"] for row in rows)
    ]
    x = alt.X(
        "nines:Q",
        title="percentile",
        scale=alt.Scale(nice=False, zero=False, padding=14),
        axis=alt.Axis(
            values=[round(-math.log10(1 - percent / 100), 6) for percent in usual],
            labelExpr="'p' + format(100 - 100 * pow(10, -datum.value), '.4~f')",
        ),
    )
    values = [row[name] for row in rows for name in ("latency_ms", "at_most_ms")]
    y = alt.Y(**encodings.log("latency_ms", "latency (ms)", values, (1, 2, 5)))
    named = [{**row, "where": f"p{row['percent']:g}"} for row in rows]
    layers = [
        encodings.line(panel, named, x, y),
        *encodings.points(panel, named, x, y, "latency_ms:Q", "at_most_ms:Q", 36, name="where"),
    ]
    reading = (
        f"Latency of queries, {where}: what so many of 100 stay below. Flat is even, a rise to the "
        "right a long tail. Each curve ends at the last percentile that its queries carry; a bar "
        "ends at what the true one is at most, with 99% confidence."
    )
    title = f"Percentiles of latency: {where}"
    return finished("percentiles", title, reading, alt.layer(*layers), 320)


def _where(row: Mapping[str, Any]) -> str:
    return {
        SINGLE_STREAM: "one by one",
        MULTI_STREAM: f"{row['samples']:,} images each, one by one",
        SERVER: f"{row['rate'] or 0:g} a second",
    }[row["scenario"]]

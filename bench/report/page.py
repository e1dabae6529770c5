"""A report as one HTML file: every chart twice, static and interactive, and no request ever."""

from __future__ import annotations

import json
from collections.abc import Iterable
from importlib import resources, util
from itertools import count
from typing import Any

from bench.report import cluster, drawing, ease, palette, tables
from bench.report.figures import Figures, figures
from bench.results.results import Results
from columnar_nn.errors import MissingPackageError, UsageError

POLICY = "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data:"
"""What the page may do: nothing but run what it holds. No eval either: Vega interprets."""

EXTRA = "report"
_PACKAGES = ("altair", "vl_convert", "jinja2")


def check_packages() -> None:
    """Raises MissingPackageError if a package that draws charts is not installed."""
    for package in _PACKAGES:
        if util.find_spec(package) is None:
            raise MissingPackageError(package, EXTRA)


def page(found: Figures) -> str:
    """The whole page."""
    return _render(found, interactive=True)


def notebook(results: Results) -> str | None:
    """Charts and tables without scripts, for a notebook's cell; None without the packages."""
    try:
        return _render(figures(results), interactive=False)
    except MissingPackageError:
        return None


def one_chart(found: Figures, name: str) -> str:
    """The first chart of this name as an SVG file; raises UsageError if there is none."""
    check_packages()
    from bench.report import charts

    made = [chart for panel in found.panels for chart in charts.charts(panel)]
    made += charts.across(found)
    for chart in made:
        if chart.name == name:
            return drawing.standalone(drawing.svg(chart.spec, chart.title))
    names = ", ".join(dict.fromkeys(chart.name for chart in made))
    raise UsageError(f"--chart {name!r}: these results have {names or 'nothing to draw'}")


def _render(found: Figures, interactive: bool) -> str:
    check_packages()
    import jinja2

    from bench.report import charts
    from bench.report.chart import Chart

    numbers = count(1)
    specs: dict[str, Any] = {}

    def drawn(made: Iterable[Chart]) -> list[dict[str, Any]]:
        shown = []
        for chart in made:
            name = f"chart-{next(numbers)}"
            specs[name] = chart.spec
            narrow = drawing.svg(chart.spec, chart.title, drawing.NARROW) if interactive else ""
            wide = drawing.svg(chart.spec, chart.title)
            shown.append({"id": name, "chart": chart, "wide": wide, "narrow": narrow})
        return shown

    panels = [
        {
            "title": tables.title(panel),
            "summary": tables.summary(panel),
            "charts": drawn(charts.charts(panel)),
            "tables": [*tables.tables(panel)],
        }
        for panel in found.panels
    ]
    across = drawn(charts.across(found))
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
    )
    dark = drawing.dark_style(".cnn-bench .drawn ")
    serial = count(1)
    return environment.from_string(_part("page.html")).render(
        interactive=interactive,
        policy=POLICY,
        title=_title(found),
        style=f"{_part('page.css')}@media screen and (prefers-color-scheme:dark){{{dark}}}",
        warnings=tables.warnings(found.results),
        panels=panels,
        across=across,
        ease=[*ease.ease(found.results)],
        cluster=[*cluster.cluster(found.results)],
        engines=list(dict.fromkeys(name for panel in found.panels for name in panel.engines)),
        background=[*tables.background(found)],
        specs=_embedded(specs),
        dark=_embedded(palette.DARK),
        scripts=drawing.scripts() if interactive else "",
        behaviour=_part("page.js"),
        serial=lambda: next(serial),
    )


def _title(found: Figures) -> str:
    """What the page is about: networks and data."""
    names = dict.fromkeys(f"{p.setting.model} on {p.setting.data}" for p in found.panels)
    return "; ".join(names) or "Results"


def _part(name: str) -> str:
    return resources.files("bench.report").joinpath(name).read_text(encoding="utf-8")


def _embedded(value: Any) -> str:
    """JSON that nothing in it can end the script element of."""
    return json.dumps(value, separators=(",", ":")).replace("<", "\\u003c")

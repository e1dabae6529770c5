"""`cnn-bench report`: results as a page with charts, or as tables for other programs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bench.cli.options import FilesArgument, choice
from bench.cli.saving import save
from bench.files.output import STANDARD_OUTPUT, OutputFile
from bench.report import formats, page
from bench.report.figures import figures
from bench.results import document, merging
from columnar_nn.errors import InvalidDataError, UsageError

EXIT_CONTRADICTION = 3

_SVG = "svg"
_WHOLE = {
    "html": page.page,
    "md": formats.markdown,
    "csv": formats.comma_separated,
    "latex": formats.latex,
    "json": formats.as_json,
}
"""Formats that show all there is."""


def report(
    files: FilesArgument,
    *,
    output_format: Annotated[str, choice((*_WHOLE, _SVG), "--format")] = "html",
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="The report; - is standard output."),
    ] = STANDARD_OUTPUT,
    chart: Annotated[
        str | None,
        typer.Option(help="Name of the one chart that --format svg draws.", show_default="time"),
    ] = None,
) -> None:
    """Show results as one page with charts that needs no network, or as tables.

    html and svg need the extra "report". Exit status: 0
    written, 2 wrong usage or files that are none, 3 what they say of machines cannot be true
    together.
    """
    if chart is not None and output_format != _SVG:
        raise UsageError(f"--chart is for --format svg: {output_format} has everything")
    target = OutputFile(output)
    try:
        target.check()
    except UsageError as error:
        raise UsageError(f"--output {output}: {error}") from None
    if output_format in ("html", _SVG):
        page.check_packages()
    try:
        results = merging.merged([document.read(file) for file in files])
    except merging.ContradictionError as error:
        print(f"cnn-bench: {error}", file=sys.stderr)
        raise typer.Exit(EXIT_CONTRADICTION) from None
    try:
        found = figures(results)
    except InvalidDataError as error:
        raise InvalidDataError(f"{', '.join(map(str, files))}: {error}") from None
    if output_format == _SVG:
        text = page.one_chart(found, chart or "time")
    else:
        text = _WHOLE[output_format](found)
    raise typer.Exit(save(target, text.encode(), again=True))

"""`cnn-bench report`: results as a page with charts, or as tables for other programs."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import FilesArgument, choice
from bench.cli.saving import save
from bench.files.output import STANDARD_OUTPUT, OutputFile
from bench.report import formats, page
from bench.report.figures import figures
from bench.results import columns, document, merging
from bench.results.schema import SESSION
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

    A folder stands for the results in it. html and svg need the extra "report". Exit status: 0
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
        results = merging.merged([document.read(file) for file in _all(files)])
    except merging.ContradictionError as error:
        print(f"cnn-bench: {error}", file=sys.stderr)
        raise typer.Exit(EXIT_CONTRADICTION) from None
    found = figures(results)
    if output_format == _SVG:
        text = page.one_chart(found, chart or "time")
    else:
        text = _WHOLE[output_format](found)
    raise typer.Exit(save(target, text.encode()))


def _all(files: Sequence[Path]) -> Iterator[Path]:
    """The files, and instead of a folder that is no folder of tables the documents in it."""
    for file in files:
        tables = [file / f"{SESSION.name}{suffix}" for suffix in columns.SUFFIXES]
        if not file.is_dir() or any(table.is_file() for table in tables):
            yield file
            continue
        inside = sorted(file.glob("*.json"))
        if not inside:
            raise InvalidDataError(f"{file}: there are no results in this folder")
        yield from inside

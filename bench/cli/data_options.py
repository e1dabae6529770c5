"""The options of commands that read images, and what they say first of a path's: what it is."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, TextIO

import typer

from bench.cli.options import one_of
from bench.data.dataset import Dataset
from bench.data.source import SPLITS
from bench.text.figures import counted

SplitOption = Annotated[str, typer.Option(help="test or train.", callback=one_of(SPLITS))]
LabelsOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Labels of a folder of images: lines of a file and a label."),
]
ResizeOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Shorter side of image files before their centre is taken.",
        show_default="as little as covers it",
    ),
]
MeanOption = Annotated[
    str | None,
    typer.Option(
        metavar="NUMBERS",
        help="Subtracted from pixels of 0 to 1, one or one a channel.",
        show_default="the model's metadata, else none",
    ),
]
StdOption = Annotated[
    str | None,
    typer.Option(metavar="NUMBERS", help="What they are divided by then.", show_default="the same"),
]


def show_and_warn(data: str, dataset: Dataset, shown: TextIO) -> None:
    """Prints what was found at a path, and on standard error what to warn of."""
    for warning in show_data(data, dataset, shown):
        print(f"cnn-bench: {warning}", file=sys.stderr)


def show_data(data: str, dataset: Dataset, shown: TextIO) -> list[str]:
    """Prints what was found at a path; returns what to warn of: what is left out there."""
    if Path(data).exists():
        size = counted(dataset.num_rows, "image")
        classes = f", {len(dataset.classes):,} classes" if dataset.classes else ", no labels"
        print(f"data: {dataset.name}: {dataset.kind}; {size}{classes}", file=shown, flush=True)
    return [dataset.warning] if dataset.warning else []

"""The options of commands that read images, and what they say first of a path's: what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TextIO

import typer

from bench.cli.options import one_of
from bench.data import normalization
from bench.data.dataset import Dataset
from bench.data.preparation import Preparation
from bench.data.source import SPLITS
from columnar_nn.errors import UsageError

_NAMED = 5
"""Files that cannot be read are named up to so many."""

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


def preparation(
    labels: Path | None, resize: int | None, mean: str | None, std: str | None
) -> Preparation:
    """What the options of these names say; raises UsageError."""
    if labels is not None and not labels.is_file():
        raise UsageError(f"--labels {labels}: no such file; check the path")
    return Preparation(labels, resize, normalization.parse(mean, std))


def show_data(data: str, dataset: Dataset, shown: TextIO) -> list[str]:
    """Prints what was found at a path; returns what to warn of: what is left out there."""
    if Path(data).exists():
        size = f"{dataset.num_rows:,} images"
        classes = f", {len(dataset.classes):,} classes" if dataset.classes else ", no labels"
        print(f"data: {dataset.name}: {dataset.kind}; {size}{classes}", file=shown, flush=True)
    warning = left_out(dataset)
    return [warning] if warning else []


def left_out(dataset: Dataset) -> str:
    """What could not be read of a set: how many, and the first of them by name; "" if nothing."""
    wrong = dataset.left_out
    if not wrong:
        return ""
    named = [f"{name} ({reason})" for name, reason in list(wrong.items())[:_NAMED]]
    more = f" and {len(wrong) - _NAMED:,} more" if len(wrong) > _NAMED else ""
    return f"{len(wrong):,} left out of the images: {', '.join(named)}{more}"

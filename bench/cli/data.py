"""`cnn-bench data`: image data made, inspected and fetched."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.cells import set_cell_size
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn
from rich.text import Text

from bench.cli import terminal
from bench.cli.data_options import (
    LabelsOption,
    ResizeOption,
    SplitOption,
)
from bench.cli.options import new_file
from bench.cli.saving import save
from bench.data import contact_sheet, make_photo10
from bench.data import fetch as fetching
from bench.data.dataset import Dataset, open_dataset
from bench.data.input_column import shape_text
from bench.data.preparation import Preparation
from bench.files.output import OutputFile
from bench.text.figures import counted
from bench.text.half_blocks import half_blocks
from bench.text.table_style import print_table, table
from columnar_nn.errors import UsageError

PICTURE_SIDE = 20
"""Pixels of a picture in a terminal, half as many lines."""

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

SpecArgument = Annotated[
    str,
    typer.Argument(
        help="photo10, synthetic, or a path: a folder of PNG or JPEG files, CIFAR-10 or CIFAR-100 "
        "in either version, .npy, .npz, Parquet or Arrow files."
    ),
]


@app.callback()
def commands() -> None:
    """Make, inspect and fetch image data."""


@app.command()
def make(
    name: Annotated[str, typer.Argument(help="What to make: photo10.")],
    out: Annotated[Path, typer.Option(help="Folder for the files, made if need be.")],
) -> None:
    """Make photo10 anew from the photographs in scikit-image and scikit-learn."""
    if name != "photo10":
        raise UsageError(f"cannot make {name!r}: only photo10 is made here")
    make_photo10.make(out)
    print(f"made {out}: use it with --data {out}")


@app.command()
def info(
    data: SpecArgument = "photo10",
    split: SplitOption = "test",
    labels: LabelsOption = None,
    resize: ResizeOption = None,
    sheet: Annotated[
        OutputFile | None,
        new_file("Write some pictures of every class as a PNG file, a contact sheet."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """Check a data set and print what is in it, on a terminal with pictures.

    The training split of photo10 is not shipped, but made anew from its photographs.
    """
    if sheet is not None and Path(sheet.name).suffix.lower() not in ("", ".png"):
        raise UsageError(f"--sheet {sheet}: a contact sheet is a PNG file: name it .png")
    if (data, split) == ("photo10", "train"):
        print("cnn-bench: making the images from their photographs: some seconds", file=sys.stderr)
    dataset = open_dataset(data, None, split, Preparation.parse(labels, resize, None, None))
    if as_json:
        print(json.dumps(_facts(dataset), indent=2))
    else:
        _show(dataset, terminal.output(sheet))
    if sheet is not None:
        raise typer.Exit(save(sheet, contact_sheet.png(contact_sheet.rows(dataset)), again=True))


@app.command()
def fetch(
    name: Annotated[str, typer.Argument(help="What to download: cifar10.")],
    out: Annotated[Path, typer.Option(help="Folder for the archive, made if need be.")] = Path(),
    url: Annotated[str, typer.Option(help="Address to download from.")] = fetching.CIFAR10.url,
    sha256: Annotated[
        str, typer.Option(help="Checksum of the archive.", show_default=False)
    ] = fetching.CIFAR10.sha256,
) -> None:
    """Download CIFAR-10, 162 MiB, and check it."""
    if name != "cifar10":
        raise UsageError(f"cannot fetch {name!r}: only cifar10 is fetched here")
    console, lines = Console(stderr=True), terminal.Lines()
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=console,
        disable=not console.is_terminal,
    ) as bar:
        task = bar.add_task(name, total=None)

        def show(received: int, total: int | None) -> None:
            bar.update(task, completed=received, total=total)
            if not console.is_terminal:
                lines.say(f"{received / 2**20:.0f} of {(total or 0) / 2**20:.0f} MiB of {name}")

        archive = fetching.fetch(fetching.Download(url, sha256.lower()), out, show)
    print(f"fetched {archive}: use it with --data {archive}")


def _facts(dataset: Dataset) -> dict[str, object]:
    return {
        "name": dataset.name,
        "kind": dataset.kind,
        "image_shape": list(dataset.image_shape),
        "extreme_shapes": [list(shape) for shape in dataset.source.extremes or ()],
        "rows": dataset.num_rows,
        "bytes": dataset.num_bytes,
        "sha256": dataset.fingerprint,
        "classes": list(dataset.classes),
        "label_counts": list(dataset.label_counts),
        "left_out": dict(dataset.left_out),
    }


def _show(dataset: Dataset, console: Console) -> None:
    scaling = dataset.source.scaling
    console.print(
        f"[bold]{escape(dataset.base_name)}[/]: {counted(dataset.num_rows, 'image')}, "
        f"{dataset.num_bytes:,} bytes"
        f"\n{escape(dataset.kind)}, {_shapes(dataset)} {dataset.source.dtype}"
        f"{scaling and f'; for a network {scaling}'}"
        f"\nSHA-256 {dataset.fingerprint}\n",
        highlight=False,
    )
    if dataset.warning:
        console.print(f"[yellow]{escape(dataset.warning)}[/]\n", highlight=False)
    is_image = len(dataset.image_shape) == 3
    has_colours = console.color_system is not None and not console.no_color
    if is_image and console.is_terminal and has_colours:
        _show_pictures(dataset, console)
    labels = table("class", "label", "images", "share")
    for label, (name, count) in enumerate(zip(dataset.classes, dataset.label_counts, strict=True)):
        labels.add_row(escape(name), str(label), f"{count:,}", f"{count / dataset.num_rows:.1%}")
    if dataset.classes:
        print_table(console, labels)


def _shapes(dataset: Dataset) -> str:
    """The images' shape, or what is known of several."""
    source = dataset.source
    if source.extremes is None:
        first = shape_text(source.image_shape)
        return f"the first {first}" if source.scaling else first
    return " to ".join(dict.fromkeys(map(shape_text, source.extremes)))


def _show_pictures(dataset: Dataset, console: Console) -> None:
    """The first picture of the first classes, as many as are beside each other in the terminal."""
    side = max(2, min(PICTURE_SIDE, console.width - 1) // 2 * 2)
    count = max(1, console.width // (side + 1))
    columns = 1 if dataset.classes else count
    shown = contact_sheet.rows(dataset, side, columns, count)
    console.print(half_blocks([picture for row in shown for picture in row.pictures]), end="")
    names = (set_cell_size(row.name, side) for row in shown)
    console.print(Text(" ".join(names) if dataset.classes else ""), end="\n\n")

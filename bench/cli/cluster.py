"""`cnn-bench cluster`: the columnar engine inside Spark."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Annotated

import typer

from bench.cli import terminal
from bench.cli.options import ModelOption, one_of
from bench.cluster import report
from bench.cluster.job import PREDICTIONS, Job, Outcome, network_of
from bench.cluster.job import run as run_job
from bench.cluster.session import ENGINES, Opened, parse_settings, session
from bench.files.temporary import folder_beside
from columnar_nn.errors import UsageError
from columnar_nn.integrations.batches import BAD
from columnar_nn.integrations.image_column import DTYPES
from columnar_nn.integrations.prepared import PREDICTED

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Run the columnar engine inside Spark, on one machine or many.",
)

MasterOption = Annotated[
    str, typer.Option(help="local[2], local-cluster[2,1,1024], spark://HOST:PORT, yarn, k8s://URL.")
]
ConfOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="A setting of Spark's, repeatable."),
]


@app.callback()
def _group() -> None: ...


@app.command()
def run(
    *,
    images: Annotated[str, typer.Option(metavar="PARQUET", help="A file, or a folder of them.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of results, to be made.")],
    on: Annotated[str, typer.Option(help="spark or sail.", callback=one_of(ENGINES))] = "spark",
    master: MasterOption = "local[2]",
    model: ModelOption = "plain9",
    image: Annotated[str, typer.Option(help="The column of images.")] = "image",
    dtype: Annotated[
        str, typer.Option(help="Of pixels stored as bytes.", callback=one_of(DTYPES))
    ] = "uint8",
    where: Annotated[
        str | None, typer.Option(metavar="SQL", help="Only rows for which it is true.")
    ] = None,
    labels: Annotated[
        str | None, typer.Option(metavar="PARQUET", help="Labels to be joined by --key.")
    ] = None,
    label: Annotated[str, typer.Option(help="The labels' column.")] = "label",
    key: Annotated[str, typer.Option(help="The column that tells images apart.")] = "id",
    output: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="predicted, logits, probabilities or a tensor, repeatable.",
            show_default=PREDICTED,
        ),
    ] = None,
    group_by: Annotated[str, typer.Option(help="Columns, separated by commas.")] = PREDICTED,
    bad: Annotated[
        str,
        typer.Option(
            help="What rows without an image are: null (outputs) or fail (nothing is written).",
            callback=one_of(BAD),
        ),
    ] = "fail",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace --out.")] = False,
    conf: ConfOption = None,
) -> None:
    """Run a network over Parquet files; write predictions and a summary as Parquet.

    Exit status: 0 fine, 1 rows had no image, 2 wrong usage.
    """
    settings = parse_settings(conf or [])
    outputs = tuple(dict.fromkeys([*(output or ()), PREDICTED]))
    groups = tuple(name.strip() for name in group_by.split(","))
    job = Job(network_of(model), images, image, dtype, where, labels, key, label, outputs, groups)
    out = out.absolute()
    _refuse(out, overwrite)
    with session(on, master, settings) as opened:
        outcome = _written(opened, job, out, bad)
        report.show(outcome, opened, terminal.output())
    raise typer.Exit(int(outcome.bad > 0))


def _written(opened: Opened, job: Job, out: Path, bad: str) -> Outcome:
    """Runs it into a folder that takes the name of `out` once all is there."""
    with folder_beside(out) as folder, terminal.progress() as show:
        outcome = run_job(opened, job, folder, show)
        if not outcome.bad or bad == "null":
            if out.exists():
                shutil.rmtree(out)
            os.rename(folder, out)
    return outcome


def _refuse(out: Path, overwrite: bool) -> None:
    """Raises UsageError if `out` exists, unless it is a run's and may be replaced."""
    if not out.parent.is_dir():
        raise UsageError(f"{out.parent} is no folder: make it first")
    if not out.exists() and not out.is_symlink():
        return
    if not overwrite:
        raise UsageError(f"{out} exists already: name another folder, or give --overwrite")
    if out.is_symlink() or not (out / PREDICTIONS).is_dir():
        raise UsageError(f"{out} is not what a run has written: it is not overwritten")

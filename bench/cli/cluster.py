"""`cnn-bench cluster`: the columnar engine inside Spark."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bench.cli import terminal
from bench.cli.data_options import (
    LabelsOption,
    MeanOption,
    ResizeOption,
    SplitOption,
    StdOption,
    show_data,
)
from bench.cli.options import (
    DataOption,
    InputShapeOption,
    JsonOption,
    ModelOption,
    SeedOption,
    one_of,
    seed_or_new,
)
from bench.cli.saving import save
from bench.cluster import report
from bench.cluster.compare import measure
from bench.cluster.data import SPLIT_IS_A_FILE
from bench.cluster.job import PREDICTIONS, Job, network_of
from bench.cluster.job import run as run_job
from bench.cluster.model import COMMAND, Scale, fit
from bench.cluster.recording import Read, record, record_run, simulated
from bench.cluster.report import FEW_IMAGES
from bench.cluster.session import ENGINES, parse_settings, session
from bench.data import normalization
from bench.data.dataset import dataset_for
from bench.data.preparation import Preparation
from bench.files.atomic_folder import new_folder
from bench.files.temporary import temporary_folder
from bench.machine import cpus
from bench.results import document
from bench.results.document import to_json
from bench.results.recording import Recorder
from bench.results.session import Session, Workloads
from bench.study import values
from columnar_nn.data.image_column import DTYPES
from columnar_nn.errors import UsageError
from columnar_nn.integrations.batches import BAD
from columnar_nn.integrations.prepared import PREDICTED
from columnar_nn.model import input_shapes
from columnar_nn.model.graph import Graph

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    help="Run the columnar engine inside Spark, on one machine or many.",
)

LOCAL_MASTER = "local[2]"
_MASTERS = "local[2], local-cluster[2,1,1024], spark://HOST:PORT, yarn, k8s://URL."
ConfOption = Annotated[
    list[str] | None,
    typer.Option(metavar="NAME=VALUE", help="A setting of Spark's, repeatable."),
]


@app.command()
def run(
    *,
    images: Annotated[str, typer.Option(metavar="PARQUET", help="A file, or a folder of them.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of results, to be made.")],
    on: Annotated[str, typer.Option(help="spark or sail.", callback=one_of(ENGINES))] = "spark",
    master: Annotated[str | None, typer.Option(help=_MASTERS, show_default=LOCAL_MASTER)] = None,
    model: ModelOption = "plain9",
    input_shape: InputShapeOption = None,
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
    json: JsonOption = None,
) -> None:
    """Run a network over Parquet files; write predictions and a summary as Parquet.

    Exit status: 0 fine, 1 rows had no image, 2 wrong usage.
    """
    settings = parse_settings(conf or [])
    if master is None:
        master = LOCAL_MASTER if on == "spark" else ""
    outputs = tuple(dict.fromkeys([*(output or ()), PREDICTED]))
    groups = tuple(dict.fromkeys(name.strip() for name in group_by.split(",")))
    network, graph = network_of(model, input_shapes.parse(input_shape or ()))
    _refuse_pixels(graph, dtype)
    job = Job(network, images, image, dtype, where, labels, key, label, outputs, groups)
    out = out.absolute()
    job.check_files()
    _refuse(out, overwrite)
    asked = {"on": on, "master": master, "model": model, "input_shape": input_shape or []}
    asked |= {**job.settings(), "bad": bad, **settings}
    recorded = Session("cluster run", asked, ())
    with new_folder(out, replace=overwrite) as folder, session(on, master, settings) as opened:
        with terminal.progress() as progress:
            outcome = run_job(opened, job, folder, progress)
        console = terminal.output(json)
        report.show(outcome, opened, console)
        recorder = Recorder(recorded, Workloads(graph, Read(images, outcome.rows)))
        record_run(outcome, opened, master, recorder)
        unsaved = save(json, to_json(recorder.results(complete=True)))
        status = unsaved or int(outcome.bad > 0)
        if outcome.bad and bad == "fail":
            console.print("nothing is written: --bad null keeps them, without outputs")
            raise typer.Exit(status)  # before the folder takes its name
    raise typer.Exit(status)


@app.command()
def compare(
    *,
    master: Annotated[str, typer.Option(help=_MASTERS)] = LOCAL_MASTER,
    model: ModelOption = "plain9",
    input_shape: InputShapeOption = None,
    data: DataOption = "photo10",
    split: SplitOption = "test",
    labels: LabelsOption = None,
    resize: ResizeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    images: Annotated[int, typer.Option(min=1, help="Images of a run.")] = 10_000,
    splits: Annotated[str, typer.Option(help="Numbers of splits, two at least.")] = "2,16",
    rounds: Annotated[int, typer.Option(min=1, help="Runs of each way, in random order.")] = 3,
    seed: SeedOption = None,
    conf: ConfOption = None,
    json: JsonOption = None,
) -> None:
    """Run the engine alone and inside Spark on the same files, in turn; compare every row.

    Exit status: 0 all rows are equal, 1 not so, 2 wrong usage.
    """
    if not master.startswith("local"):
        raise UsageError(f"--master {master!r}: CPU time is measured on this machine: use local[2]")
    counts = sorted(values.numbers("--splits", splits))
    if len(counts) < 2 or counts[-1] > images:
        raise UsageError(f"--splits {splits!r}: give two numbers at least, up to --images {images}")
    network, graph = network_of(model, input_shapes.parse(input_shape or ()))
    seed, prepared = seed_or_new(seed), Preparation.parse(labels, resize, mean, std)
    dataset = dataset_for(graph, data, None, split, prepared)
    left_out = show_data(data, dataset, terminal.stream(json))
    settings = {"master": master, "model": model, "data": data, "images": images}
    settings |= {"split": split, **prepared.settings(), "input_shape": input_shape or []}
    settings |= {"splits": counts, "rounds": rounds, "seed": seed}
    recorded = Session(COMMAND, settings, cpus.choose(None), warnings=left_out)
    with (
        session("spark", master, {**SPLIT_IS_A_FILE, **parse_settings(conf or [])}) as opened,
        temporary_folder() as folder,
        terminal.progress() as progress,
    ):
        found = measure(opened, network, dataset, images, counts, rounds, seed, folder, progress)
    report.show_comparison(found, terminal.output(json))
    recorder = Recorder(recorded, Workloads(graph, dataset))
    record(found, master, recorder)
    unsaved = save(json, to_json(recorder.results(complete=True)))
    raise typer.Exit(unsaved or int(any(way.differing for way in found.ways)))


@app.command()
def simulate(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What compare --json wrote.")],
    *,
    executors: Annotated[
        str, typer.Option(metavar="LIST", help="1,2,4 or 1-1000*10: 1, 10, 100, 1000.")
    ] = "1-1000*10",
    cores: Annotated[int, typer.Option(min=1, help="Cores of an executor.")] = 4,
    images: Annotated[int, typer.Option(min=1, help="Images of the run.")] = 10_000_000,
    split: Annotated[int, typer.Option(min=1, help="Images of a split.")] = FEW_IMAGES,
    json: JsonOption = None,
) -> None:
    """Say what a run on so many executors would take, by a model fitted to a comparison."""
    numbers = sorted(values.numbers("--executors", executors))
    basis = document.read(file)
    fitted = fit(basis)
    scale = Scale(images, -(-images // split), cores)
    times = {number: fitted.seconds(scale, number) for number in numbers}
    report.show_model(fitted, times, scale, terminal.output(json))
    raise typer.Exit(save(json, to_json(simulated(fitted, basis, times, scale)), again=True))


def _refuse_pixels(graph: Graph, dtype: str) -> None:
    """Raises UsageError for plain pixels where the network's file says that it takes others."""
    found = normalization.of_metadata(graph.metadata)
    if found is not None and dtype == "uint8":
        raise UsageError(
            f"{graph.name} takes normalized pixels ({found}), and here it is given those from 0 to "
            "1: store them normalized, and add --dtype float32"
        )


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

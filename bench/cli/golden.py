"""`cnn-bench golden`: create bundles, and verify, diff and bisect backends with them."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench.cli import saving, terminal
from bench.cli.data_options import (
    LabelsOption,
    MeanOption,
    ResizeOption,
    SplitOption,
    StdOption,
    show_and_warn,
)
from bench.cli.import_line import show_import
from bench.cli.options import (
    AlgorithmOption,
    AtolOption,
    BackendOption,
    BatchSizeOption,
    DataOption,
    FunctionsOption,
    ImportCheckOption,
    InputShapeOption,
    JsonOption,
    LabelOption,
    ModelOption,
    RtolOption,
    ThreadsOption,
    TimeoutOption,
    new_file,
    resolved,
    run_options,
)
from bench.data.dataset import dataset_for
from bench.data.preparation import Preparation
from bench.data.source import SPLITS
from bench.files.output import OutputFile
from bench.golden import bisect as bisection
from bench.golden import checks, record, recording, report, tap_selection
from bench.golden import create as creation
from bench.golden import diff as differences
from bench.golden import verify as verification
from bench.golden.bundle import open_bundle
from bench.golden.manifest import Creation
from bench.golden.verify import Comparing
from bench.model import fixed_batch
from bench.model.check import MISREAD
from bench.model.check import TIMEOUT_S as IMPORT_CHECK_TIMEOUT_S
from bench.results import document
from bench.results.session import Session
from bench.text.caveats import show_caveat
from bench.workers.selection import select_one
from columnar_nn.model.graph import Graph

app = typer.Typer(
    help="Prove that an engine computes what it did, or find the first operator where not.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)

BundleArgument = Annotated[Path, typer.Argument(help="Folder of a golden bundle.")]
TapsOption = Annotated[
    str,
    typer.Option(
        help='"all", "outputs" or names of tensors, separated by commas. An engine asked for '
        "inner tensors computes them at operator boundaries; outputs leaves its fusion alone."
    ),
]
CheckOption = Annotated[
    str, typer.Option(help="What must be in tolerance: elementwise, max, mean, median, quantile:q.")
]
FailFastOption = Annotated[
    bool, typer.Option("--fail-fast", help="Stop at the first batch with a wrong tensor.")
]
JunitOption = Annotated[OutputFile | None, new_file("Write JUnit XML, one test case a tensor.")]


@app.command()
def create(
    out: Annotated[Path, typer.Argument(help="The new bundle's folder; must not exist.")],
    model: ModelOption = "plain9",
    input_shape: InputShapeOption = None,
    data: DataOption = "photo10",
    split: SplitOption = "test",
    labels: LabelsOption = None,
    resize: ResizeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    count: Annotated[int, typer.Option(min=1, help="Number of images.")] = 16,
    start: Annotated[int, typer.Option(min=0, help="Number of the first image.")] = 0,
    taps: Annotated[
        str, typer.Option(help='"all", "outputs" or names of tensors, separated by commas.')
    ] = tap_selection.ALL,
    import_check: ImportCheckOption = True,
    functions: FunctionsOption = None,
) -> None:
    """Create a bundle with the float64 reference; the same inputs give the same bytes.

    Exit status: 0 created, 1 the model's file was misread, 2 wrong usage.
    """
    further = {
        "input-shape": input_shape or [],
        "split": [] if split == SPLITS[0] else [split],
        "labels": [] if labels is None else [labels.name],
        "resize": [] if resize is None else [str(resize)],
        "mean": [] if mean is None else [mean],
        "std": [] if std is None else [std],
    }
    request = Creation(
        *(_portable(model), _portable(data), count, tap_selection.parse(taps), start),
        tuple(f"--{name}={value}" for name, values in further.items() for value in values),
    )
    graph = resolved(model, input_shape)
    prepared = Preparation.parse(labels, resize, mean, std)
    dataset = dataset_for(graph, data, start + count, split, prepared)
    show_and_warn(data, dataset, terminal.stream())
    options = run_options(None, IMPORT_CHECK_TIMEOUT_S)
    checked = show_import(model, graph, import_check, options, terminal.stream())
    if checked is not None and checked.verdict == MISREAD:
        raise typer.Exit(checked.exit_code())
    with terminal.progress() as show:
        created = creation.create(out, graph, dataset, request, show)
    console = terminal.output()
    _show_batches(graph, console)
    report.show_creation(created, str(out), creation.non_finite_weights(graph), console)


@app.command()
def verify(
    bundle: BundleArgument,
    *,
    backend: BackendOption,
    algorithm: AlgorithmOption = "auto",
    functions: FunctionsOption = None,
    taps: TapsOption = tap_selection.ALL,
    rtol: RtolOption = None,
    atol: AtolOption = None,
    check: CheckOption = checks.ELEMENTWISE,
    fail_fast: FailFastOption = False,
    batch_size: BatchSizeOption = 32,
    threads: ThreadsOption = None,
    timeout: TimeoutOption = 180.0,
    save: Annotated[
        OutputFile | None,
        new_file("Write the engine's tensors as an Arrow IPC stream."),
    ] = None,
    label: LabelOption = None,
    json: JsonOption = None,
    junit: JunitOption = None,
) -> None:
    """Run an engine on a bundle's images and compare each tensor, in graph order.

    Exit status: 0 no tensor is wrong, 1 one is or the engine failed, 2 wrong usage, a refused
    bundle, or an engine that is not installed.
    """
    comparing = _comparing(taps, rtol, atol, check, fail_fast)
    selection = select_one(backend)
    options = run_options(threads, timeout, batch_size, algorithm)
    opened = open_bundle(bundle)
    settings = {
        "bundle": bundle.name,
        "backends": [selection.label],
        "batch_size": batch_size,
        "cpus": list(options.cpus),
        "timeout_s": timeout,
        "algorithm": algorithm,
        "taps": taps,
        "check": check,
        "rtol": list(rtol or ()),
        "atol": list(atol or ()),
        "fail_fast": fail_fast,
    }
    session = Session("golden verify", settings, options.cpus, label=label)
    console = terminal.output(save, json, junit)
    with nullcontext() if save is None else save.new_file() as file:
        with terminal.progress() as show:
            outcome = verification.verify(opened, selection, options, comparing, file, show)
        _show_batches(opened.graph(), console)
        report.show_verification(outcome, console)
    found = recording.results(session, opened, selection, options, outcome)
    unsaved = saving.save(json, document.to_json(found))
    raise typer.Exit(_write_junit(outcome, junit) or unsaved or outcome.exit_code())


@app.command()
def diff(
    left: Annotated[Path, typer.Argument(help="A bundle, or an Arrow IPC file of tensors.")],
    right: Annotated[Path, typer.Argument(help="What to compare with it: likewise.")],
    *,
    rtol: RtolOption = None,
    atol: AtolOption = None,
    check: CheckOption = checks.ELEMENTWISE,
    fail_fast: FailFastOption = False,
    json: JsonOption = None,
    junit: JunitOption = None,
) -> None:
    """Compare two bundles, or two files of saved tensors, or one of each."""
    comparing = _comparing(tap_selection.ALL, rtol, atol, check, fail_fast)
    sides = differences.open_side(left), differences.open_side(right)
    outcome = differences.diff(*sides, comparing)
    report.show_verification(outcome, terminal.output(json, junit))
    raise typer.Exit(_write(outcome, json, junit) or outcome.exit_code())


@app.command()
def bisect(
    bundle: BundleArgument,
    *,
    backend: BackendOption,
    algorithm: AlgorithmOption = "auto",
    functions: FunctionsOption = None,
    rtol: RtolOption = None,
    atol: AtolOption = None,
    check: CheckOption = checks.ELEMENTWISE,
    batch_size: BatchSizeOption = 32,
    threads: ThreadsOption = None,
    timeout: TimeoutOption = 180.0,
    json: JsonOption = None,
) -> None:
    """Feed each operator its golden input alone: its own error beside the inherited one."""
    comparing = _comparing(tap_selection.ALL, rtol, atol, check, fail_fast=False)
    selection = select_one(backend)
    options = run_options(threads, timeout, batch_size, algorithm)
    opened = open_bundle(bundle)
    with terminal.progress() as show:
        outcome = bisection.bisect(opened, selection, options, comparing, show)
    console = terminal.output(json)
    _show_batches(opened.graph(), console)
    report.show_bisection(outcome, console)
    raise typer.Exit(_write(outcome, json, None) or outcome.exit_code())


def _comparing(
    taps: str, rtol: list[str] | None, atol: list[str] | None, check: str, fail_fast: bool
) -> Comparing:
    words = tap_selection.parse(taps)
    return Comparing(checks.parse(check), words, rtol or (), atol or (), fail_fast)


def _show_batches(graph: Graph, console: Console) -> None:
    """Says how a network is run that is tied to a batch size; nothing of another."""
    if note := fixed_batch.note(graph):
        show_caveat(console, "note", note)


def _portable(name_or_path: str) -> str:
    """A network's or data set's name, or the last part of a path: where it lay says nothing."""
    return Path(name_or_path).name


def _write(
    outcome: verification.Verification | bisection.Bisection,
    json: OutputFile | None,
    junit: OutputFile | None,
) -> int:
    """Saves the outcome where it was asked for; 0, or the exit status if it could not."""
    unsaved = saving.save(json, record.to_json(outcome).encode())
    if isinstance(outcome, verification.Verification):
        unsaved = _write_junit(outcome, junit) or unsaved
    return unsaved


def _write_junit(outcome: verification.Verification, junit: OutputFile | None) -> int:
    return 0 if junit is None else saving.save(junit, record.to_junit(outcome).encode())

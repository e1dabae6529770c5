"""`cnn-bench engine`: the columnar engine against the machine's limits and against its peers."""

from __future__ import annotations

import contextlib
import sys
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
    WHOLE,
    DataOption,
    FunctionsOption,
    InputShapeOption,
    JsonOption,
    LabelOption,
    MinTimeOption,
    ModelOption,
    RunsOption,
    SeedOption,
    TimeoutOption,
    finite,
    resolved,
    run_options,
    seed_or_new,
)
from bench.cli.saving import save
from bench.cli.signals import EXIT_INTERRUPTED
from bench.compare.experiment import Limits
from bench.data.dataset import dataset_for
from bench.data.preparation import Preparation
from bench.engine import report
from bench.engine.run import PARTS, EngineResult, parse_parts, run
from bench.engine.setup import BATCH_SIZE, Setup
from bench.files.output import OutputFile
from bench.files.temporary import temporary_folder
from bench.machine import environment
from bench.model import fixed_batch
from bench.results.document import to_json
from bench.results.merging import labelled
from bench.results.session import Session


def engine(
    *,
    model: ModelOption = "plain9",
    input_shape: InputShapeOption = None,
    data: DataOption = "photo10",
    split: SplitOption = "test",
    labels: LabelsOption = None,
    resize: ResizeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    part: Annotated[str, typer.Option(help="Parts to measure, separated by commas.")] = ",".join(
        PARTS
    ),
    threads: Annotated[
        int | None,
        typer.Option(
            metavar=WHOLE,
            help="Most threads of the parts roofline and threads; the others use one.",
            show_default="all physical cores",
        ),
    ] = None,
    runs: RunsOption = 5,
    min_time: MinTimeOption = 1.0,
    budget: Annotated[
        float,
        typer.Option(
            min=0,
            callback=finite,
            help="Seconds that a single run may take; longer ones are not run (in batches: 60 at "
            "least).",
        ),
    ] = 20.0,
    timeout: TimeoutOption = 300.0,
    seed: SeedOption = None,
    functions: FunctionsOption = None,
    label: LabelOption = None,
    json: JsonOption = None,
) -> None:
    """Hold the columnar engine against the limits of this machine and against its peers.

    Every number is measured in this run. Exit status: 0 all was measured and all outputs agree
    with the reference, 1 not so, 2 wrong usage.
    """
    names = parse_parts(part)
    options = run_options(threads, timeout, BATCH_SIZE)
    seed = seed_or_new(seed)
    graph = resolved(model, input_shape)
    fixed_batch.refuse(graph, "cnn-bench engine")
    prepared = Preparation.parse(labels, resize, mean, std)
    dataset = dataset_for(graph, data, None, split, prepared)
    left_out = show_data(data, dataset, terminal.stream(json))
    settings = {
        "model": model,
        "input_shape": input_shape or [],
        "data": data,
        "split": split,
        **prepared.settings(),
        "parts": list(names),
        "threads": options.threads,
        "cpus": list(options.cpus),
        "runs": runs,
        "min_time_s": min_time,
        "budget_s": budget,
        "timeout_s": timeout,
        "seed": seed,
    }
    warnings = [*environment.doubts(graph, options.cpus), *left_out]
    session = Session("engine", settings, options.cpus, warnings=warnings)
    result = EngineResult(session.heading(graph, dataset))
    with temporary_folder() as folder, terminal.progress() as show:
        limits = Limits(runs, min_time, budget)
        setup = Setup(graph, dataset, options, limits, seed, folder, show)
        with contextlib.suppress(KeyboardInterrupt):
            run(names, setup, result)
    raise typer.Exit(_finish(result, label, json))


def _finish(result: EngineResult, label: str | None, json: OutputFile | None) -> int:
    """Prints and saves; returns the exit status."""
    report.show(result, terminal.output(json))
    unsaved = save(json, to_json(labelled(result.results(), label)))
    if not result.complete:
        kept = f"; what was measured is in {json}" if json and not unsaved else ""
        print(f"cnn-bench: interrupted before the end{kept}", file=sys.stderr)
        return EXIT_INTERRUPTED
    return unsaved or result.exit_code()

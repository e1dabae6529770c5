"""`cnn-bench compare`: the options, the progress bar, and where the result goes."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from bench import cells, cpus, environment, report, result
from bench.cell_state import Limits
from bench.cli.app import DEBUG_VARIABLE, EXIT_INTERRUPTED
from bench.data.dataset import open_dataset
from bench.measure import Comparison, Options
from bench.table_style import WIDTH
from columnar_nn import models
from columnar_nn.errors import UsageError

ALGORITHMS = ("auto", "direct", "winograd")


def compare(
    *,
    model: Annotated[
        str, typer.Option(help="Name of a network, or the path of an ONNX file.")
    ] = "plain9",
    data: Annotated[
        str, typer.Option(help="photo10, synthetic, or the path of CIFAR-10 binary files.")
    ] = "photo10",
    backend: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:CONFIGURATION]",
            help="An engine, repeatable; its default and best configuration unless one is named. "
            "Default: every engine.",
        ),
    ] = None,
    samples: Annotated[
        str, typer.Option(help="Numbers of images, separated by commas.")
    ] = "1,10,100,1000",
    batch_size: Annotated[
        int, typer.Option(min=1, help="Images in a batch; fewer images make one batch.")
    ] = 128,
    threads: Annotated[
        int | None,
        typer.Option(help="Threads, each pinned to a CPU. Default: all physical cores."),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs of a cell, at least.")] = 5,
    min_time: Annotated[
        float, typer.Option(min=0, help="Seconds of timed runs of a cell, at least.")
    ] = 0.3,
    budget: Annotated[
        float,
        typer.Option(
            min=0,
            help="Seconds of a cell's timed runs beyond which it gets no more than 3 of them; it "
            "is not run at all if one would take longer.",
        ),
    ] = 2.0,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds after which an engine counts as hanging.")
    ] = 180.0,
    algorithm: Annotated[
        str, typer.Option(help="Convolution in the columnar engine: auto, direct or winograd.")
    ] = "auto",
    seed: Annotated[
        int | None,
        typer.Option(help="Of the random order of the cells. Default: a new one, printed."),
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write everything, raw times too, as JSON.")
    ] = None,
) -> None:
    """Compare engines on the same network, weights and images.

    Each engine runs in a process of its own; times are from Arrow batches in to Arrow logits
    out. Exit status: 0 all outputs agree with the reference, 1 one does not or an engine
    failed, 2 wrong usage.
    """
    if algorithm not in ALGORITHMS:
        raise UsageError(f"--algorithm {algorithm!r}: choose from {', '.join(ALGORITHMS)}")
    if json is not None and not json.absolute().parent.is_dir():
        raise UsageError(f"--json {json}: there is no folder {json.absolute().parent}")
    options = Options(
        selections=cells.select(backend or ()),
        samples=cells.parse_samples(samples),
        batch_size=batch_size,
        algorithm=algorithm,
        cpus=cpus.choose(threads),
        limits=Limits(runs, min_time, budget, timeout),
        seed=random.randrange(2**31) if seed is None else seed,
    )
    raise typer.Exit(_run(options, model, data, json))


def _run(options: Options, model: str, data: str, json: Path | None) -> int:
    """Compares, prints and saves; returns the exit status."""
    graph = models.resolve(model)
    dataset = open_dataset(data, max(options.samples))
    context: dict[str, Any] = {
        **environment.describe(),
        "settings": _settings(options, model, data),
        "model": {"name": graph.name, "parameters": graph.num_parameters()},
        "data": {
            "name": dataset.name,
            "rows": dataset.num_rows,
            "fingerprint": dataset.fingerprint,
        },
        "warnings": environment.warnings(options.cpus),
    }
    # A killed run leaves what an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with progress_bar() as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int, doing: str) -> None:
            bar.update(task, completed=done, total=total, description=doing, refresh=True)

        comparison = Comparison(options, graph, dataset, show)
        with contextlib.suppress(KeyboardInterrupt):
            comparison.run()
    outcome = comparison.result(context)
    if json is not None:
        result.save(outcome, json)
    report.show(outcome, Console(width=None if sys.stdout.isatty() else WIDTH))
    for record in outcome.backends:
        if record.log and os.environ.get(DEBUG_VARIABLE):
            print(f"--- the end of what {record.label} printed\n{record.log}", file=sys.stderr)
    if not outcome.complete:
        kept = f"; what was measured is in {json}" if json else ""
        print(f"cnn-bench: interrupted before the end{kept}", file=sys.stderr)
        return EXIT_INTERRUPTED
    return outcome.exit_code()


def _settings(options: Options, model: str, data: str) -> dict[str, Any]:
    return {
        "model": model,
        "data": data,
        "backends": [selection.label for selection in options.selections],
        "samples": list(options.samples),
        "batch_size": options.batch_size,
        "threads": len(options.cpus),
        "cpus": list(options.cpus),
        "runs": options.limits.runs,
        "min_time_s": options.limits.min_time,
        "budget_s": options.limits.budget,
        "timeout_s": options.limits.timeout,
        "algorithm": options.algorithm,
        "seed": options.seed,
    }


def progress_bar() -> Progress:
    """A bar on a terminal only, drawn between measurements and never during one."""
    console = Console(stderr=True)
    return Progress(
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("{task.description}"),
        console=console,
        auto_refresh=False,
        transient=True,
        disable=not console.is_terminal,
    )

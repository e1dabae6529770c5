"""`cnn-bench profile`: the time of every layer in every engine, side by side."""

from __future__ import annotations

import random
import signal
import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from bench import cells, cpus, environment
from bench.cli.compare import ALGORITHMS, progress_bar
from bench.data.dataset import open_dataset
from bench.profile import measure, report
from bench.profile.measure import Options
from bench.profile.rows import layer_rows
from bench.result import save_document
from bench.table_style import WIDTH
from columnar_nn import models
from columnar_nn.errors import UsageError


def profile(
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
            "Default: every engine, and the columnar one at each fusion level.",
        ),
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Images of a run.")] = 32,
    batch_size: Annotated[
        int, typer.Option(min=1, help="Images in a batch; fewer images make one batch.")
    ] = 32,
    threads: Annotated[int, typer.Option(help="Threads, each pinned to a CPU.")] = 1,
    rounds: Annotated[
        int, typer.Option(min=1, help="Runs with operator clocks on, and as many with them off.")
    ] = 5,
    budget: Annotated[
        float, typer.Option(min=0, help="Seconds of runs after which an engine gets no more.")
    ] = 10.0,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds after which an engine counts as hanging.")
    ] = 180.0,
    algorithm: Annotated[
        str, typer.Option(help="Convolution in the columnar engine: auto, direct or winograd.")
    ] = "auto",
    json: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write every run's operators and times as JSON."),
    ] = None,
) -> None:
    """Show the time of every layer in every engine, side by side.

    Each engine runs in a process of its own and tells the times by its own profiler; layers are
    matched by the names of their nodes. Exit status: 0 all was measured, 1 an engine failed,
    2 wrong usage.
    """
    if algorithm not in ALGORITHMS:
        raise UsageError(f"--algorithm {algorithm!r}: choose from {', '.join(ALGORITHMS)}")
    if json is not None and not json.absolute().parent.is_dir():
        raise UsageError(f"--json {json}: there is no folder {json.absolute().parent}")
    options = Options(
        selections=cells.select(backend or measure.DEFAULT_BACKENDS),
        samples=samples,
        batch_size=min(batch_size, samples),
        algorithm=algorithm,
        cpus=cpus.choose(threads),
        rounds=rounds,
        budget=budget,
        timeout=timeout,
        seed=random.randrange(2**31),
    )
    graph, dataset = models.resolve(model), open_dataset(data, samples)
    context = {
        **environment.describe(),
        "settings": {
            "model": model,
            "data": data,
            "backends": [selection.label for selection in options.selections],
            "batch_size": options.batch_size,
            "cpus": list(options.cpus),
            "rounds": rounds,
            "budget_s": budget,
            "timeout_s": timeout,
            "algorithm": algorithm,
            "seed": options.seed,
        },
        "model": {"name": graph.name, "parameters": graph.num_parameters()},
        "data": {"name": dataset.name, "fingerprint": dataset.fingerprint},
        "warnings": environment.warnings(options.cpus),
    }
    # A killed run ends its workers as an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with progress_bar() as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int, doing: str) -> None:
            bar.update(task, completed=done, total=total, description=doing, refresh=True)

        result = measure.measure(options, graph, dataset, context, show)
    rows = layer_rows(graph, result)
    if json is not None:
        save_document(result.document(rows), json)
    report.show(result, rows, Console(width=None if sys.stdout.isatty() else WIDTH))
    raise typer.Exit(result.exit_code())

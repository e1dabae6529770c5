"""`cnn-bench engine`: the columnar engine against the machine's limits and against its peers."""

from __future__ import annotations

import contextlib
import random
import signal
import sys
import tempfile
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from bench import cpus, environment
from bench.cell_state import Limits
from bench.cli.app import EXIT_INTERRUPTED
from bench.cli.compare import progress_bar
from bench.data.dataset import Dataset, open_dataset
from bench.engine import report
from bench.engine.run import PARTS, EngineResult, parse_parts, run
from bench.engine.setup import Setup
from bench.result import save_document
from bench.table_style import WIDTH
from columnar_nn import models
from columnar_nn.errors import UsageError
from columnar_nn.graph import Graph


def engine(
    *,
    model: Annotated[
        str, typer.Option(help="Name of a network, or the path of an ONNX file.")
    ] = "plain9",
    data: Annotated[
        str, typer.Option(help="photo10, synthetic, or the path of CIFAR-10 binary files.")
    ] = "photo10",
    part: Annotated[str, typer.Option(help="Parts to measure, separated by commas.")] = ",".join(
        PARTS
    ),
    threads: Annotated[
        int | None,
        typer.Option(
            help="Most threads of the parts roofline and threads; the others use one. Default: "
            "all physical cores."
        ),
    ] = None,
    runs: Annotated[int, typer.Option(min=1, help="Timed runs of a cell, at least.")] = 5,
    min_time: Annotated[
        float, typer.Option(min=0, help="Seconds of timed runs of a cell, at least.")
    ] = 1.0,
    budget: Annotated[
        float,
        typer.Option(min=0, help="Seconds that a single run may take; longer ones are not run."),
    ] = 20.0,
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds after which an engine counts as hanging.")
    ] = 300.0,
    seed: Annotated[
        int | None, typer.Option(help="Of the random order of measurements. Default: a new one.")
    ] = None,
    json: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write everything, raw times too, as JSON.")
    ] = None,
) -> None:
    """Hold the columnar engine against the limits of this machine and against its peers.

    Every number is measured in this run. Exit status: 0 all was measured and all outputs agree
    with the reference, 1 not so, 2 wrong usage.
    """
    names = parse_parts(part)
    if json is not None and not json.absolute().parent.is_dir():
        raise UsageError(f"--json {json}: there is no folder {json.absolute().parent}")
    chosen = cpus.choose(threads)
    limits = Limits(runs, min_time, budget, timeout)
    seed = random.randrange(2**31) if seed is None else seed
    graph, dataset = models.resolve(model), open_dataset(data)
    settings = {
        "model": model,
        "data": data,
        "parts": list(names),
        "threads": len(chosen),
        "cpus": list(chosen),
        "runs": runs,
        "min_time_s": min_time,
        "budget_s": budget,
        "timeout_s": timeout,
        "seed": seed,
    }
    result = EngineResult(_context(graph, dataset, settings, chosen))
    # A killed run leaves what an interrupted one does.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="cnn-bench-") as folder, progress_bar() as bar:
        task = bar.add_task("", total=None)

        def show(done: int, total: int, doing: str) -> None:
            bar.update(task, completed=done, total=total, description=doing, refresh=True)

        setup = Setup(graph, dataset, chosen, limits, seed, Path(folder), show)
        with contextlib.suppress(KeyboardInterrupt):
            run(names, setup, result)
    raise typer.Exit(_finish(result, json))


def _context(
    graph: Graph, dataset: Dataset, settings: dict[str, Any], chosen: tuple[int, ...]
) -> dict[str, Any]:
    return {
        **environment.describe(),
        "settings": settings,
        "model": {"name": graph.name, "parameters": graph.num_parameters()},
        "data": {
            "name": dataset.name,
            "rows": dataset.num_rows,
            "fingerprint": dataset.fingerprint,
        },
        "warnings": environment.warnings(chosen),
    }


def _finish(result: EngineResult, json: Path | None) -> int:
    """Saves and prints; returns the exit status."""
    if json is not None:
        save_document(result.document(), json)
    report.show(result, Console(width=None if sys.stdout.isatty() else WIDTH))
    if not result.complete:
        kept = f"; what was measured is in {json}" if json else ""
        print(f"cnn-bench: interrupted before the end{kept}", file=sys.stderr)
        return EXIT_INTERRUPTED
    return result.exit_code()

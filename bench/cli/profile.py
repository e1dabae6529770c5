"""`cnn-bench profile`: the time of every layer in every engine, side by side."""

from __future__ import annotations

import dataclasses
import random
from typing import Annotated

import typer

from bench.cli import terminal
from bench.cli.import_line import show_import
from bench.cli.options import (
    AlgorithmOption,
    BatchSizeOption,
    DataOption,
    EnginesOption,
    ImportCheckOption,
    JsonOption,
    ModelOption,
    OneThreadOption,
    TimeoutOption,
)
from bench.cli.saving import save
from bench.compare import selection as cells
from bench.data.dataset import open_dataset
from bench.machine import cpus, environment
from bench.model import fixed_batch
from bench.model.check import MISREAD
from bench.profile import measure, report
from bench.profile.measure import Options
from bench.profile.rows import layer_rows
from bench.results.result import to_json
from columnar_nn.model import zoo


def profile(
    *,
    model: ModelOption = "plain9",
    data: DataOption = "photo10",
    backend: EnginesOption = None,
    samples: Annotated[int, typer.Option(min=1, help="Images of a run.")] = 32,
    batch_size: BatchSizeOption = 32,
    threads: OneThreadOption = 1,
    rounds: Annotated[
        int, typer.Option(min=1, help="Runs with operator clocks on, and as many with them off.")
    ] = 5,
    budget: Annotated[
        float, typer.Option(min=0, help="Seconds of runs after which an engine gets no more.")
    ] = 10.0,
    timeout: TimeoutOption = 180.0,
    algorithm: AlgorithmOption = "auto",
    import_check: ImportCheckOption = True,
    json: JsonOption = None,
) -> None:
    """Show the time of every layer in every engine, side by side.

    Each engine runs in a process of its own and tells the times by its own profiler; layers are
    matched by the names of their nodes. Without --backend, the columnar engine is shown at each
    fusion level. Exit status: 0 all was measured, 1 an engine failed or the model's file was
    misread, 2 wrong usage.
    """
    options = Options(
        selections=cells.select(backend or measure.default_backends()),
        samples=samples,
        batch_size=min(batch_size, samples),
        algorithm=algorithm,
        cpus=cpus.choose(threads),
        rounds=rounds,
        budget=budget,
        timeout=timeout,
        seed=random.randrange(2**31),
    )
    graph = zoo.resolve(model)
    size = fixed_batch.batch_size(graph, options.batch_size, [samples], "--samples")
    options = dataclasses.replace(options, batch_size=size)
    dataset = open_dataset(data, samples).fitted_to(graph)
    settings = {
        "model": model,
        "data": data,
        "backends": [selection.label for selection in options.selections],
        "batch_size": options.batch_size,
        "batch_note": fixed_batch.note(graph),
        "cpus": list(options.cpus),
        "rounds": rounds,
        "budget_s": budget,
        "timeout_s": timeout,
        "algorithm": algorithm,
        "seed": options.seed,
    }
    context = environment.context(settings, graph, dataset, options.cpus)
    checked = show_import(model, graph, import_check, options.cpus, timeout, terminal.stream(json))
    context["import_check"] = None if checked is None else checked.document()
    if checked is not None and checked.verdict == MISREAD:
        raise typer.Exit(checked.exit_code())
    with terminal.progress() as show:
        result = measure.measure(options, graph, dataset, context, show)
    rows = layer_rows(graph, result)
    report.show(result, rows, terminal.output(json))
    unsaved = save(json, to_json(result.document(rows)))
    raise typer.Exit(unsaved or result.exit_code())

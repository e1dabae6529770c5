"""`cnn-bench profile`: the time of every layer in every backend, side by side."""

from __future__ import annotations

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
from bench.cli.import_line import show_import
from bench.cli.options import (
    AlgorithmOption,
    BackendsOption,
    BatchSizeOption,
    DataOption,
    FunctionsOption,
    ImportCheckOption,
    InputShapeOption,
    JsonOption,
    LabelOption,
    ModelOption,
    OneThreadOption,
    TimeoutOption,
    finite,
    resolved,
    run_options,
    seed_or_new,
)
from bench.cli.saving import save
from bench.compare.experiment import Experiment, Limits
from bench.data.dataset import dataset_for
from bench.data.preparation import Preparation
from bench.machine import environment
from bench.model import fixed_batch
from bench.model.check import MISREAD
from bench.profile import measure, recording, report
from bench.profile.rows import layer_rows
from bench.results.document import to_json
from bench.results.session import Session, Workloads
from bench.workers.selection import select
from columnar_nn.model import precision


def profile(
    *,
    model: ModelOption = "plain9",
    input_shape: InputShapeOption = None,
    data: DataOption = "photo10",
    split: SplitOption = "test",
    labels: LabelsOption = None,
    resize: ResizeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    backend: BackendsOption = None,
    samples: Annotated[int, typer.Option(min=1, help="Images of a run.")] = 32,
    batch_size: BatchSizeOption = 32,
    threads: OneThreadOption = 1,
    rounds: Annotated[
        int, typer.Option(min=1, help="Runs with operator clocks on, and as many with them off.")
    ] = 5,
    budget: Annotated[
        float,
        typer.Option(
            min=0, callback=finite, help="Seconds of runs after which an engine gets no more."
        ),
    ] = 10.0,
    timeout: TimeoutOption = 180.0,
    algorithm: AlgorithmOption = "auto",
    import_check: ImportCheckOption = True,
    functions: FunctionsOption = None,
    label: LabelOption = None,
    json: JsonOption = None,
) -> None:
    """Show the time of every layer in every engine, side by side.

    Each engine runs in a process of its own and tells the times by its own profiler; layers are
    matched by the names of their nodes. Without --backend, the columnar engine is shown at each
    fusion level. Exit status: 0 all was measured, 1 an engine failed or the model's file was
    misread, 2 wrong usage.
    """
    graph = resolved(model, input_shape)
    size = fixed_batch.batch_size(graph, min(batch_size, samples), [samples], "--samples")
    options = run_options(threads, timeout, size, algorithm)
    experiment = Experiment(
        selections=select(backend or measure.default_backends()),
        samples=(samples,),
        options=options,
        limits=Limits(rounds, 0.0, budget),
        seed=seed_or_new(None),
    )
    prepared = Preparation.parse(labels, resize, mean, std)
    dataset = dataset_for(graph, data, samples, split, prepared)
    left_out = show_data(data, dataset, terminal.stream(json))
    settings = {
        "model": model,
        "input_shape": input_shape or [],
        "data": data,
        "split": split,
        **prepared.settings(),
        **experiment.settings(),
        "batch_note": fixed_batch.note(graph),
        "precision_note": precision.note(graph),
    }
    checked = show_import(model, graph, import_check, options, terminal.stream(json))
    session = Session(
        "profile",
        settings,
        options.cpus,
        warnings=[*environment.doubts(graph, options.cpus), *left_out],
        import_check=None if checked is None else checked.document(),
        label=label,
    )
    if checked is not None and checked.verdict == MISREAD:
        raise typer.Exit(checked.exit_code())
    with terminal.progress() as show:
        heading = session.heading(graph, dataset)
        result = measure.measure(experiment, graph, dataset, heading, show)
    rows = layer_rows(graph, result)
    report.show(result, rows, terminal.output(json))
    found = recording.results(session, Workloads(graph, dataset), experiment, result)
    unsaved = save(json, to_json(found))
    raise typer.Exit(unsaved or result.exit_code())

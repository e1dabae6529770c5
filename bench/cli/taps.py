"""`cnn-bench taps`: the tensors between layers, as a backend computes them."""

from __future__ import annotations

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
    show_and_warn,
)
from bench.cli.options import (
    AlgorithmOption,
    BackendOption,
    BatchSizeOption,
    DataOption,
    FunctionsOption,
    InputShapeOption,
    ModelArgument,
    OneThreadOption,
    TimeoutOption,
    new_file,
    resolved,
    run_options,
)
from bench.data.dataset import dataset_for
from bench.data.preparation import Preparation
from bench.files.output import OutputFile
from bench.model import fixed_batch
from bench.profile.taps import write_taps
from bench.workers.process import WorkerError
from bench.workers.selection import select_one


def taps(
    model: ModelArgument,
    input_shape: InputShapeOption = None,
    *,
    tensor: Annotated[
        list[str],
        typer.Option(metavar="NAME", help='A tensor, repeatable; "all" or "outputs" of them.'),
    ],
    out: Annotated[
        OutputFile,
        new_file("Where the Arrow IPC file goes; - is standard output."),
    ],
    backend: BackendOption = "columnar",
    data: DataOption = "photo10",
    split: SplitOption = "test",
    labels: LabelsOption = None,
    resize: ResizeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    samples: Annotated[int, typer.Option(min=1, help="Images.")] = 100,
    batch_size: BatchSizeOption = 32,
    threads: OneThreadOption = 1,
    algorithm: AlgorithmOption = "auto",
    functions: FunctionsOption = None,
    timeout: TimeoutOption = 180.0,
) -> None:
    """Write any tensors of a network to an Arrow file, as one engine computes them.

    An engine asked for inner tensors computes them at operator boundaries, so that it fuses
    less. Exit status: 0 written, 1 the engine failed, 2 wrong usage, or an
    engine that is not installed.
    """
    selection = select_one(backend)
    graph = resolved(model, input_shape)
    size = fixed_batch.batch_size(graph, batch_size, [samples], "--samples")
    options = run_options(threads, timeout, size, algorithm)
    prepared = Preparation.parse(labels, resize, mean, std)
    dataset = dataset_for(graph, data, samples, split, prepared)
    show_and_warn(data, dataset, terminal.stream(out))
    batches = dataset.batches(samples, size)
    try:
        num_rows = write_taps(out, graph, tensor, batches, selection, options)
    except WorkerError as error:
        print(f"cnn-bench: {selection.label}: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code()) from None
    note = fixed_batch.note(graph)
    line = f"{out}: {num_rows:,} images, from {selection.label}{f'; {note}' if note else ''}"
    print(line, file=terminal.stream(out))

"""`cnn-bench taps`: the tensors between layers, as an engine computes them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bench.cli import terminal
from bench.cli.options import (
    AlgorithmOption,
    BatchSizeOption,
    DataOption,
    EngineOption,
    ModelArgument,
    OneThreadOption,
    TimeoutOption,
    writable,
)
from bench.data.dataset import open_dataset
from bench.files.output import OutputFile
from bench.golden.engine import EngineOptions, WorkerError, parse_backend
from bench.model import fixed_batch
from bench.profile.taps import write_taps
from columnar_nn.model import zoo


def taps(
    model: ModelArgument,
    *,
    tensor: Annotated[
        list[str],
        typer.Option(metavar="NAME", help='A tensor, repeatable; "all" or "outputs" of them.'),
    ],
    out: Annotated[
        OutputFile,
        typer.Option(
            metavar="FILE",
            help="Where the Arrow IPC file goes; - is standard output.",
            parser=OutputFile,
            callback=writable,
        ),
    ],
    backend: EngineOption = "columnar",
    data: DataOption = "photo10",
    samples: Annotated[int, typer.Option(min=1, help="Images.")] = 100,
    batch_size: BatchSizeOption = 32,
    threads: OneThreadOption = 1,
    algorithm: AlgorithmOption = "auto",
    timeout: TimeoutOption = 180.0,
) -> None:
    """Write any tensors of a network to an Arrow file, as one engine computes them.

    An engine asked for inner tensors computes them at operator boundaries, so that it fuses
    less. Exit status: 0 written, 1 the engine failed, 2 wrong usage, or an
    engine that is not installed.
    """
    options = EngineOptions(*parse_backend(backend), algorithm, threads, batch_size, timeout)
    graph = zoo.resolve(model)
    size = fixed_batch.batch_size(graph, batch_size, [samples], "--samples")
    dataset = open_dataset(data, samples).fitted_to(graph)
    try:
        num_rows = write_taps(out, graph, tensor, dataset.batches(samples, size), options)
    except WorkerError as error:
        print(f"cnn-bench: {options.label}: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code()) from None
    note = fixed_batch.note(graph)
    line = f"{out}: {num_rows:,} images, from {options.label}{f'; {note}' if note else ''}"
    print(line, file=terminal.stream(out))

"""`cnn-bench taps`: the tensors between layers, as an engine computes them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from bench.cli.compare import ALGORITHMS
from bench.data.dataset import open_dataset
from bench.golden.engine import EngineOptions, WorkerError, parse_backend
from bench.profile.taps import write_taps
from columnar_nn import models
from columnar_nn.errors import UsageError


def taps(
    model: Annotated[str, typer.Argument(help="Name of a network, or the path of an ONNX file.")],
    *,
    tensor: Annotated[
        list[str],
        typer.Option(metavar="NAME", help='A tensor, repeatable; "all" or "outputs" of them.'),
    ],
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where the Arrow IPC file goes.")],
    backend: Annotated[
        str,
        typer.Option(
            metavar="NAME[:CONFIGURATION]", help="An engine, or the dotted path of a Backend class."
        ),
    ] = "columnar",
    data: Annotated[
        str, typer.Option(help="photo10, synthetic, or the path of CIFAR-10 binary files.")
    ] = "photo10",
    samples: Annotated[int, typer.Option(min=1, help="Images.")] = 100,
    batch_size: Annotated[int, typer.Option(min=1, help="Images in a batch.")] = 32,
    threads: Annotated[int, typer.Option(help="Threads, each pinned to a CPU.")] = 1,
    algorithm: Annotated[
        str, typer.Option(help="Convolution in the columnar engine: auto, direct or winograd.")
    ] = "auto",
    timeout: Annotated[
        float, typer.Option(min=0.1, help="Seconds after which an engine counts as hanging.")
    ] = 180.0,
) -> None:
    """Write any tensors of a network to an Arrow file, as one engine computes them.

    An engine asked for inner tensors computes them at operator boundaries, so that it fuses
    less. Exit status: 0 written, 1 the engine failed, 2 wrong usage.
    """
    if algorithm not in ALGORITHMS:
        raise UsageError(f"--algorithm {algorithm!r}: choose from {', '.join(ALGORITHMS)}")
    if not out.absolute().parent.is_dir():
        raise UsageError(f"--out {out}: there is no folder {out.absolute().parent}")
    options = EngineOptions(*parse_backend(backend), algorithm, threads, batch_size, timeout)
    dataset = open_dataset(data, samples)
    try:
        num_rows = write_taps(
            out, models.resolve(model), tensor, dataset.batches(samples, batch_size), options
        )
    except WorkerError as error:
        print(f"cnn-bench: {options.label}: {error}", file=sys.stderr)
        raise typer.Exit(1) from None
    print(f"{out}: {num_rows:,} images, from {options.label}")

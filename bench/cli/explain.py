"""`cnn-bench explain`: the plan by which the columnar engine runs a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from columnar_nn import models
from columnar_nn.errors import UsageError

FORMATS = ("text", "json")


def explain(
    model: Annotated[
        str, typer.Argument(help=f"{', '.join(models.BUILDERS)}, or a path to an .onnx file.")
    ],
    fusion: Annotated[
        str, typer.Option(help="What is computed in one pass: none, layer or pipeline.")
    ] = "pipeline",
    algorithm: Annotated[
        str, typer.Option(help="Convolution algorithm: auto, direct or winograd.")
    ] = "auto",
    analyze: Annotated[
        bool, typer.Option("--analyze", help="Run it on random images, and show times.")
    ] = False,
    samples: Annotated[int, typer.Option(min=1, help="Images for --analyze.")] = 256,
    threads: Annotated[int, typer.Option(min=1, help="Threads.")] = 1,
    output_format: Annotated[
        str, typer.Option("--format", help=f"{' or '.join(FORMATS)}.")
    ] = "text",
    trace: Annotated[
        Path | None, typer.Option(help="Write a Chrome trace of a run there, for Perfetto.")
    ] = None,
) -> None:
    """Print the plan as Velox would, with the kernel, work and algorithm of every layer."""
    if output_format not in FORMATS:
        raise UsageError(f"--format {output_format!r}: choose from {', '.join(FORMATS)}")
    from bench import explain as report

    graph = models.resolve(model)
    executable = report.executable_for(graph, fusion, algorithm, threads, samples)
    analysis = None
    if analyze or trace is not None:
        analysis = report.analyze(executable, trace is not None)
        if trace is not None and analysis.task.trace is not None:
            analysis.task.trace.write(trace)
    if output_format == "json":
        print(json.dumps(report.tree(executable, analysis), indent=1))
    else:
        print(report.text(executable, analysis))

"""`cnn-bench explain`: the plan by which the columnar engine, or Velox, runs a network."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from columnar_nn import models
from columnar_nn.errors import CnnBenchError, UsageError
from columnar_nn.graph import Graph

BACKENDS = ("columnar", "velox")
FORMATS = ("text", "json")


def explain(
    model: Annotated[
        str, typer.Argument(help=f"{', '.join(models.BUILDERS)}, or a path to an .onnx file.")
    ],
    backend: Annotated[str, typer.Option(help=f"{' or '.join(BACKENDS)}.")] = "columnar",
    fusion: Annotated[
        str, typer.Option(help="What is computed in one pass: none, layer or pipeline.")
    ] = "pipeline",
    algorithm: Annotated[
        str, typer.Option(help="Convolution algorithm: auto, direct or winograd.")
    ] = "auto",
    formulation: Annotated[
        str, typer.Option(help="How Velox is told the network; its default if empty.")
    ] = "",
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
    """Print the plan as Velox does, with the kernel, work and algorithm of every layer.

    Of the backend velox: the plans of its tasks, run in a worker process.
    """
    for name, value, known in (
        ("backend", backend, BACKENDS),
        ("format", output_format, FORMATS),
    ):
        if value not in known:
            raise UsageError(f"--{name} {value!r}: choose from {', '.join(known)}")
    graph = models.resolve(model)
    if backend == "velox":
        _explain_velox(
            graph, formulation, threads, samples if analyze else 1, analyze, output_format
        )
        return
    from bench import explain as report

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


def _explain_velox(
    graph: Graph, formulation: str, threads: int, samples: int, analyze: bool, output_format: str
) -> None:
    from bench import velox_explain
    from bench.worker_process import WorkerError

    try:
        tasks = velox_explain.run(graph, formulation, threads, samples)
    except WorkerError as error:
        raise CnnBenchError(f"velox: {error}") from None
    if output_format == "json":
        print(json.dumps(tasks if analyze else velox_explain.without_times(tasks), indent=1))
    else:
        print(velox_explain.text(tasks, analyze))

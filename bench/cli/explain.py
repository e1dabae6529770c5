"""`cnn-bench explain`: the plan by which the columnar engine, or Velox, runs a network."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated

import typer

from bench.cli import terminal
from bench.cli.options import (
    AlgorithmOption,
    FunctionsOption,
    InputShapeOption,
    ModelArgument,
    OneThreadOption,
    TimeoutOption,
    choice,
    new_file,
    resolved,
    run_options,
)
from bench.files.output import OutputFile
from bench.model import fixed_batch
from bench.workers.process import WorkerError
from columnar_nn.errors import UsageError
from columnar_nn.functions.bfloat16 import BFLOAT16
from columnar_nn.model.denormals import denormals_note

BACKENDS = ("columnar", "velox")
FORMATS = ("text", "json")


def explain(
    model: ModelArgument,
    input_shape: InputShapeOption = None,
    *,
    backend: Annotated[str, choice(BACKENDS)] = "columnar",
    fusion: Annotated[
        str | None,
        typer.Option(
            help="What columnar computes in one pass: none, layer or pipeline.",
            show_default="pipeline",
        ),
    ] = None,
    without: Annotated[
        list[str] | None,
        typer.Option(
            metavar="RULE",
            help="Leave out a rewrite rule of columnar, repeatable: fold_constants, "
            "drop_identities, unstack_reductions, pick_before_transposing, "
            "reshape_before_products, drop_dead_nodes, share_networks, filter_early, "
            "join_by_keys, limit_early, prune_columns, skip_row_groups, fold_batch_norm, "
            "fuse_normalizations, fuse_activations, activate_early, fuse_layers, "
            "fuse_bottlenecks, pipeline_networks.",
        ),
    ] = None,
    formulation: Annotated[
        str | None,
        typer.Option(help="How Velox is told the network.", show_default="its default one"),
    ] = None,
    algorithm: AlgorithmOption = "auto",
    precision: Annotated[
        str | None,
        typer.Option(
            help="In which columnar computes convolutions and dense layers: float32 or bfloat16.",
            show_default="float32",
        ),
    ] = None,
    functions: FunctionsOption = None,
    analyze: Annotated[
        bool, typer.Option("--analyze", help="Run it on random images, and show times.")
    ] = False,
    samples: Annotated[int, typer.Option(min=1, help="Images for --analyze and --trace.")] = 256,
    threads: OneThreadOption = 1,
    output_format: Annotated[str, choice(FORMATS, "--format")] = "text",
    trace: Annotated[
        OutputFile | None,
        new_file("Write a Chrome trace of columnar's run, for Perfetto; implies --analyze."),
    ] = None,
    timeout: TimeoutOption = 600.0,
) -> None:
    """Print the plan as Velox does, with the kernel, work and algorithm of every layer.

    Of the backend velox: the plans of its tasks, run in a worker process, with what is left out
    of long ones counted; --format json has all. On a terminal long lines are broken. Exit status:
    0 shown, 1 Velox failed, 2 wrong usage or Velox is not installed.
    """
    _check_algorithm(algorithm, precision)
    options = run_options(threads, timeout, algorithm=algorithm)
    left_out = _rules(without or ())
    graph = resolved(model, input_shape, left_out)
    if analyze or trace is not None:
        fixed_batch.batch_size(graph, samples, [samples], "--samples")
    if note := fixed_batch.note(graph):
        print(f"cnn-bench: {note}", file=sys.stderr)
    note = denormals_note(graph)
    if note:
        print(f"cnn-bench: warning: {note}", file=sys.stderr)
    shown = terminal.stream(trace)
    width = shutil.get_terminal_size().columns if shown.isatty() else None
    if backend == "velox":
        if fusion or left_out or trace or precision:
            raise UsageError(
                "--fusion, --precision, --without and --trace are of the backend columnar, not of "
                "velox"
            )
        from bench.explain import velox as velox_explain

        selection = velox_explain.formulation(formulation)
        options = replace(options, batch_size=samples if analyze else graph.batch or 1)
        try:
            run = velox_explain.run(graph, selection, options)
        except WorkerError as error:
            print(f"cnn-bench: velox: {error}", file=sys.stderr)
            raise typer.Exit(error.exit_code()) from None
        if output_format == "json":
            print(json.dumps(velox_explain.document(graph, run, analyze), indent=1))
        else:
            print(velox_explain.text(run, analyze, width))
        return
    if formulation is not None:
        raise UsageError("--formulation is of the backend velox: add --backend velox")
    from bench.explain import columnar as report
    from bench.explain import text as explain_text

    executable = report.executable_for(
        graph,
        *(fusion or "pipeline", algorithm, threads, samples, left_out),
        precision=precision or "float32",
    )
    analysis = None
    if analyze or trace is not None:
        analysis = report.analyze(executable, samples, trace)
    if output_format == "json":
        text = json.dumps(report.document(graph, executable, analysis), indent=1)
    else:
        text = explain_text.text(executable, analysis, width)
    print(text, file=shown)


def _check_algorithm(algorithm: str, precision: str | None) -> None:
    """Raises UsageError for another algorithm than the one there is in bfloat16."""
    if precision == BFLOAT16 and algorithm not in ("auto", "direct"):
        raise UsageError(
            f"--algorithm {algorithm} says nothing of --precision {BFLOAT16}, which convolves "
            "directly: leave one of the two out"
        )


def _rules(names: Sequence[str]) -> Sequence[str]:
    """The names, each that of a rewrite rule of graphs or plans; raises UsageError."""
    from columnar_nn.model import rewrites as graph_rewrites
    from columnar_nn.plan import rewrites

    known = (*graph_rewrites.NAMES, *rewrites.PLAN_RULES, *rewrites.RULES)
    for name in names:
        if name not in known:
            raise UsageError(f"--without {name!r}: choose from {', '.join(known)}")
    return names

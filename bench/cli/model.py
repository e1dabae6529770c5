"""`cnn-bench model`: networks and their layers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from bench.cli import terminal
from bench.cli.options import (
    FunctionsOption,
    InputShapeOption,
    ThreadsOption,
    TimeoutOption,
    run_options,
)
from bench.model import check as import_check
from bench.model import fixed_batch
from bench.model.check import ImportCheck
from bench.results.schema import finite
from bench.text.caveats import show_caveat
from bench.text.table_style import print_table, show_note, show_title, table
from columnar_nn.errors import UsageError, printable
from columnar_nn.model import input_shapes, precision, zoo
from columnar_nn.model.denormals import denormals_note
from columnar_nn.model.graph import Graph
from columnar_nn.model.layer_table import Layer, layers
from columnar_nn.model.operators import OPERATORS

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def commands() -> None:
    """List networks, show their layers; check how a file is read."""


@app.command("list")
def list_models(
    functions: FunctionsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the networks by name, and the operators that a network in a file may have."""
    networks = [_summary(name) for name in zoo.BUILDERS]
    if as_json:
        print(json.dumps({"networks": networks, "operators": sorted(OPERATORS)}, indent=1))
    else:
        _list(networks)


@app.command()
def show(
    model: Annotated[
        str, typer.Argument(help=f"{', '.join(zoo.BUILDERS)}, or a path to an .onnx file.")
    ],
    input_shape: InputShapeOption = None,
    functions: FunctionsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print a network's layers: type, output shape, window, parameters, multiply-accumulates."""
    graph = zoo.resolve(model, (), input_shapes.parse(input_shape or ()))
    found = layers(graph)
    if as_json:
        rows = [dataclasses.asdict(layer) for layer in found]
        totals = {"parameters": _parameters(found), "macs": _macs(found)}
        print(json.dumps({"name": graph.name, "layers": rows} | totals, indent=1))
    else:
        _show(graph, found)


@app.command("check")
def check_import(
    file: Annotated[str, typer.Argument(help="Path of an .onnx file.")],
    input_shape: InputShapeOption = None,
    threads: ThreadsOption = None,
    timeout: TimeoutOption = import_check.TIMEOUT_S,
    functions: FunctionsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Run a file and what was read of it side by side, and compare their outputs.

    Exit status: 0 equal, or not done, which is said; 1 misread; 2 wrong usage or no such file.
    """
    if not zoo.is_file(file):
        raise UsageError(f"{file!r} is no path of an .onnx file: only files are checked")
    graph = zoo.resolve(file, (), input_shapes.parse(input_shape or ()))
    found = import_check.check(Path(file), graph, run_options(threads, timeout))
    if as_json:
        print(json.dumps(finite(found.document()), indent=1))
    else:
        _show_check(found)
    raise typer.Exit(found.exit_code())


def _summary(name: str) -> dict[str, Any]:
    """What the list says of a network, which is forgotten at once: some are large."""
    graph = zoo.resolve(name)
    return {
        "name": name,
        "parameters": graph.num_parameters(),
        "macs": _macs(layers(graph)),
        "inputs": {spec.name: spec.shape for spec in graph.inputs},
        "weights": _weights(name),
    }


def _list(networks: Sequence[Mapping[str, Any]]) -> None:
    console = terminal.output()
    made = table("network", "parameters", "MACs/image", "input")
    made.add_column("weights", no_wrap=True)
    for network in networks:
        (shape,) = network["inputs"].values()
        made.add_row(
            network["name"],
            f"{network['parameters']:,}",
            f"{network['macs']:,}",
            _shape(shape),
            network["weights"],
        )
    print_table(console, made)
    show_note(console, "random: the same in every run; a network in a file has its own weights")
    show_title(console, f"A network in an .onnx file may have these {len(OPERATORS)} operators")
    console.print(escape(", ".join(sorted(OPERATORS))), highlight=False)


def _weights(name: str) -> str:
    """Where those of a network that is named come from."""
    return "trained on photo10" if (zoo.WEIGHTS / f"{name}.onnx").exists() else "random"


def _show_check(found: ImportCheck) -> None:
    """The verdict, then each output's largest difference."""
    console = terminal.output()
    print(found.line(), flush=True)
    if not found.outputs:
        return
    made = table("output", "shape", "max difference", "of tolerance", "depends on images")
    for output in found.outputs:
        made.add_row(
            escape(printable(output.name)),
            _shape(output.shape),
            f"{output.difference:.1e}",
            f"{output.allowed:.1e}",
            "yes" if output.says_something else "no",
        )
    print_table(console, made)
    show_note(
        console,
        f"on {found.images} images, photographs and noise, by {found.runner} {found.version}; "
        "max difference: as a share of the output's largest value; of tolerance: in the worst "
        "column, beyond 1 is misread",
    )


def _show(graph: Graph, found: Sequence[Layer]) -> None:
    """The layers as a table, the network's inputs above it and its totals at the end."""
    console = terminal.output()
    inputs = ", ".join(f"{spec.name} {_shape(spec.shape)}" for spec in graph.inputs)
    console.print(f"[bold]{escape(graph.name)}[/]: {escape(inputs)}\n", highlight=False)
    made = table("layer")
    for heading in ("type", "output", "window"):
        made.add_column(heading, no_wrap=True)
    for heading in ("parameters", "MACs/image"):
        made.add_column(heading, justify="right", no_wrap=True)
    for layer in found:
        made.add_row(
            escape(layer.name),
            layer.op_type,
            _shape(layer.output_shape),
            _window(layer),
            f"{layer.parameters:,}",
            f"{layer.macs:,}",
        )
    made.add_section()
    made.add_row("total", "", "", "", f"{_parameters(found):,}", f"{_macs(found):,}")
    print_table(console, made, ("window", "type"))
    if note := precision.note(graph):
        show_note(console, note)
    if note := fixed_batch.note(graph):
        show_note(console, note)
    note = denormals_note(graph)
    if note:
        show_caveat(console, "warning", note)
    show_note(console, "window: kernel / stride + padding, one figure where all sides are alike")


def _window(layer: Layer) -> str:
    if not layer.kernel:
        return ""
    kernel = "x".join(map(str, layer.kernel))
    return f"{kernel} /{_figures(layer.strides)} +{_figures(layer.pads)}"


def _figures(figures: Sequence[int]) -> str:
    """Figures separated by commas, or the one that all of them are."""
    return ",".join(map(str, figures)) if len(set(figures)) > 1 else str(figures[0])


def _shape(shape: Sequence[int | None]) -> str:
    return "x".join("N" if dimension is None else str(dimension) for dimension in shape)


def _parameters(found: Sequence[Layer]) -> int:
    return sum(layer.parameters for layer in found)


def _macs(found: Sequence[Layer]) -> int:
    return sum(layer.macs for layer in found)

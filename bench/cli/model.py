"""`cnn-bench model`: networks and their layers."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from typing import Annotated

import typer

from columnar_nn import models
from columnar_nn.graph import Graph
from columnar_nn.layer_table import Layer, layers

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)

HEADINGS = ("layer", "type", "output", "kernel", "stride", "pads", "parameters", "MACs an image")
FIRST_NUMBER = 6
"""Index of the first heading whose column is aligned right."""


@app.callback()
def commands() -> None:
    """Show networks and their layers."""


@app.command()
def show(
    model: Annotated[
        str, typer.Argument(help=f"{', '.join(models.BUILDERS)}, or a path to an .onnx file.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print a network's layers: type, output shape, window, parameters, multiply-accumulates."""
    graph = models.resolve(model)
    table = layers(graph)
    if as_json:
        rows = [dataclasses.asdict(layer) for layer in table]
        totals = {"parameters": _parameters(table), "macs": _macs(table)}
        print(json.dumps({"name": graph.name, "layers": rows} | totals, indent=1))
    else:
        print(_text(graph, table))


def _text(graph: Graph, table: Sequence[Layer]) -> str:
    """The table aligned in columns, with the network's inputs above and its totals below."""
    rows = [HEADINGS, *map(_row, table)]
    rows.append(("total", "", "", "", "", "", f"{_parameters(table):,}", f"{_macs(table):,}"))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.rjust(width) if index >= FIRST_NUMBER else cell.ljust(width)
            for index, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    inputs = ", ".join(f"{spec.name} {_shape(spec.shape)}" for spec in graph.inputs)
    rule = "-" * max(map(len, lines))
    return "\n".join([f"{graph.name}: {inputs}", lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _row(layer: Layer) -> tuple[str, ...]:
    return (
        layer.name,
        layer.op_type,
        _shape(layer.output_shape),
        "x".join(map(str, layer.kernel)),
        ",".join(map(str, layer.strides)),
        ",".join(map(str, layer.pads)),
        f"{layer.parameters:,}",
        f"{layer.macs:,}",
    )


def _shape(shape: Sequence[int | None]) -> str:
    return "x".join("N" if dimension is None else str(dimension) for dimension in shape)


def _parameters(table: Sequence[Layer]) -> int:
    return sum(layer.parameters for layer in table)


def _macs(table: Sequence[Layer]) -> int:
    return sum(layer.macs for layer in table)

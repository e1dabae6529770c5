"""`cnn-bench model`: networks and their layers."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape

from adapters.base import input_arrays
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
    ThreadsOption,
    TimeoutOption,
    resolved,
    run_options,
)
from bench.data.dataset import dataset_for
from bench.data.preparation import Preparation
from bench.files import atomic_folder
from bench.files.temporary import temporary_folder
from bench.golden.reduction import Reduction
from bench.golden.streamed_backend import StreamedBackend
from bench.model import check as import_check
from bench.model import fixed_batch
from bench.model.check import ImportCheck
from bench.results.schema import finite
from bench.text.caveats import show_caveat
from bench.text.figures import counted
from bench.text.table_style import print_table, show_note, show_title, table
from bench.verdict.status import SKIPPED
from bench.workers.selection import select_one
from columnar_nn.errors import UsageError, printable
from columnar_nn.model import precision, zoo
from columnar_nn.model.canonical import EXPRESSED
from columnar_nn.model.denormals import denormals_note
from columnar_nn.model.graph import Graph
from columnar_nn.model.layer_table import Layer, layers
from columnar_nn.model.operators import OPERATORS

app = typer.Typer(no_args_is_help=True, add_completion=False, rich_markup_mode=None)


@app.callback()
def commands() -> None:
    """List networks, show their layers; check how a file is read, and cut what fails down."""


@app.command("list")
def list_models(
    functions: FunctionsOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List the networks by name, and the operators that a network in a file may have."""
    networks = [_summary(name) for name in zoo.BUILDERS]
    if as_json:
        print(json.dumps({"networks": networks, "operators": _operators()}, indent=1))
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
    graph = resolved(model, input_shape)
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
    graph = resolved(file, input_shape)
    found = import_check.check(Path(file), graph, run_options(threads, timeout))
    if as_json:
        print(json.dumps(finite(found.document()), indent=1))
    else:
        _show_check(found)
    raise typer.Exit(found.exit_code())


@app.command("reduce")
def reduce_network(
    model: ModelArgument,
    *,
    backend: BackendOption,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="The new folder of what is left, a golden bundle; must not exist.",
            show_default="MODEL-smallest",
        ),
    ] = None,
    input_shape: InputShapeOption = None,
    data: DataOption = "photo10",
    split: SplitOption = "test",
    labels: LabelsOption = None,
    resize: ResizeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    count: Annotated[int, typer.Option(min=1, help="Number of images.")] = 8,
    algorithm: AlgorithmOption = "auto",
    functions: FunctionsOption = None,
    batch_size: BatchSizeOption = 32,
    threads: ThreadsOption = None,
    timeout: TimeoutOption = 180.0,
) -> None:
    """Cut a network that an engine gets wrong down to the smallest part that it still does.

    The engine runs in a process of its own, which may crash or hang. Ctrl-C keeps the smallest part
    so far. Exit status: 0 the engine is not wrong, 1 it is, 2 wrong usage, or an engine that is not
    installed.
    """
    name, folder = Path(model).name, out or Path(f"{Path(model).stem}-smallest")
    atomic_folder.check_absent(folder)
    graph = resolved(model, input_shape)
    fixed_batch.batch_size(graph, count, [count], "--count")
    prepared = Preparation.parse(labels, resize, mean, std)
    dataset = dataset_for(graph, data, count, split, prepared)
    show_and_warn(data, dataset, terminal.stream())
    (rows,) = dataset.batches(count, count)
    inputs = dict(zip(graph.columns, input_arrays(rows, graph), strict=True))
    selection = select_one(backend)
    options = run_options(threads, timeout, batch_size, algorithm)
    interrupted = False
    with (
        temporary_folder() as shared,
        terminal.progress() as show,
        closing(StreamedBackend(selection, options, shared)) as engine,
    ):
        reduction = Reduction(graph, inputs, engine)
        try:
            reduction.run(show)
        except KeyboardInterrupt:
            interrupted = True
    outcome = reduction.part.outcome
    if outcome.status == SKIPPED:
        raise UsageError(outcome.reason)
    found = printable(f"{selection.label} on {name}: {outcome}")
    if not outcome.is_wrong:
        print(f"nothing to reduce: {found}")
        return
    reduction.save(folder, f"a part of {name}", Path(data).name)
    print(found)
    _show_part(reduction, len(graph.nodes), folder)
    settings = f"--algorithm {algorithm} --batch-size {batch_size} --taps outputs"
    where = f"{shlex.quote(str(folder))} --backend {selection.label}"
    print(f"it shows again by: cnn-bench golden verify {where} {settings}")
    if interrupted:
        raise KeyboardInterrupt
    raise typer.Exit(1)


def _summary(name: str) -> dict[str, Any]:
    """What the list says of a network."""
    graph = zoo.outline(name)
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
    operators = _operators()
    show_title(console, f"A network in an .onnx file may have these {len(operators)} operators")
    console.print(escape(", ".join(operators)), highlight=False)


def _operators() -> list[str]:
    """All that a file may have, also those that become others."""
    return sorted(OPERATORS.keys() | EXPRESSED)


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


def _show_part(reduction: Reduction, whole: int, folder: Path) -> None:
    """What is left of a network of `whole` nodes, and where it is now."""
    part = reduction.part
    nodes = ", ".join(f"{node.name} ({node.op_type})" for node in part.graph.nodes)
    print(
        f"{counted(len(part.graph.nodes), 'node')} of {whole} left after "
        f"{counted(reduction.trials, 'part')} tried: {printable(nodes)}"
    )
    shapes = [_shape(array.shape[1:]) for array in part.inputs.values()]
    inputs = f"{part.num_rows} inputs of {' and '.join(shapes)}"
    print(f"{folder}: a golden bundle, its network model.onnx, {inputs}")


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

"""`cnn-bench train`: a network's weights, learnt with PyTorch."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

import typer

from bench.cli import terminal
from bench.cli.data_options import (
    LabelsOption,
    MeanOption,
    ResizeOption,
    StdOption,
    show_data,
)
from bench.cli.options import DataOption, InputShapeOption, finite, new_file
from bench.cli.saving import save
from bench.data.dataset import dataset_for
from bench.data.preparation import Preparation
from bench.files.output import OutputFile
from bench.training.train import Recipe, check_trainable, evaluate
from bench.training.train import train as train_graph
from columnar_nn.errors import UsageError
from columnar_nn.model import input_shapes, onnx_io, zoo
from columnar_nn.model.graph import Graph
from columnar_nn.model.input_shapes import Sizes

_DEFAULT = Recipe()


def train(
    *,
    out: Annotated[
        OutputFile,
        new_file("The .onnx file to write; - is standard output."),
    ],
    model: Annotated[
        str,
        typer.Option(help="Network to train from random weights, or an .onnx file to go on with."),
    ] = "plain9",
    input_shape: InputShapeOption = None,
    data: DataOption = "photo10",
    labels: LabelsOption = None,
    resize: ResizeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    seed: Annotated[int, typer.Option(help="Draws the order of the images.")] = _DEFAULT.seed,
    crops: Annotated[
        int,
        typer.Option(min=0, help="Small crops shown to the layers before the last convolution."),
    ] = _DEFAULT.crops,
    images: Annotated[
        int, typer.Option(min=0, help="Images shown to the whole network.")
    ] = _DEFAULT.images,
    batch_size: Annotated[int, typer.Option(min=2)] = _DEFAULT.batch_size,
    learning_rate: Annotated[
        float, typer.Option(min=0.0, callback=finite)
    ] = _DEFAULT.learning_rate,
    threads: Annotated[
        int, typer.Option(min=1, help="Threads of PyTorch; another number rounds otherwise.")
    ] = _DEFAULT.threads,
) -> None:
    """Train a network with PyTorch and write it as ONNX.

    The network learns from the data's training split; its accuracy on the test split is printed.
    A mean and standard deviation are written into its metadata.
    Without options: how the weights of plain9 that come with cnn-bench were made.
    """
    recipe = Recipe(
        seed=seed,
        threads=threads,
        batch_size=batch_size,
        crops=crops,
        images=images,
        learning_rate=learning_rate,
    )
    graph = _untrained(model, input_shapes.parse(input_shape or ()))
    check_trainable(graph)
    prepared = Preparation.parse(labels, resize, mean, std)
    test = dataset_for(graph, data, preparation=prepared)
    training = dataset_for(graph, data, split="train", preparation=prepared)
    for warning in (*show_data(data, training, terminal.stream(out)), test.warning):
        if warning:
            print(f"cnn-bench: {warning}", file=sys.stderr)
    if prepared.normalization is not None:
        graph = replace(graph, metadata={**graph.metadata, **prepared.normalization.metadata})
    with terminal.progress() as move:

        def show(stage: str, step: int, steps: int, loss: float) -> None:
            move(step, steps, f"{stage}, loss {loss:.3f}")

        trained = train_graph(graph, training, recipe, show)
    result = evaluate(trained, test)
    shown = terminal.stream(out)
    accuracy = f"accuracy {result.accuracy:.1%} on {test.num_rows:,} images of {test.name}"
    unsaved = save(out, onnx_io.to_proto(trained).SerializeToString(deterministic=True))
    print(f"{'trained' if unsaved else f'wrote {out}'}: {accuracy}", file=shown)
    if result.dead_channels:
        print(f"dead channels: {', '.join(result.dead_channels)}", file=shown)
    raise typer.Exit(unsaved)


def _untrained(model: str, shapes: Mapping[str, Sizes]) -> Graph:
    """A network with its random weights, or a file as it is."""
    if zoo.is_file(model):
        return zoo.resolve(model, (), shapes)
    if shapes:
        raise UsageError(f"--input-shape: {model} has its sizes; it is for .onnx files")
    return zoo.build(model)

"""`cnn-bench train`: a network's weights, learnt with PyTorch."""

from __future__ import annotations

from typing import Annotated

import typer

from bench.cli import terminal
from bench.cli.options import new_file
from bench.cli.saving import save
from bench.data.dataset import open_dataset
from bench.files.output import OutputFile
from bench.training.train import Recipe, evaluate
from bench.training.train import train as train_graph
from columnar_nn.model import onnx_io, zoo

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
    data: Annotated[
        str,
        typer.Option(
            help="photo10, synthetic, or a path: folder of images, CIFAR-10, .npz, .parquet."
        ),
    ] = "photo10",
    seed: Annotated[int, typer.Option(help="Draws the order of the images.")] = _DEFAULT.seed,
    crops: Annotated[
        int,
        typer.Option(min=0, help="Small crops shown to the layers before the last convolution."),
    ] = _DEFAULT.crops,
    images: Annotated[
        int, typer.Option(min=0, help="Images shown to the whole network.")
    ] = _DEFAULT.images,
    batch_size: Annotated[int, typer.Option(min=2)] = _DEFAULT.batch_size,
    learning_rate: Annotated[float, typer.Option(min=0.0)] = _DEFAULT.learning_rate,
    threads: Annotated[
        int, typer.Option(min=1, help="Threads of PyTorch; another number rounds otherwise.")
    ] = _DEFAULT.threads,
) -> None:
    """Train a network with PyTorch and write it as ONNX.

    The network learns from the data's training split; its accuracy on the test split is printed.
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
    graph = onnx_io.load(model) if model.endswith(".onnx") else zoo.build(model)
    test = open_dataset(data)
    training = open_dataset(data, split="train")
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

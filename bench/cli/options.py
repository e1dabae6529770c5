"""The options that several commands share: each is worded, and its value checked, once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated

import typer

from bench.files.output import OutputFile
from columnar_nn.errors import UsageError
from columnar_nn.model import zoo

ALGORITHMS = ("auto", "direct", "winograd")

_MODELS = f"{', '.join(zoo.BUILDERS)}, or the path of an .onnx file."
_NAME = "NAME[:CONFIGURATION]"


def one_of(choices: Sequence[str]) -> Callable[[typer.CallbackParam, str], str]:
    """A callback that refuses any other value; it raises UsageError."""

    def check(parameter: typer.CallbackParam, value: str) -> str:
        if value not in choices:
            raise UsageError(f"{_name(parameter)} {value!r}: choose from {', '.join(choices)}")
        return value

    return check


def writable(parameter: typer.CallbackParam, file: OutputFile | None) -> OutputFile | None:
    """A callback that refuses a file that could not be written, before any work is done for it."""
    if file is not None:
        try:
            file.check()
        except UsageError as error:
            raise UsageError(f"{_name(parameter)} {file.name}: {error}") from None
    return file


def _name(parameter: typer.CallbackParam) -> str:
    return str(parameter.opts[0])


ModelArgument = Annotated[str, typer.Argument(help=_MODELS)]
ModelOption = Annotated[str, typer.Option(help=_MODELS)]
DataOption = Annotated[
    str,
    typer.Option(
        help="photo10, synthetic, or CIFAR-10 in its binary format: folder, file, archive."
    ),
]
EngineOption = Annotated[
    str, typer.Option(metavar=_NAME, help="One engine, or the dotted path of a Backend class.")
]
EnginesOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar=_NAME,
        help="An engine, repeatable; its default and best configuration unless one is named.",
        show_default="every engine",
    ),
]
AlgorithmOption = Annotated[
    str,
    typer.Option(
        help=f"Convolution in the columnar engine: {', '.join(ALGORITHMS)}.",
        callback=one_of(ALGORITHMS),
    ),
]
BatchSizeOption = Annotated[
    int, typer.Option(min=1, help="Images in a batch; fewer images make one batch.")
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(help="Threads, each pinned to a CPU.", show_default="all physical cores"),
]
OneThreadOption = Annotated[int, typer.Option(help="Threads, each pinned to a CPU.")]
RunsOption = Annotated[int, typer.Option(min=1, help="Timed runs of a cell, at least.")]
MinTimeOption = Annotated[
    float, typer.Option(min=0, help="Seconds of timed runs of a cell, at least.")
]
TimeoutOption = Annotated[
    float, typer.Option(min=0.1, help="Seconds after which an engine counts as hanging.")
]
SeedOption = Annotated[
    int | None, typer.Option(help="Of the random order of measurements.", show_default="a new one")
]
ImportCheckOption = Annotated[
    bool,
    typer.Option(
        help="Hold what was read of an .onnx file against the file itself, run by ONNX Runtime."
    ),
]
RtolOption = Annotated[
    list[str] | None,
    typer.Option(metavar="[TENSOR:]VALUE", help="Replaces the relative tolerance; repeatable."),
]
AtolOption = Annotated[
    list[str] | None,
    typer.Option(metavar="[TENSOR:]VALUE", help="Replaces the absolute tolerance; repeatable."),
]
JsonOption = Annotated[
    OutputFile | None,
    typer.Option(
        metavar="FILE",
        help="Write everything as JSON; - is standard output, tables go to standard error then.",
        parser=OutputFile,
        callback=writable,
    ),
]

"""The options that several commands share: each is worded, read and checked once."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from adapters import declared_functions
from bench.files.output import OutputFile
from bench.machine import cpus
from bench.study import values
from bench.workers.options import ALGORITHMS, Options
from columnar_nn.errors import UsageError
from columnar_nn.model import input_shapes, zoo
from columnar_nn.model.graph import Graph

_MODELS = f"{', '.join(zoo.BUILDERS)}, or the path of an .onnx file."
_ONLY_ONE = "this takes one value; for several: cnn-bench sweep"
_NAME = "NAME[:CONFIGURATION]"
WHOLE = "<int range>"
"""A positive whole number in the help, as Typer calls it, of options that check it themselves."""


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


def run_options(
    threads: int | None, timeout: float, batch_size: int = 1, algorithm: str = "auto"
) -> Options:
    """How a command runs its backends, from the options of these names; raises UsageError."""
    return Options(cpus.choose(threads), timeout, batch_size, algorithm)


def resolved(model: str, input_shape: Sequence[str] | None, without: Collection[str] = ()) -> Graph:
    """The network that --model means, sizes that its file leaves free as --input-shape has them."""
    return zoo.resolve(model, without, input_shapes.parse(input_shape or ()))


def parse_samples(text: str) -> tuple[int, ...]:
    """Numbers of samples from "1,10,100", ascending, each once; raises UsageError."""
    try:
        counts = sorted({int(part) for part in text.split(",")})
    except ValueError:
        counts = []
    if not counts or counts[0] < 1:
        raise UsageError(
            f"--samples {text!r}: expected positive whole numbers such as 1,10,100; cnn-bench "
            "sweep takes ranges"
        )
    return tuple(counts)


def at_least_one(parameter: typer.CallbackParam, value: int) -> int:
    """A callback that refuses 0 and less."""
    if value < 1:
        raise UsageError(f"{_name(parameter)} {value}: give at least 1")
    return value


def finite(parameter: typer.CallbackParam, value: float | None) -> float | None:
    """A callback that refuses infinity: as seconds it is no time to wait, and JSON lacks it."""
    if value is not None and math.isinf(value):
        raise UsageError(f"{_name(parameter)} {value}: give a finite number")
    return value


def seed_or_new(seed: int | None) -> int:
    """The seed that was given, else a random one."""
    return random.randrange(2**31) if seed is None else seed


def choice(choices: Sequence[str], *names: str) -> Any:
    """An option that takes one of a few words; `names` are for another than its parameter's."""
    return typer.Option(*names, help=f"{' or '.join(choices)}.", callback=one_of(choices))


def new_file(text: str) -> Any:
    """An option that names a file to be written; `text` is its help."""
    return typer.Option(metavar="FILE", help=text, parser=OutputFile, callback=writable)


def _declare(files: list[str] | None) -> list[str] | None:
    """A callback that runs files for the functions that they declare."""
    if files:
        declared_functions.load(files)
    return files


def _name(parameter: typer.CallbackParam) -> str:
    return str(parameter.opts[0])


def _one(parameter: typer.CallbackParam, value: str) -> str:
    """A callback that refuses a list of networks."""
    if "," in value and not Path(value).exists():
        raise UsageError(f"{_name(parameter)} {value}: {_ONLY_ONE} {_name(parameter)} {value}")
    return value


def one_number(name: str) -> Callable[[str], int]:
    """A parser of a positive number, which says of a list what takes one."""

    def parse(text: str) -> int:
        try:
            return int(text)
        except ValueError:
            pass
        try:
            values.numbers(name, text)
        except UsageError:
            raise typer.BadParameter(f"{text!r} is not a whole number.") from None
        raise UsageError(f"{name} {text}: {_ONLY_ONE} {name} {text}")

    return parse


ModelArgument = Annotated[str, typer.Argument(help=_MODELS)]
ModelOption = Annotated[str, typer.Option(help=_MODELS, callback=_one)]
InputShapeOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[NAME:]HxW",
        help="Sizes that an .onnx file leaves free, of one of several inputs by its NAME.",
    ),
]
DataOption = Annotated[
    str,
    typer.Option(
        help="photo10, synthetic, or a path: folder of images, CIFAR-10 or -100, .npz, .parquet."
    ),
]
BackendOption = Annotated[
    str, typer.Option(metavar=_NAME, help="One engine, or the dotted path of a Backend class.")
]
BackendsOption = Annotated[
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
    int,
    typer.Option(
        metavar=WHOLE,
        parser=one_number("--batch-size"),
        callback=at_least_one,
        help="Images in a batch; fewer images make one batch.",
    ),
]
ThreadsOption = Annotated[
    int | None,
    typer.Option(
        metavar=WHOLE,
        parser=one_number("--threads"),
        help="Threads, each pinned to a CPU.",
        show_default="all physical cores",
    ),
]
OneThreadOption = Annotated[int, typer.Option(metavar=WHOLE, help="Threads, each pinned to a CPU.")]
RunsOption = Annotated[int, typer.Option(min=1, help="Timed runs of a cell, at least.")]
MinTimeOption = Annotated[
    float,
    typer.Option(min=0, callback=finite, help="Seconds of timed runs of a cell, at least."),
]
TimeoutOption = Annotated[
    float,
    typer.Option(min=0.1, callback=finite, help="Seconds after which an engine counts as hanging."),
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
FunctionsOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE",
        help="Python that declares functions of one's own, repeatable; it is run.",
        callback=_declare,
    ),
]
StrictOption = Annotated[
    bool,
    typer.Option("--strict", help="Exit with 1 if other processes disturbed a measurement."),
]
RtolOption = Annotated[
    list[str] | None,
    typer.Option(metavar="[TENSOR:]VALUE", help="Replaces the relative tolerance; repeatable."),
]
AtolOption = Annotated[
    list[str] | None,
    typer.Option(metavar="[TENSOR:]VALUE", help="Replaces the absolute tolerance; repeatable."),
]
FilesArgument = Annotated[
    list[Path],
    typer.Argument(
        metavar="FILE...",
        help="Results: JSON, a journal, a folder of these, or one of Parquet or Arrow files.",
    ),
]
LabelOption = Annotated[
    str | None, typer.Option(metavar="NAME", help="Names this machine in the results.")
]
JsonOption = Annotated[
    OutputFile | None,
    new_file("Write everything as JSON; - is standard output, tables go to standard error then."),
]

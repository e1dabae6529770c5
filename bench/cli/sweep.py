"""`cnn-bench sweep`: engines compared over lists and ranges of everything."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.data_options import (
    LabelsOption,
    MeanOption,
    ResizeOption,
    SplitOption,
    StdOption,
)
from bench.cli.options import (
    AlgorithmOption,
    AtolOption,
    DataOption,
    FunctionsOption,
    ImportCheckOption,
    InputShapeOption,
    LabelOption,
    MinTimeOption,
    RtolOption,
    RunsOption,
    StrictOption,
    TimeoutOption,
    finite,
)
from bench.cli.studying import OnlyOption, RerunOption, ShardOption, measure
from bench.study.plan import make
from bench.study.study import Study

_NUMBERS = "1,2,4 or 1-8+1 or 1-1000*10"


def _list(text: str, default: str) -> Any:
    return typer.Option(metavar="LIST", help=text, show_default=default)


def sweep(
    *,
    model: Annotated[
        str | None,
        _list("Networks; also as vgg16@resolution=64, plain9@width=2@depth=2.", "plain9"),
    ] = None,
    input_shape: InputShapeOption = None,
    data: DataOption = "photo10",
    split: SplitOption = "test",
    labels: LabelsOption = None,
    resize: ResizeOption = None,
    mean: MeanOption = None,
    std: StdOption = None,
    backend: Annotated[
        list[str] | None,
        typer.Option(metavar="LIST", help="Engines, repeatable.", show_default="every engine"),
    ] = None,
    samples: Annotated[
        str | None, _list(f"Numbers of images: {_NUMBERS}.", "1,10,100,1000")
    ] = None,
    batch_size: Annotated[str | None, _list("Images in a batch.", "128")] = None,
    threads: Annotated[
        str | None, _list("Threads of each process, each pinned to a CPU.", "all physical cores")
    ] = None,
    processes: Annotated[
        str | None, _list("Processes that share the images of a run.", "1")
    ] = None,
    cores: Annotated[
        str | None,
        _list("Budgets of cores, split in all ways into processes and threads.", "none"),
    ] = None,
    partitions: Annotated[
        str | None,
        _list("Parts of the images that processes are dealt: 4, or skewed 4:zipf.", "none"),
    ] = None,
    zip_axes: Annotated[
        list[str] | None,
        typer.Option(
            "--zip",
            metavar="AXES",
            help="Axes that step together, such as threads,processes; repeatable.",
            show_default="all are crossed",
        ),
    ] = None,
    runs: RunsOption = 5,
    min_time: MinTimeOption = 0.3,
    budget: Annotated[
        float,
        typer.Option(
            min=0, callback=finite, help="Seconds of a cell's timed runs, about, at most."
        ),
    ] = 2.0,
    timeout: TimeoutOption = 180.0,
    algorithm: AlgorithmOption = "auto",
    rtol: RtolOption = None,
    atol: AtolOption = None,
    functions: FunctionsOption = None,
    sessions: Annotated[
        int, typer.Option(min=1, help="Times that all is measured, by new processes.")
    ] = 1,
    seed: Annotated[
        int | None, typer.Option(min=0, help="Of the random order.", show_default="the sweep's own")
    ] = None,
    only: OnlyOption = None,
    shard: ShardOption = "",
    rerun: RerunOption = False,
    import_check: ImportCheckOption = True,
    strict: StrictOption = False,
    label: LabelOption = None,
    out: Annotated[
        Path,
        typer.Option(metavar="DIR", help="Folder of the results; what is in it is not repeated."),
    ],
) -> None:
    """Compare engines over lists and ranges: every combination, in random order, resumable.

    Prints the plan with its predicted time, then measures what DIR lacks of it: after an
    interruption the same command goes on from there. Exit status: 0 all outputs agree with the
    reference, 1 one does not, an engine failed, or nothing of one was run, 2 wrong usage or a full
    disk.
    """
    given = {
        "model": model,
        "backend": backend,
        "samples": samples,
        "batch_size": batch_size,
        "threads": threads,
        "processes": processes,
        "cores": cores,
        "partitions": partitions,
    }
    images = {
        "input_shape": input_shape,
        "labels": None if labels is None else str(labels),
        "resize": resize,
        "mean": mean,
        "std": std,
    }
    document = {
        "axes": {axis: value for axis, value in given.items() if value},
        "zip": [text.replace("-", "_").split(",") for text in zip_axes or ()],
        "data": data,
        "split": split,
        **{name: value for name, value in images.items() if value},
        "runs": runs,
        "min_time": min_time,
        "budget": budget,
        "timeout": timeout,
        "algorithm": algorithm,
        "rtol": rtol or [],
        "atol": atol or [],
        "functions": functions or [],
        "sessions": sessions,
        **({} if seed is None else {"seed": seed}),
    }
    plan = make(Study.of(document), only or (), shard)
    raise typer.Exit(measure(plan, out, "sweep", import_check, strict, label, rerun=rerun))

"""`cnn-bench doctor`: what this machine can show, and what would help."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from bench.cli import terminal
from bench.cli.options import JsonOption, LabelOption, ThreadsOption, TimeoutOption, run_options
from bench.cli.saving import save
from bench.data.dataset import open_dataset
from bench.doctor import report
from bench.doctor.observation import DATA, IMAGES, MODEL, observe
from bench.doctor.recording import record
from bench.files.temporary import temporary_folder
from bench.results.document import to_json
from bench.results.recording import Recorder
from bench.results.session import Session, Workloads
from bench.workers.process import WorkerError
from columnar_nn.model import zoo


def doctor(
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long to watch.")] = 20.0,
    threads: ThreadsOption = None,
    timeout: TimeoutOption = 60.0,
    label: LabelOption = None,
    json: JsonOption = None,
) -> None:
    """Measure what this machine can show: which changes of speed are more than noise.

    Nothing on it is changed. Exit status: 0 measured, 1 the engine failed, 2 wrong usage.
    """
    options = run_options(threads, timeout, IMAGES)
    settings = {
        "seconds": seconds,
        "threads": options.threads,
        "cpus": list(options.cpus),
        "timeout_s": timeout,
    }
    session = Session("doctor", settings, options.cpus, label=label)
    try:
        with temporary_folder() as folder, terminal.progress() as show:
            seen = observe(seconds, options, folder, show)
    except WorkerError as error:
        print(f"cnn-bench: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code()) from None
    graph = zoo.resolve(MODEL)
    recorder = Recorder(session, Workloads(graph, open_dataset(DATA, IMAGES).fitted_to(graph)))
    record(seen, recorder, options)
    results = recorder.results(seen.complete)
    report.show(results, terminal.output(json))
    raise typer.Exit(save(json, to_json(results)))

"""`cnn-bench backends`: which engines there are, and what it takes to use them."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Sequence
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from adapters import registry
from adapters.base import Backend
from bench.cli import terminal
from bench.cli.options import (
    BackendsOption,
    JsonOption,
    ThreadsOption,
    TimeoutOption,
    run_options,
)
from bench.cli.saving import save
from bench.cli.signals import EXIT_INTERRUPTED
from bench.data.dataset import open_dataset
from bench.ease import installation
from bench.ease.measure import measure
from bench.ease.recording import record
from bench.files.output import OutputFile
from bench.files.temporary import temporary_folder
from bench.machine import environment
from bench.report import ease
from bench.results.document import to_json
from bench.results.recording import Recorder
from bench.results.results import Results
from bench.results.session import Session, Workloads
from bench.text.table_style import print_table, show_note, show_title, table
from bench.verdict.status import UNSUCCESSFUL
from bench.workers import inputs
from bench.workers.options import Options
from bench.workers.selection import Selection, select_one
from columnar_nn.errors import UsageError
from columnar_nn.model import zoo

MODEL, DATA = "plain9", "photo10"

_ROLES = {"default": "default", "best": "best", "variant": "named"}


def backends(
    *,
    backend: BackendsOption = None,
    measured: Annotated[
        bool,
        typer.Option(
            "--measure", help="Measure what it takes to use each: a minute or two for all."
        ),
    ] = False,
    threads: ThreadsOption = None,
    timeout: TimeoutOption = 180.0,
    json: JsonOption = None,
) -> None:
    """List every engine and configuration, installed or not.

    With --measure say what it takes to use each: packages, megabytes, seconds to start, code,
    settings, operators, and its words about a mistake. Exit status: 0 listed or measured, 1 an
    engine failed, 2 wrong usage.
    """
    if json is not None and not measured:
        raise UsageError("--json keeps what --measure measures: add --measure, or leave --json out")
    names = backend or [*registry.BACKENDS]
    if measured:
        selections = [*dict.fromkeys(map(select_one, names))]
        raise typer.Exit(_measure(selections, run_options(threads, timeout), json))
    console = terminal.output()
    for name in dict.fromkeys(name.partition(":")[0] for name in names):
        _list(console, name, registry.load(name))
    show_note(
        console,
        "default, best: what compare runs without being asked; named: only if it is, such as "
        "--backend pytorch:compile",
    )


def _list(console: Console, name: str, backend: type[Backend]) -> None:
    version = installation.version(backend)
    installed = version or f"not installed: {installation.install_command(backend)}"
    console.print(f"[bold]{escape(name)}[/]  {escape(installed)}", highlight=False)
    made = Table.grid(Column(no_wrap=True), Column(no_wrap=True), Column(), padding=(0, 0, 0, 2))
    for configuration, details in backend.configurations.items():
        made.add_row(configuration, _ROLES[details.role], escape(details.description))
    console.print(made)


def _measure(selections: Sequence[Selection], options: Options, json: OutputFile | None) -> int:
    """Measures, prints and saves; returns the exit status."""
    graph = zoo.resolve(MODEL)
    dataset = open_dataset(DATA).fitted_to(graph)
    settings = {
        "model": MODEL,
        "data": DATA,
        "backends": [selection.label for selection in selections],
        "threads": options.threads,
        "cpus": list(options.cpus),
        "timeout_s": options.timeout,
    }
    session = Session(
        "backends", settings, options.cpus, warnings=environment.warnings(options.cpus)
    )
    recorder = Recorder(session, Workloads(graph, dataset))
    complete = False
    with temporary_folder() as folder, terminal.progress() as show:
        data = inputs.prepare(folder, graph, dataset, 1, 1)
        with contextlib.suppress(KeyboardInterrupt):
            record(measure(selections, data, options, folder, show), recorder, options)
            complete = True
    results = recorder.results(complete)
    _show(results, terminal.output(json))
    unsaved = save(json, to_json(results))
    if not complete:
        print("cnn-bench: interrupted before the end", file=sys.stderr)
        return EXIT_INTERRUPTED
    failed = any(cell["status"] in UNSUCCESSFUL for cell in results["cell"])
    return unsaved or int(failed)


def _show(results: Results, console: Console) -> None:
    """The figures as a table, the words as lines: they are as long as engines make them."""
    figures, words = ease.ease(results)
    show_title(console, figures.title)
    made = table(*figures.headings)
    for row in figures.rows:
        made.add_row(*map(escape, row))
    print_table(console, made)
    show_note(console, figures.note)
    for place, heading in enumerate(words.headings[1:], 1):
        show_title(console, heading)
        for row in words.rows:
            console.print(f"{escape(row[0])}: {escape(row[place])}", highlight=False)
    show_note(console, words.note)

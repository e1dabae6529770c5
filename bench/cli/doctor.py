"""`cnn-bench doctor`: what this machine can show, and what would help."""

from __future__ import annotations

import sys
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from bench.cli import terminal
from bench.cli.options import ThreadsOption, TimeoutOption, run_options
from bench.doctor import findings
from bench.doctor.observation import IMAGES, observe
from bench.doctor.resolution import resolution
from bench.files.temporary import temporary_folder
from bench.machine import environment
from bench.text.table_style import show_title
from bench.workers.process import WorkerError


def doctor(
    seconds: Annotated[float, typer.Option(min=1, max=3600, help="How long to watch.")] = 20.0,
    threads: ThreadsOption = None,
    timeout: TimeoutOption = 60.0,
) -> None:
    """Measure what this machine can show: which changes of speed are more than noise.

    Nothing on it is changed. Exit status: 0 measured, 1 the engine failed, 2 wrong usage.
    """
    options = run_options(threads, timeout, IMAGES)
    try:
        with temporary_folder() as folder, terminal.progress() as show:
            seen = observe(seconds, options, folder, show)
    except WorkerError as error:
        print(f"cnn-bench: {error}", file=sys.stderr)
        raise typer.Exit(error.exit_code()) from None
    console, machine = terminal.output(), environment.machine()
    made = Table.grid(Column(no_wrap=True), Column(), padding=(0, 0, 0, 2))
    for name, text in findings.facts(machine, options.cpus, seen):
        made.add_row(name, escape(text))
    console.print(made)
    show_title(console, "What it can show")
    for line in findings.verdict(resolution(seen.pairs), seen):
        console.print(escape(line), highlight=False)
    advice = [*findings.advice(machine, options.cpus, seen)]
    if advice:
        show_title(console, "What would help")
        for line in advice:
            console.print(escape(f"- {line}"), highlight=False)

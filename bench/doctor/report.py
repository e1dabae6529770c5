"""What was observed on the terminal: facts, what the machine can show, what would help."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from bench.doctor import findings
from bench.doctor.recording import observation
from bench.doctor.resolution import resolution
from bench.results.results import Results
from bench.text.table_style import show_title
from columnar_nn.errors import InvalidDataError


def show(results: Results, console: Console) -> None:
    """Prints one session; raises InvalidDataError if it is none of doctor."""
    seen = observation(results)
    (machine,), (session,) = results["machine"], results["session"]
    settings = session["settings"]
    chosen = settings.get("cpus") if isinstance(settings, dict) else None
    if not isinstance(chosen, list):
        raise InvalidDataError("this session cannot be shown as one of doctor")
    made = Table.grid(Column(no_wrap=True), Column(), padding=(0, 0, 0, 2))
    for name, text in findings.facts(machine, chosen, seen):
        made.add_row(name, escape(text))
    console.print(made)
    show_title(console, "What it can show")
    for line in findings.verdict(resolution(seen.pairs), seen):
        console.print(escape(line), highlight=False)
    advice = [*findings.advice(machine, chosen, seen)]
    if advice:
        show_title(console, "What would help")
        for line in advice:
            console.print(escape(f"- {line}"), highlight=False)

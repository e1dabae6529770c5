"""How tables of figures look: one style, at most 100 columns, no figure ever cut."""

from __future__ import annotations

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

WIDTH = 100


def show_title(console: Console, title: str) -> None:
    """A blank line and a heading."""
    console.print(f"\n[bold]{escape(title)}[/]", highlight=False)


def show_note(console: Console, text: str) -> None:
    """What a table's reader must know, below it."""
    console.print(text, style="dim", highlight=False)


def table(name: str, *headings: str) -> Table:
    """A table of figures: the rows' names to the left, figures to the right."""
    made = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 0, 0, 1))
    made.add_column(name, no_wrap=True)
    for heading in headings:
        made.add_column(heading, justify="right", no_wrap=True)
    return made


def print_table(console: Console, made: Table) -> None:
    """Prints a table wider than the console if need be."""
    width = console.width
    needed = Measurement.get(console, console.options.update(max_width=10 * WIDTH), made).maximum
    console.width = max(width, needed)
    console.print(made)
    console.width = width


def milliseconds(seconds: float) -> str:
    """Milliseconds with at least three significant digits, never an exponent."""
    value = seconds * 1e3
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{decimals}f}"

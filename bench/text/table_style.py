"""How tables of figures look: one style, as wide as the console, no figure ever cut."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Column, Table

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


def print_table(console: Console, made: Table, spare: Sequence[str] = (), names: int = 1) -> None:
    """Prints a table in the console's width.

    Where it is too wide, columns headed `spare` are left out, in this order, and named below it.
    Other columns that do not fit come in a further table, beside the rows' names once more: the
    first columns, as many as `names`. One that does not fit even so is printed wider than the
    console.
    """
    width = console.width
    left_out: list[str] = []
    present = [column.header for column in made.columns]
    for heading in filter(present.__contains__, spare):
        if _width(console, made) <= width:
            break
        left_out.append(heading)
        made = _of_columns(made, [c for c in made.columns if c.header != heading])
    for index, part in enumerate(_fitting(console, made, names)):
        if index:
            console.print()
        console.width = max(width, _width(console, part))
        console.print(part)
        console.width = width
    if left_out:
        show_note(console, f"left out for want of columns, in JSON: {', '.join(left_out)}")


def _fitting(console: Console, made: Table, names: int) -> Iterator[Table]:
    """The table, or several that fit the console; its first columns are in all of them."""
    taken = made.columns[:names]
    for column in made.columns[names:]:
        whole = _of_columns(made, [*taken, column])
        if len(taken) > names and _width(console, whole) > console.width:
            yield _of_columns(made, taken)
            taken = made.columns[:names]
        taken = [*taken, column]
    yield _of_columns(made, taken)


def _width(console: Console, made: Table) -> int:
    """Columns of text that a table needs."""
    options = console.options.update(max_width=10 * WIDTH)
    return Measurement.get(console, options, made).maximum


def _of_columns(made: Table, columns: Sequence[Column]) -> Table:
    """A table of some of another one's columns."""
    found = Table(
        box=made.box,
        show_edge=made.show_edge,
        pad_edge=made.pad_edge,
        padding=made.padding,
        header_style=made.header_style,
    )
    for column in columns:
        found.add_column(
            column.header, justify=column.justify, no_wrap=True, max_width=column.max_width
        )
    for row, cells in zip(made.rows, zip(*(c.cells for c in columns), strict=True), strict=True):
        found.add_row(*cells, end_section=row.end_section)
    return found

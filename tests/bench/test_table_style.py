"""Tables fit the console: columns are left out, and said to be, or come in a further table."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from bench.text.caveats import show_narrow
from bench.text.table_style import print_table, table


def printed(width: int, *spare: str, names: int = 1) -> list[str]:
    made = table("row", *(f"column{n}" for n in range(4)))
    made.add_row("first", "[red]1[/]", "2", "3", "4", end_section=True)
    made.add_row("second", "5", "6", "7", "8.0")
    output = io.StringIO()
    print_table(Console(file=output, width=width), made, spare, names)
    return [line.rstrip() for line in output.getvalue().splitlines()]


def cells(lines: list[str]) -> list[list[str]]:
    return [line.split() for line in lines if line.startswith(("row", "first", "second"))]


def test_what_fits_is_printed_whole() -> None:
    lines = printed(42, "column0")
    assert cells(lines) == [
        ["row", "column0", "column1", "column2", "column3"],
        ["first", "1", "2", "3", "4"],
        ["second", "5", "6", "7", "8.0"],
    ]
    assert lines[3] == "", "a section ends there"
    assert not any("left out" in line for line in lines)


@pytest.mark.parametrize(
    ("width", "left_out", "kept"),
    [(36, ["column2"], [0, 1, 3]), (27, ["column2", "column0"], [1, 3])],
)
def test_spare_columns_go_first_and_are_named(
    width: int, left_out: list[str], kept: list[int]
) -> None:
    lines = printed(width, "absent", "column2", "column0", "column1")
    heading, first, _ = cells(lines)
    assert heading == ["row", *(f"column{n}" for n in kept)]
    assert first == ["first", *(str(n + 1) for n in kept)]
    said = " ".join(" ".join(lines).split())
    assert said.endswith(f"left out for want of columns, in JSON: {', '.join(left_out)}")


def test_other_columns_come_in_a_further_table() -> None:
    lines = printed(30)
    assert max(map(len, lines)) <= 30
    assert cells(lines) == [
        ["row", "column0", "column1"],
        ["first", "1", "2"],
        ["second", "5", "6"],
        ["row", "column2", "column3"],
        ["first", "3", "4"],
        ["second", "7", "8.0"],
    ]


def test_columns_that_name_a_row_are_in_every_table() -> None:
    assert cells(printed(30, names=2)) == [
        ["row", "column0", "column1"],
        ["first", "1", "2"],
        ["second", "5", "6"],
        ["row", "column0", "column2"],
        ["first", "1", "3"],
        ["second", "5", "7"],
        ["row", "column0", "column3"],
        ["first", "1", "4"],
        ["second", "5", "8.0"],
    ]


def test_a_column_that_does_not_fit_is_whole_all_the_same() -> None:
    lines = printed(10)
    assert [line for line in cells(lines) if line[0] == "row"] == [
        ["row", f"column{n}"] for n in range(4)
    ]


def test_what_computed_in_less_than_float32_is_named_once() -> None:
    output = io.StringIO()
    console = Console(file=output, width=100)
    known = [("a:default", "float32"), ("b:default", None)]
    show_narrow(console, known)
    assert output.getvalue() == ""
    show_narrow(console, [*known, ("c:x", "bfloat16"), ("d:x", "bfloat16"), ("c:x", "bfloat16")])
    assert output.getvalue() == "computed in bfloat16, not in float32: c:x, d:x\n"

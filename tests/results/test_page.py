"""docs/results.md says every field, scenario and metric as the code does, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.results import columns, document
from bench.results.schema import (
    FORMAT,
    FORMAT_VERSION,
    METRICS,
    SCENARIOS,
    TABLES,
    Role,
    Table,
)

PAGE = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")


def cells(title: str) -> list[list[str]]:
    """The rows of the first table under a heading, as cells of text."""
    section = PAGE.split(f"### {title}\n", 1)[1].split("\n### ", 1)[0]
    lines = [line for line in section.splitlines() if line.startswith("| ")][1:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_every_field(table: Table) -> None:
    assert cells(table.name) == [
        [
            f"`{field.name}`",
            field.type.value + (", each" if field.each else ""),
            field.unit,
            "yes" if field.role is Role.HASHED else "",
            field.meaning,
            field.null,
        ]
        for field in table.fields
    ]
    keys = ", ".join(f"`{key}`" for key in table.keys)
    assert f"{table.meaning[0].upper()}{table.meaning[1:]}. Key: {keys}.\n" in PAGE


def test_every_scenario_and_metric() -> None:
    assert cells("Scenarios") == [[f"`{name}`", text] for name, text in SCENARIOS.items()]
    assert cells("Metrics") == [
        [f"`{metric.name}`", metric.unit, metric.part, metric.meaning]
        for metric in METRICS.values()
    ]


def test_the_page_names_no_other_table_and_the_limits_that_hold() -> None:
    headings = [line[4:] for line in PAGE.splitlines() if line.startswith("### ")]
    assert headings == [*TABLES, "Scenarios", "Metrics"]
    assert f'"format": "{FORMAT}", "format_version": {FORMAT_VERSION}' in PAGE
    assert f"documents of up to {document.MAX_BYTES >> 20} MiB" in PAGE
    assert f"tables of up to {columns.MAX_BYTES >> 20} MiB each" in PAGE

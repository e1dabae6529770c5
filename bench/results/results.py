"""Results in memory: the rows of all tables, each key once, and what refers to what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module

import pyarrow as pa

from bench.results import columns
from bench.results.schema import CELL, OBSERVATION, TABLES, Row
from columnar_nn.errors import InvalidDataError
from columnar_nn.shown import line

_REFERENCES = {
    "session": (("machine", ("session_id", "machine_id")),),
    "cell": (
        ("session", ("session_id",)),
        ("subject", ("session_id", "subject")),
        ("workload", ("workload",)),
    ),
    "observation": (("cell", ("session_id", "cell")),),
}
"""The tables that the rows of a table refer to, by which fields."""


@dataclass(frozen=True, repr=False)
class Results:
    """Rows by table, in the order in which they came.

    A row of the table observation holds the numbers of one turn: `value` is a list, and so is
    `switches` where it is known; `index` is the first one's.
    """

    rows: Mapping[str, tuple[Row, ...]]

    def __repr__(self) -> str:
        counts = ", ".join(f"{name} {len(rows):,}" for name, rows in self.rows.items() if rows)
        return line("Results:", counts)

    @classmethod
    def of(cls, rows: Iterable[tuple[str, Row]]) -> Results:
        """From rows with their table's name.

        Raises InvalidDataError where two of the same key differ, or a row refers to one that is
        not there.
        """
        found: dict[str, dict[object, Row]] = {name: {} for name in TABLES}
        blocks: dict[object, list[Row]] = defaultdict(list)
        for name, row in rows:
            if name == OBSERVATION.name:
                blocks[series(row)].append(row)
                continue
            key = tuple(row[field] for field in TABLES[name].keys)
            other = found[name].setdefault(key, row)
            if other != row:
                fields = {**other, **row}
                differing = next(n for n in fields if other.get(n, other) != row.get(n, row))
                raise InvalidDataError(
                    f"two rows of {name} {' '.join(map(str, key))} differ in {differing}: they "
                    "cannot both be true"
                )
        tables = {name: tuple(by_key.values()) for name, by_key in found.items()}
        tables[OBSERVATION.name] = tuple(
            block for same in blocks.values() for block in _without_repeats(same)
        )
        results = cls(tables)
        results._check_references()
        return results

    def __iter__(self) -> Iterator[tuple[str, Row]]:
        for name, rows in self.rows.items():
            for row in rows:
                yield name, row

    def __getitem__(self, table: str) -> tuple[Row, ...]:
        return self.rows[table]

    def session(self, session_id: str) -> Results:
        """What one session measured."""
        cells = [row for row in self["cell"] if row["session_id"] == session_id]
        workloads = {row["workload"] for row in cells}
        return Results(
            {
                name: tuple(
                    row
                    for row in rows
                    if (
                        row["workload"] in workloads
                        if name == "workload"
                        else row["session_id"] == session_id
                    )
                )
                for name, rows in self.rows.items()
            }
        )

    def table(self, name: str = OBSERVATION.name) -> pa.Table:
        """One table as Arrow, a row an observation; trees are JSON texts."""
        return columns.to_arrow(TABLES[name], self.rows[name])

    def _repr_html_(self) -> str | None:
        """Charts and tables in a notebook; None without the packages that draw them.

        Reports are made of results, in a room above this one: hence the import by name.
        """
        text: str | None = import_module("bench.report.page").notebook(self)
        return text

    def _check_references(self) -> None:
        for name, references in _REFERENCES.items():
            for target, fields in references:
                known = {tuple(row[field] for field in fields) for row in self.rows[target]}
                for row in self.rows[name]:
                    wanted = tuple(row[field] for field in fields)
                    if wanted not in known:
                        raise InvalidDataError(
                            f"a row of {name} is of {target} {' '.join(map(str, wanted))}, which "
                            "is not there: the file is incomplete"
                        )


def series(block: Row) -> tuple[object, ...]:
    """Of which series of observations a row holds some: its key, but for the index."""
    return block["session_id"], block["cell"], block["metric"], tuple(block["part"])


def _without_repeats(blocks: Sequence[Row]) -> list[Row]:
    """The rows of one series by index, without those that another one holds, too."""
    kept: list[Row] = []
    for block in sorted(blocks, key=lambda block: (block["index"], -len(block["value"]))):
        end = kept[-1]["index"] + len(kept[-1]["value"]) if kept else block["index"]
        if block["index"] >= end:
            kept.append(block)
        elif not _holds(kept[-1], block):
            cell, metric = block["cell"], block["metric"]
            raise InvalidDataError(
                f"two observations of {metric} {block['index']} in {CELL.name} {cell} differ: "
                "they cannot both be true"
            )
    return kept


def _holds(block: Row, other: Row) -> bool:
    """Whether a row holds all observations of another that begins within it."""
    start = other["index"] - block["index"]
    stop = start + len(other["value"])
    if stop > len(block["value"]):
        return False
    part = dict(block)
    for field in OBSERVATION.fields:
        if field.each and block[field.name] is not None:
            part[field.name] = block[field.name][start:stop]
    return part | {"index": other["index"]} == dict(other)

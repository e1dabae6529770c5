"""What a study's folder holds: sessions that have ended, and those that can be gone on with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from adapters import declared_functions
from bench.compare.cell import ENDED_BEFORE, Cell
from bench.compare.comparison import ROUNDS
from bench.compare.experiment import Limits
from bench.machine import environment
from bench.results import document
from bench.results.document import SUFFIX
from bench.results.results import Results
from bench.results.schema import MACHINE, OFFLINE, Row
from bench.results.summary import turn_of
from bench.study.journal import OPENING_ROWS
from bench.study.plan import Plan
from bench.verdict.status import FAILED, MISTRUSTED, NOT_RUN, PASSED
from columnar_nn.errors import UsageError

STUDY_SETTINGS = ("number", "only", "shard")
"""Of a session's settings what tells it from other sessions of the study."""


@dataclass(frozen=True)
class Record:
    """One session in a file: a document, or a journal if it did not come to its end."""

    file: Path
    results: Results

    @cached_property
    def session(self) -> Row:
        (session,) = self.results["session"]
        return session

    @property
    def is_open(self) -> bool:
        """Whether it is still to be gone on with, or at least to be made a document."""
        return self.file.suffix == SUFFIX

    @property
    def number(self) -> int:
        """Which of the study's sessions it is, from 1 on."""
        return int(self.session["settings"]["number"])

    @cached_property
    def cells(self) -> dict[str, tuple[Row, list[Row]]]:
        """Cells of images, with the rows of their times, by hash."""
        workloads = {row["workload"]: row for row in self.results["workload"]}
        times = defaultdict(list)
        for block in self.results["observation"]:
            if block["metric"] == "time":
                times[block["cell"]].append(block)
        return {
            cell["cell"]: (cell, times[cell["cell"]])
            for cell in self.results["cell"]
            if workloads[cell["workload"]]["scenario"] == OFFLINE
        }

    def restore(self, cell: Cell, known: str, limits: Limits) -> None:
        """Brings a cell to where it was; one that has come to its end then has ended."""
        row, times = self.cells.get(known, (None, []))
        if row is None:
            return
        cell.turns = [_turn(block) for block in times]
        if is_over(row, cell, limits):
            cell.end(row["status"], row["reason"] or "")

    def ended(self, limits: Limits) -> set[str]:
        """Hashes of the cells that have come to their end in it, well or not."""
        if self.session["complete"]:
            return set(self.cells)
        found = set()
        for known, (row, times) in self.cells.items():
            cell = Cell(1, 1, [_turn(block) for block in times])
            if is_over(row, cell, limits):
                found.add(known)
        return found


def is_over(row: Row, cell: Cell, limits: Limits) -> bool:
    """Whether nothing more is to be measured of a cell, from its row and its turns."""
    waiting = row["status"] == NOT_RUN and row["reason"] == ENDED_BEFORE
    if row["status"] not in (PASSED, FAILED, MISTRUSTED, NOT_RUN):
        return True
    if not cell.turns:
        return not waiting
    return cell.finished(limits) or cell.turns[-1].round == ROUNDS - 1


class Records:
    """The sessions of a folder; those of a plan's study on this machine count for it."""

    def __init__(self, folder: Path, plan: Plan) -> None:
        """Reads all of them; raises InvalidDataError and UsageError for what is none of ours."""
        self.folder = folder
        self._plan = plan
        self._asked = {"only": list(plan.only), "shard": plan.shard}
        self.all = list(_read(folder))
        machine_id = MACHINE.row(**environment.machine())["machine_id"]
        same = {
            "versions": environment.versions(),
            "functions": declared_functions.sha256() or None,
        }
        self.here = [record for record in self.all if record.session["machine_id"] == machine_id]
        self.ours = [
            record
            for record in self.here
            if record.session["study"] == plan.study.hash
            and all(record.session[name] == value for name, value in same.items())
        ]

    def done(self, number: int) -> set[str]:
        """Hashes of the plan's cells that a session need not measure any more."""
        limits = self._plan.study.limits
        ended = (r.ended(limits) for r in self.ours if r.number == number)
        return self._plan.cells & set[str]().union(*ended)

    def to_go_on_with(self, number: int) -> Record | None:
        """The session that was interrupted when the same was asked for."""
        for record in self.ours:
            settings = record.session["settings"]
            if record.is_open and settings == {**settings, **self._asked, "number": number}:
                return record
        return None


def _read(folder: Path) -> Iterator[Record]:
    """Every session; of one whose process died as it became a document only the document."""
    if not folder.exists():
        return
    for file in sorted(folder.iterdir()):
        whole = file.with_suffix(".json")
        if file.suffix not in (SUFFIX, ".json") or (file != whole and whole.exists()):
            continue
        if file.suffix == SUFFIX and file.read_bytes().count(b"\n") < OPENING_ROWS:
            continue  # its process died, or its disk was full, before anything was measured
        results = document.read(file)
        if len(results["session"]) != 1:
            raise UsageError(f"{file} is no single session: name a folder that only studies use")
        record = Record(file, results)
        settings: Any = record.session["settings"]
        if record.session["study"] is None or not isinstance(settings, Mapping):
            raise UsageError(f"{file} is no study's session: name a folder that only studies use")
        yield record


def _turn(block: Row) -> Any:
    place: dict[str, Any] = {name: block[name] or 0 for name in ("round", "order", "start_s")}
    return replace(turn_of(block), **place)

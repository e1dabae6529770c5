"""What two sides of sessions have to compare: cells joined, a figure a session on both sides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from bench.difference import comparability
from bench.difference.judgement import Verdict
from bench.difference.metric import Metric
from bench.difference.permutation import Reals
from bench.results.results import Results
from bench.results.schema import Row
from bench.verdict.status import UNSUCCESSFUL

BASE, NEW = "BASE", "NEW"


@dataclass(frozen=True)
class Pair:
    """A metric of a cell on both sides: `base` and `new` have a figure for each session, or NaN.

    `unfit` is the verdict where figures are not to be compared, and `reason` says where or why.
    """

    subject: Row
    workload: Row
    metric: Metric
    base: Reals
    new: Reals
    unfit: Verdict | None = None
    reason: str = ""

    @property
    def carried(self) -> bool:
        """Whether a session of either side has the figure."""
        return not bool(np.isnan([*self.base, *self.new]).all())

    @property
    def failed_in_new(self) -> bool:
        """Whether it failed on the new side alone."""
        return self.unfit is Verdict.FAILED and self.reason == _where([NEW])


class Side:
    """The rows of one side by what refers to them."""

    def __init__(self, results: Results) -> None:
        self.results = results
        self.cells: dict[str, list[Row]] = defaultdict(list)
        for row in results["cell"]:
            self.cells[row["cell"]].append(row)
        self._subjects = {(r["session_id"], r["subject"]): r for r in results["subject"]}
        self._workloads = {row["workload"]: row for row in results["workload"]}

    @cached_property
    def _values(self) -> Mapping[tuple[str, str, tuple[str, ...]], Mapping[str, list[float]]]:
        """Of each cell, metric and part the values by session."""
        found: dict[tuple[str, str, tuple[str, ...]], dict[str, list[float]]] = {}
        for block in self.results["observation"]:
            key = block["cell"], block["metric"], tuple(block["part"])
            known = [value for value in block["value"] if value is not None]
            found.setdefault(key, {}).setdefault(block["session_id"], []).extend(known)
        return found

    def subjects(self, cell: str) -> list[Row]:
        """The subject of a cell, once for every session."""
        return [self._subjects[r["session_id"], r["subject"]] for r in self.cells.get(cell, ())]

    def described(self, cell: str) -> tuple[Row, Row]:
        """Subject and workload."""
        return self.subjects(cell)[0], self._workloads[self.cells[cell][0]["workload"]]

    def statuses(self, cell: str) -> list[str]:
        """How the cell ended in each session that has it."""
        return [row["status"] for row in self.cells.get(cell, ())]

    def has(self, cell: str, metric: Metric) -> bool:
        """Whether anything of the metric was observed."""
        return bool(self._values.get((cell, metric.observed, metric.part)))

    def figures(self, cell: str, metric: Metric) -> Reals:
        """The metric in each session, NaN where it has none."""
        values = self._values.get((cell, metric.observed, metric.part), {})
        figures = [metric.of(values.get(row["session_id"], ())) for row in self.results["session"]]
        return np.array([np.nan if figure is None else figure for figure in figures])


def pairs(
    base: Side, new: Side, metrics: Sequence[Metric], allowed: frozenset[str]
) -> Iterator[Pair]:
    """Every cell of which a metric was observed on one side at least.

    Cells are joined by what was asked (docs/results.md). Two that are alone, and look alike, are
    one that is not comparable.
    """
    alike = _alike(base, new)
    for metric in metrics:
        for cell in dict.fromkeys([*base.cells, *new.cells]):
            if cell in alike.values():
                continue
            other = alike.get(cell, cell)
            if not (base.has(cell, metric) or new.has(other, metric)):
                continue
            unfit, reason = _unfit(base, new, cell, other, metric, allowed)
            described = (base if cell in base.cells else new).described(cell)
            figures = base.figures(cell, metric), new.figures(other, metric)
            yield Pair(*described, metric, *figures, unfit, reason)


def _unfit(
    base: Side, new: Side, cell: str, other: str, metric: Metric, allowed: frozenset[str]
) -> tuple[Verdict | None, str]:
    """Why the figures of a cell are not to be compared."""
    sides = ((BASE, base, cell), (NEW, new, other))
    if missing := [name for name, side, key in sides if key not in side.cells]:
        return Verdict.MISSING, _where(missing)
    failed = [
        name for name, side, key in sides if not set(UNSUCCESSFUL).isdisjoint(side.statuses(key))
    ]
    if failed:
        return Verdict.FAILED, _where(failed)
    if missing := [name for name, side, key in sides if not side.has(key, metric)]:
        return Verdict.MISSING, _where(missing)
    if cell != other:
        lines = comparability.request_differences(base.described(cell), new.described(other))
        return Verdict.NOT_COMPARABLE, "; ".join(lines)
    lines = comparability.version_differences(base.subjects(cell), new.subjects(cell))
    if lines and comparability.VERSIONS not in allowed:
        return Verdict.NOT_COMPARABLE, "; ".join(lines)
    return None, ""


def _where(sides: Sequence[str]) -> str:
    return f"in {' and '.join(sides)}"


def _alike(base: Side, new: Side) -> dict[str, str]:
    """Cells of BASE that NEW lacks: the only one of NEW that looks alike, and that BASE lacks."""
    alone: list[dict[tuple[object, ...], list[str]]] = []
    for side, opposite in ((base, new), (new, base)):
        found: dict[tuple[object, ...], list[str]] = defaultdict(list)
        for cell in side.cells.keys() - opposite.cells.keys():
            subject, workload = side.described(cell)
            look = [subject["backend"], subject["configuration"]]
            look += [workload[name] for name in ("model_name", "query", "samples", "scenario")]
            found[tuple(look)].append(cell)
        alone.append(found)
    return {
        cells[0]: alone[1][look][0]
        for look, cells in alone[0].items()
        if len(cells) == len(alone[1].get(look, ())) == 1
    }

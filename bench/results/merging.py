"""Results of several files as one: the union of their tables, if their machines can be told."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from bench.results.results import Results
from bench.results.schema import MACHINE, Row
from columnar_nn.errors import CnnBenchError

_STEADY = ("brand", "memory_bytes", "label")
"""Facts of a machine that are not hashed, and yet must not differ under one hash."""

_VOLATILE = ("kernel", "governor", "turbo", "cpu_quota", "memory_limit_bytes", "usable_cpus")
"""Facts that may change from day to day, and times with them."""

_SAME_MEMORY = 1.05
"""What a kernel keeps for itself changes with its version: so much is the same memory."""


class ContradictionError(CnnBenchError):
    """Two machines pass for one, or one for two."""


def merged(parts: Sequence[Results]) -> Results:
    """The union of their tables.

    Raises InvalidDataError where rows of the same key differ, and ContradictionError where the
    facts of machines do.
    """
    labels = _labels(parts)
    results = Results.of(
        (name, _labelled(row, labels) if name == MACHINE.name else row)
        for part in parts
        for name, row in part
    )
    if found := [*_contradictions(results[MACHINE.name])]:
        raise ContradictionError("; ".join(found))
    return results


def labelled(results: Results, label: str | None) -> Results:
    """The same, of a machine with a name, if there is one."""
    if label is None:
        return results
    return Results.of(
        (name, {**row, "label": label} if name == MACHINE.name else row) for name, row in results
    )


def warnings(results: Results) -> Iterator[str]:
    """What about a machine was not the same in all sessions."""
    for machine_id, rows in _by_machine(results[MACHINE.name]).items():
        for fact in _VOLATILE:
            if len(values := _values(rows, fact)) > 1:
                yield f"machine {_name(machine_id, rows)}: {fact} is {' and '.join(values)}"


def machines(results: Results) -> list[str]:
    """Names of the machines that took part."""
    found = _by_machine(results[MACHINE.name])
    return [_name(machine_id, rows) for machine_id, rows in found.items()]


def _labels(parts: Sequence[Results]) -> dict[str, str]:
    """The label of each machine that has just one: it names its other sessions, too."""
    found: dict[str, set[str]] = defaultdict(set)
    for part in parts:
        for row in part[MACHINE.name]:
            found[row["machine_id"]] |= {row["label"]} - {None}
    return {machine_id: next(iter(same)) for machine_id, same in found.items() if len(same) == 1}


def _labelled(row: Row, labels: dict[str, str]) -> Row:
    label = labels.get(row["machine_id"])
    return row if row["label"] or label is None else {**row, "label": label}


def _contradictions(rows: Sequence[Row]) -> Iterator[str]:
    for machine_id, same in _by_machine(rows).items():
        for fact in _STEADY:
            known = [row[fact] for row in same if row[fact] is not None]
            if len(set(known)) < 2 or (
                fact == "memory_bytes" and max(known) <= min(known) * _SAME_MEMORY
            ):
                continue
            values = " and ".join(_values(same, fact))
            help_ = "give one" if fact == "label" else "they are of two, leave those of one out"
            yield f"the sessions of machine {machine_id} say that its {fact} is {values}: {help_}"
    by_label: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if row["label"] is not None:
            by_label[row["label"]].add(row["machine_id"])
    for label, ids in by_label.items():
        if len(ids) > 1:
            names = " and ".join(sorted(ids))
            yield f"{label} names {len(ids)} machines, {names}: name them apart with --label"


def _by_machine(rows: Iterable[Row]) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["machine_id"]].append(row)
    return found


def _values(rows: Sequence[Row], fact: str) -> list[str]:
    """The different values of a fact, as text, in the order in which they were seen."""
    return list(dict.fromkeys(f"{row[fact]}" for row in rows if row[fact] is not None))


def _name(machine_id: str, rows: Sequence[Row]) -> str:
    return next((str(row["label"]) for row in rows if row["label"]), machine_id)

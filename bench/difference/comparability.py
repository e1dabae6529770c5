"""Whether two sides may be compared: stable facts decide, what may change from day to day warns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from bench.results import merging
from bench.results.results import Results
from bench.results.schema import SUBJECT, TABLES, WORKLOAD, Role, Row, Table
from columnar_nn.errors import UsageError

MACHINE, VERSIONS = "machine", "versions"
ALLOWABLE = (MACHINE, VERSIONS)
"""What may differ if the user says so."""

_EFFORT = ("runs", "min_time_s", "budget_s")
"""Settings that decide how often a cell is run, and what its fastest run is with it."""

_TURNED_OUT = ("precision", "layout", "algorithm", "denormals", "cpus")
"""What a subject turned out to be, which changes its speed."""


def parse_allowed(text: str) -> frozenset[str]:
    """What may differ, from a list with commas; raises UsageError."""
    names = [name.strip() for name in text.split(",") if name.strip()]
    for name in names:
        if name not in ALLOWABLE:
            raise UsageError(f"--allow {name!r}: choose from {', '.join(ALLOWABLE)}")
    return frozenset(names)


def machine_differences(base: Results, new: Results) -> list[str]:
    """Stable facts of the machines that are not the same in all sessions, one line each."""
    machines = base[MACHINE], new[MACHINE]
    if found := [f"machine: {line}" for line in _differences(TABLES[MACHINE], *machines)]:
        return found
    try:
        merging.merged([base, new])
    except merging.ContradictionError as error:
        return [f"machine: {error}"]
    return []


def version_differences(base: Sequence[Row], new: Sequence[Row]) -> list[str]:
    """Packages of a subject that had more than one version; what a session does not say is none."""
    found: dict[str, dict[str, list[str]]] = {}
    for side, rows in (("BASE", base), ("NEW", new)):
        for row in rows:
            versions = row["versions"] if isinstance(row["versions"], dict) else {}
            for package, version in versions.items():
                found.setdefault(package, {}).setdefault(side, []).append(str(version))
    return [
        f"{package} {_both(_list(sides.get('BASE', ())), _list(sides.get('NEW', ())))}"
        for package, sides in found.items()
        if len({version for versions in sides.values() for version in versions}) > 1
    ]


def request_differences(base: tuple[Row, Row], new: tuple[Row, Row]) -> list[str]:
    """What was asked otherwise of two (subject, workload) that look alike."""
    return [
        line
        for table, one, other in zip((SUBJECT, WORKLOAD), base, new, strict=True)
        for line in _differences(table, [one], [other])
    ]


def warnings(base: Results, new: Results) -> Iterator[str]:
    """What makes a difference of two sides doubtful, one line each."""
    yield from merging.warnings(Results.of([*base, *new]))
    for side, results in (("BASE", base), ("NEW", new)):
        sessions = results["session"]
        if cut := sum(not session["complete"] for session in sessions):
            yield f"{side}: {cut} of {len(sessions)} sessions did not come to their end"
        troubled = [session["warnings"] for session in sessions if session["warnings"]]
        if troubled:
            count = f"{len(troubled)} of {len(sessions)} sessions began with a warning"
            yield f"{side}: {count}, such as: {troubled[-1][0]}"
    functions = [_list([_functions(s) for s in side["session"]]) for side in (base, new)]
    if functions[0] != functions[1]:
        yield f"files of functions: {_both(*functions)}"
    for name in _EFFORT:
        values = [_settings(side, name) for side in (base, new)]
        if values[0] != values[1]:
            yield f"setting {name}: {_both(*values)}"
    yield from _subject_warnings(base, new)
    yield from _order_warnings(base["session"], new["session"])


def _subject_warnings(base: Results, new: Results) -> Iterator[str]:
    sides = [{row["subject"]: row for row in side["subject"]} for side in (base, new)]
    for key in filter(sides[1].__contains__, sides[0]):
        one, other = sides[0][key], sides[1][key]
        for name in _TURNED_OUT:
            if one[name] != other[name] and None not in (one[name], other[name]):
                label = f"{one['backend']}:{one['configuration']}"
                yield f"{label}: {name}: {_both(str(one[name]), str(other[name]))}"


def _order_warnings(base: Sequence[Row], new: Sequence[Row]) -> Iterator[str]:
    starts = [[str(row["started"]) for row in side if row["started"]] for side in (base, new)]
    if min(map(len, starts)) < 2:
        return
    for first, other, names in ((*starts, ("BASE", "NEW")), (*starts[::-1], ("NEW", "BASE"))):
        if max(first) < min(other):
            yield (
                f"all sessions of {names[0]} were before those of {names[1]}: what changed on the "
                "machine in between looks like a change of the version; take turns"
            )


def _functions(session: Row) -> str:
    """Its files of functions, each with the beginning of its hash."""
    files = session["functions"]
    if not isinstance(files, dict):
        return "none"
    return ", ".join(f"{name} ({str(sha256)[:12]})" for name, sha256 in files.items())


def _settings(side: Results, name: str) -> str:
    trees = [s["settings"] for s in side["session"] if isinstance(s["settings"], dict)]
    return _list([str(tree[name]) for tree in trees if name in tree])


def _differences(table: Table, base: Sequence[Row], new: Sequence[Row]) -> Iterator[str]:
    for field in table.fields:
        values = [[_text(row[field.name]) for row in side] for side in (base, new)]
        if field.role is Role.HASHED and len({*values[0], *values[1]}) > 1:
            yield f"{field.name} {_both(_list(values[0]), _list(values[1]))}"


def _both(base: str, new: str) -> str:
    return f"{base} in BASE, {new} in NEW"


def _list(values: Sequence[str]) -> str:
    return " and ".join(dict.fromkeys(values)) or "not known"


def _text(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "not known" if value is None else str(value)

"""Results that are damaged, forged or mixed up: documents, journals, files of version 1, tables."""

from __future__ import annotations

import io
import json
import random
from pathlib import Path

from fuzz.documents import changed_json
from fuzz.mutations import mutated
from fuzz.outcome import MEBIBYTE, emptied, problem
from report import simulated
from results.examples import results
from rich.console import Console

from bench.compare import report
from bench.results import checking, columns, document, listing, merging
from bench.results.results import Results
from bench.results.schema import FORMAT, FORMAT_VERSION, TABLES
from bench.results.summary import summarize
from bench.results.traffic import PERCENTILES, Limit, Traffic

MEMORY = 512 * MEBIBYTE
"""What reading a file of some kilobytes may take, and showing what it holds."""

VERSION_1 = (Path(__file__).parents[1] / "results" / "version_1.json").read_text()
DOCUMENT = document.to_json(results()).decode()
SERVED = document.to_json(
    simulated.session(Traffic("server", PERCENTILES, (), Limit(50.0, 0.02)), [100.0], queries=12)
).decode()


def _journal() -> list[str]:
    """Lines of a journal."""
    rows = sorted(results(), key=lambda named: named[0] != "session")
    lines = [document.to_line(*row).decode() for row in rows]
    opening = json.dumps({"format": FORMAT, "format_version": FORMAT_VERSION})
    return [f"{opening[:-1]}, {lines[0][1:]}", *lines[1:]]


def check(seed: int, folder: Path) -> str:
    """What is wrong with how the file of a seed is read; it is kept in `folder`."""
    chance = random.Random(seed)
    emptied(folder)
    path = folder / "x.json"
    try:
        return _check(chance, path)
    except RecursionError:  # the changes nest too deep for Python to write them
        return ""


def _check(chance: random.Random, path: Path) -> str:
    match chance.randrange(6):
        case 0:
            content = changed_json(VERSION_1, chance).encode()
        case 1:
            lines = _journal()
            index = chance.randrange(len(lines))
            lines[index] = changed_json(lines[index], chance) + "\n"
            if chance.random() < 0.1:
                chance.shuffle(lines)
            content = "".join(lines).encode()
        case 2:
            path = path.with_suffix(".arrow")
            path.mkdir()
            columns.write({name: results().table(name) for name in TABLES}, path, path.suffix)
            file = path / f"{chance.choice([*TABLES])}{path.suffix}"
            file.write_bytes(mutated(file.read_bytes(), chance))
            return problem(lambda: _use(path), MEMORY)
        case 3:
            content = changed_json(SERVED, chance).encode()
        case _:
            content = changed_json(DOCUMENT, chance).encode()
    if chance.random() < 0.1:
        content = mutated(content, chance)
    path.write_bytes(content)
    return problem(lambda: _use(path), MEMORY)


def _use(path: Path) -> None:
    """All that is done with results of anyone's."""
    found = document.read(path)
    assert document.loads(document.to_json(found)) == found
    for name in TABLES:
        found.table(name)
    list(checking.problems(found))
    list(checking.differences(merging.merged([found, results()])))
    for session in found["session"]:
        part: Results = found.session(session["session_id"])
        console = Console(file=io.StringIO(), width=100)
        listing.show(part, console)
        report.show(summarize(part), console)

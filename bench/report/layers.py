"""What each layer of a network took in each engine, from observations of operators."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any, NamedTuple

from bench.profile.rows import joined_rows, row_name
from bench.results.results import Results


class _Operators(NamedTuple):
    """An engine's operators: their nodes in the order of the run, and each one's median seconds."""

    samples: int
    seconds: dict[tuple[str, ...], float]


def layer_times(parts: Sequence[Results]) -> list[dict[str, Any]]:
    """Rows of the table `layers`: sets of nodes that every engine's operators respect.

    Of runs of one number of images: that of most engines, or else the largest. Operators that
    belong to no node are left out.
    """
    by_samples: dict[int, dict[str, _Operators]] = defaultdict(dict)
    for part in parts:
        for engine, own in _operators(part):
            by_samples[own.samples][engine] = own
    if not by_samples:
        return []
    samples = max(by_samples, key=lambda samples: (len(by_samples[samples]), samples))
    found = by_samples[samples]
    longest_first = sorted(found.values(), key=lambda own: -len(own.seconds))
    names = [name for own in longest_first for nodes in own.seconds for name in nodes]
    rows = joined_rows(names, (nodes for own in found.values() for nodes in own.seconds))
    return [
        {
            "engine": engine,
            "layer": row_name(row),
            "position": position,
            "seconds": sum(taken),
            "samples": samples,
        }
        for engine, own in found.items()
        for position, row in enumerate(rows)
        if (taken := [value for nodes, value in own.seconds.items() if nodes[0] in row])
    ]


def _operators(part: Results) -> list[tuple[str, _Operators]]:
    """Each engine's, in every cell that has some."""
    subjects = {row["subject"]: row for row in part["subject"]}
    workloads = {row["workload"]: row for row in part["workload"]}
    runs: dict[str, dict[tuple[str, ...], dict[int, float]]] = defaultdict(dict)
    for block in part["observation"]:
        number, *nodes = block["part"] or [""]
        if block["metric"] == "operator" and number.isdecimal() and nodes:
            operator = runs[block["cell"]].setdefault(tuple(nodes), defaultdict(float))
            for index, value in enumerate(block["value"], block["index"]):
                operator[index] += value or 0.0
    found = []
    for cell in (cell for cell in part["cell"] if cell["cell"] in runs):
        subject = subjects[cell["subject"]]
        seconds = {nodes: median(of.values()) for nodes, of in runs[cell["cell"]].items()}
        samples = workloads[cell["workload"]]["samples"] or 0
        engine = f"{subject['backend']}:{subject['configuration']}"
        found.append((engine, _Operators(samples, seconds)))
    return found

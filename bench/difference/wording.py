"""A difference in words and figures, the same in every form of report."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bench.difference.difference import Difference
from bench.difference.gate import Outcome
from bench.difference.judgement import Judgement, Verdict
from bench.difference.pairs import BASE, NEW, Pair
from bench.difference.permutation import CONFIDENCE, Reals, can_decide, fewest_sessions
from bench.difference.planning import MAX_SESSIONS
from bench.results.results import Results
from bench.results.schema import Row
from bench.text.figures import counted, milliseconds

HEADINGS = ("cell", BASE, NEW, "change", f"{CONFIDENCE:.0%} interval", "verdict")

OPEN_HEADINGS = ("cell", "sessions", "could show", "would settle it")

_SUBJECT_FIELDS = ("processes", "threads", "options")
_WORKLOAD_FIELDS = ("query", "model_name", "data_name", "batch_size", "scenario", "rate")
"""What a row's name has where it tells rows apart, beside backend and samples."""

_SHORT = {"model_name": "model", "data_name": "data", "batch_size": "batch"}


def title(difference: Difference) -> list[str]:
    """What was compared: a line a side."""
    return [_side(name, side) for name, side in ((BASE, difference.base), (NEW, difference.new))]


def names(difference: Difference) -> list[tuple[str, str]]:
    """Of every row the names of what was measured and of what it was measured on."""
    found = [pair for pair, _ in difference.rows]
    labels = [f"{pair.subject['backend']}:{pair.subject['configuration']}" for pair in found]
    images = [_images(pair.workload["samples"]) for pair in found]
    subjects = _told_apart(labels, _SUBJECT_FIELDS, [pair.subject for pair in found])
    workloads = _told_apart(images, _WORKLOAD_FIELDS, [pair.workload for pair in found])
    return list(zip(subjects, workloads, strict=True))


def cells(pair: Pair, judgement: Judgement, margin: float) -> tuple[str, ...]:
    """What a row says under HEADINGS, but for its name."""
    change, interval = "-", "-"
    if judgement.change is not None:
        change = _percent(judgement.change, "+")
    if math.isfinite(judgement.high):
        low, high = (_percent(bound, "+") for bound in (judgement.low, judgement.high))
        interval = f"{low.removesuffix('%')} to {high}"
    figures = [_typical(side, pair.metric.unit) for side in (pair.base, pair.new)]
    return (*figures, change, interval, verdict(pair, judgement, margin))


def verdict(pair: Pair, judgement: Judgement, margin: float) -> str:
    """The verdict; of too few sessions only what it looks like."""
    if judgement.verdict in (Verdict.MISSING, Verdict.FAILED):
        return f"{judgement.verdict.value} {pair.reason}"
    if looks := appearance(judgement, margin):
        return f"looks {looks}"
    return str(judgement.verdict.value)


def appearance(judgement: Judgement, margin: float) -> str:
    """What sessions too few for any conclusion look like; empty of others."""
    if judgement.change is None or math.isfinite(judgement.high):
        return ""
    if judgement.verdict is not Verdict.INCONCLUSIVE:
        return ""
    shift, limit = math.log1p(judgement.change), math.log1p(margin)
    return "the same" if abs(shift) <= limit else "slower" if shift > 0 else "faster"


def remarks(difference: Difference) -> Iterator[str]:
    """Why rows have no verdict of their figures."""
    found: dict[str, list[str]] = {}
    for name, (pair, judgement) in zip(_full(difference), difference.rows, strict=True):
        if judgement.verdict is Verdict.NOT_COMPARABLE and pair.reason:
            found.setdefault(f"not comparable: {pair.reason}", []).append(name)
        elif judgement.verdict is Verdict.INCONCLUSIVE and judgement.change is None:
            least = f"{pair.metric.name} takes {pair.metric.takes} a session"
            found.setdefault(least, []).append(name)
    for remark, about in found.items():
        yield f"{'; '.join(about)}: {remark}"


def open_cells(pair: Pair, judgement: Judgement) -> tuple[str, ...] | None:
    """What an open row says under OPEN_HEADINGS, but for its name; None of others."""
    if judgement.verdict is not Verdict.INCONCLUSIVE or judgement.change is None:
        return None
    counts = [int((~np.isnan(side)).sum()) for side in (pair.base, pair.new)]
    smallest = "none" if not can_decide(*counts) else _percent(judgement.smallest or 0.0)
    settle = f"over {MAX_SESSIONS:,}" if judgement.settle is None else f"{judgement.settle:,}"
    if max(counts) < 2:  # how sessions differ is not known from one
        settle = f"{fewest_sessions()} at least"
    return f"{counts[0]} and {counts[1]}", smallest, f"{settle} a side"


def gates(difference: Difference) -> Iterator[tuple[Outcome, str]]:
    """The outcome of each gate, in a line."""
    named = dict(zip((id(pair) for pair, _ in difference.rows), _full(difference), strict=True))
    found: dict[str, dict[Outcome, list[str]]] = {}
    for gated in difference.gated:
        outcomes = found.setdefault(gated.gate.text, {})
        outcomes.setdefault(gated.outcome, []).append(named[id(gated.pair)])
    for text, outcomes in found.items():
        worst = next(
            o for o in (Outcome.FAILED, Outcome.UNDECIDED, Outcome.PASSED) if o in outcomes
        )
        where = "" if worst is Outcome.PASSED else f": {'; '.join(outcomes[worst])}"
        yield worst, f"--fail-on {text}: {worst.value}{where}"


def count(difference: Difference) -> str:
    """How many rows have each verdict."""
    found = Counter(judgement.verdict for _, judgement in difference.rows)
    parts = ", ".join(f"{found[v]} {v.value}" for v in Verdict if v in found)
    return f"{counted(len(difference.rows), 'figure')}: {parts}"


def explanation(difference: Difference) -> str:
    """What the words mean, as far as a few lines can."""
    return (
        f"change: of the geometric mean over sessions, from {BASE} to {NEW}. faster, slower: of "
        f"two sides that are alike, chance calls anything so in {1 - CONFIDENCE:.0%} of cases at "
        f"most, all rows together. same: the interval is within {100 * difference.margin:g}%."
    )


def _percent(share: float, sign: str = "") -> str:
    rounded = round(share, 3) + 0.0  # no "-0.0%"
    return format(rounded, f"{sign},.1%" if abs(rounded) < 1 else f"{sign},.0%")


def _full(difference: Difference) -> list[str]:
    """The name of every row: no two are alike."""
    return [
        ", ".join([*name, pair.metric.name])
        for name, (pair, _) in zip(names(difference), difference.rows, strict=True)
    ]


def _told_apart(named: Sequence[str], fields: Sequence[str], rows: Sequence[Row]) -> Iterator[str]:
    """The names, each with the fields in which rows of that name differ."""
    for name, row in zip(named, rows, strict=True):
        alike = [other for same, other in zip(named, rows, strict=True) if same == name]
        varying = [f for f in fields if len({str(other[f]) for other in alike}) > 1]
        told = (_said(field, row[field]) for field in varying)
        yield ", ".join([name, *filter(None, told)])


def _said(field: str, value: Any) -> str:
    """A field in which rows differ; empty of queries that have no rate."""
    if field == "scenario":
        return str(value)
    if field == "rate":
        return "" if value is None else f"{value:,g}/s"
    return f"{_SHORT.get(field, field)} {value}"


def _images(samples: int | None) -> str:
    return "any images" if samples is None else counted(samples, "image")


def _side(name: str, results: Results) -> str:
    sessions = results["session"]
    commits = dict.fromkeys(str(row["commit"]) for row in sessions if row["commit"])
    times = sorted(str(row["started"]) for row in sessions if row["started"])
    span = f", {times[0]} to {times[-1]}" if len(times) > 1 else "".join(f", {t}" for t in times)
    commit = f" of commit {' and '.join(commits)}" if commits else ""
    return f"{name}: {counted(len(sessions), 'session')}{commit}{span}"


def _typical(figures: Reals, unit: str) -> str:
    known = figures[~np.isnan(figures)]
    if not len(known):
        return "-"
    value = float(np.exp(np.log(known).mean()))
    return f"{value / 2**20:,.1f} MiB" if unit == "byte" else f"{milliseconds(value)} ms"

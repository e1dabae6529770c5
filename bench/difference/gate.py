"""`--fail-on`: which changes of which cells are a failure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from fnmatch import fnmatchcase

from bench.difference import metric
from bench.difference.judgement import MEASURED, Judgement, Verdict
from bench.difference.metric import Metric
from bench.difference.pairs import Pair
from bench.results.schema import SUBJECT, WORKLOAD, Role, Table, Type
from columnar_nn.errors import UsageError

_GATE = re.compile(r"(?P<metric>[a-z_0-9.]+)(?:\[(?P<selector>[^\]]*)\])?:(?P<threshold>[^:]+)")
_PERCENT = re.compile(r"\d{1,4}(?:\.\d+)?%")


def _fields(table: Table) -> list[str]:
    texts = [field for field in table.fields if field.type is not Type.TREE]
    return [field.name for field in texts if field.role is Role.HASHED]


FIELDS = (*_fields(SUBJECT), *_fields(WORKLOAD))
"""What cells are selected by."""


class Outcome(Enum):
    """Of a gate on a cell. UNDECIDED: the sessions leave open whether the change is so large."""

    PASSED = "passed"
    FAILED = "failed"
    UNDECIDED = "undecided"


@dataclass(frozen=True)
class Gate:
    """Fails where one of `metrics` of a cell with these fields is `threshold` or more slower."""

    text: str
    metrics: tuple[Metric, ...]
    selector: Mapping[str, str]
    threshold: float

    def selects(self, pair: Pair) -> bool:
        """Whether a figure of a cell is held to it."""
        fields = {**pair.workload, **pair.subject}
        return pair.metric in self.metrics and all(
            fnmatchcase(str(fields[name]), pattern) for name, pattern in self.selector.items()
        )

    def outcome(self, pair: Pair, judgement: Judgement) -> Outcome:
        """Of what it selects. A cell that failed on the new side alone fails it, too."""
        if pair.failed_in_new:
            return Outcome.FAILED
        if judgement.verdict not in MEASURED or judgement.change is None:
            return Outcome.UNDECIDED
        if judgement.verdict is Verdict.SLOWER and judgement.change >= self.threshold:
            return Outcome.FAILED
        return Outcome.PASSED if judgement.high < self.threshold else Outcome.UNDECIDED


def parse_gate(text: str, margin: float) -> Gate:
    """A gate from METRIC[FIELD=VALUE,...]:PERCENT%; raises UsageError."""
    match = _GATE.fullmatch(text)
    if match is None or not _PERCENT.fullmatch(match["threshold"]):
        raise UsageError(
            f"--fail-on {text!r}: expected METRIC[FIELD=VALUE,...]:PERCENT% such as "
            "median:10% or p99[samples=1]:20%"
        )
    try:
        found = metric.parse(match["metric"])
        selector = dict(map(_selected, filter(None, (match["selector"] or "").split(","))))
        threshold = parse_percent(match["threshold"])
    except UsageError as error:
        raise UsageError(f"--fail-on {text!r}: {error}") from None
    if threshold < margin:
        raise UsageError(
            f"--fail-on {text!r}: such changes are within the --margin of {100 * margin:g}%, so "
            "that they count as none: name a smaller one"
        )
    return Gate(text, found, selector, threshold)


def parse_percent(text: str) -> float:
    """A share from a text such as 5%; raises UsageError."""
    if not _PERCENT.fullmatch(text):
        raise UsageError(f"{text!r} is no percentage such as 5%")
    return float(text[:-1]) / 100


def _selected(text: str) -> tuple[str, str]:
    name, equals, pattern = text.partition("=")
    if not equals or name not in FIELDS:
        raise UsageError(f"{text!r} is no FIELD=VALUE with a field of {', '.join(FIELDS)}")
    return name, pattern

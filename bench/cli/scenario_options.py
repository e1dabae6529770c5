"""The options of `compare` that say how images arrive: read and checked together."""

from __future__ import annotations

import math
import re
from typing import Annotated

import typer

from bench.cli.options import choice, parse_samples
from bench.compare.experiment import Limits
from bench.results.schema import LATENCIES, MULTI_STREAM, OFFLINE, SERVER, SINGLE_STREAM
from bench.results.traffic import PERCENTILES, Limit, Traffic
from columnar_nn.errors import UsageError
from columnar_nn.model.graph import Graph

ScenarioOption = Annotated[str, choice((OFFLINE, *LATENCIES), "--scenario")]
RateOption = Annotated[
    str | None,
    typer.Option(
        help="Queries a second of the server scenario, separated by commas; auto searches for the "
        "largest within --latency-limit."
    ),
]
LatencyLimitOption = Annotated[
    str | None,
    typer.Option(
        metavar="[pN:]TIME",
        help="What a percentile of latency may be in the server scenario, as 10ms or p90:500us.",
        show_default="p99 if only a time is said",
    ),
]
PercentilesOption = Annotated[
    str | None,
    typer.Option(
        help="Percentiles of latency, separated by commas.",
        show_default=",".join(f"{percent:g}" for percent in PERCENTILES),
    ),
]

_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0}
_LIMIT = re.compile(r"(?:p([0-9.]+):)?([0-9.]+)(us|ms|s)")
_LIMITED_PERCENT = 99.0


SAMPLES = {OFFLINE: "1,10,100,1000", MULTI_STREAM: "8"}
_USUAL = {
    OFFLINE: Limits(5, 0.3, 2.0),
    SINGLE_STREAM: Limits(700, 0.3, 10.0),
    MULTI_STREAM: Limits(700, 0.3, 10.0),
    SERVER: Limits(700, 3.0, 10.0),
}
"""Queries are enough for p99; near what a server can do its queue takes seconds to fill."""


def traffic(
    scenario: str, rate: str | None, latency_limit: str | None, percentiles: str | None
) -> Traffic:
    """How queries arrive, from the options of these names; raises UsageError."""
    for name, given, scenarios in (
        ("--rate", rate, (SERVER,)),
        ("--latency-limit", latency_limit, (SERVER,)),
        ("--percentiles", percentiles, LATENCIES),
    ):
        if given is not None and scenario not in scenarios:
            raise UsageError(f"{name} says nothing of --scenario {scenario}: {_of(scenarios)}")
    if scenario == OFFLINE:
        return Traffic()
    percents = PERCENTILES if percentiles is None else _percents(percentiles)
    limit = None if latency_limit is None else _limit(latency_limit)
    if scenario != SERVER:
        return Traffic(scenario, percents)
    if rate is None:
        raise UsageError(f"--scenario {SERVER} takes --rate, such as --rate 100,200 or --rate auto")
    if rate == "auto" and limit is None:
        raise UsageError("--rate auto takes --latency-limit, such as --latency-limit 10ms")
    return Traffic(scenario, percents, () if rate == "auto" else _rates(rate), limit)


def images(asked: Traffic, samples: str | None, graph: Graph) -> tuple[int, ...]:
    """Images of a run, or of a query, from --samples; raises UsageError."""
    if asked.scenario in SAMPLES:
        return parse_samples(samples or SAMPLES[asked.scenario])
    if samples is not None:
        raise UsageError(
            f"--samples says nothing of --scenario {asked.scenario}, whose queries are of one "
            f"image: leave it out, or ask for --scenario {MULTI_STREAM}"
        )
    return (graph.batch or 1,)


def limits(
    asked: Traffic, runs: int | None, min_time: float | None, budget: float | None
) -> Limits:
    """How long to measure: as the options of these names say, else as is usual."""
    usual = _USUAL[asked.scenario]
    return Limits(
        usual.runs if runs is None else runs,
        usual.min_time if min_time is None else min_time,
        usual.budget if budget is None else budget,
    )


def _of(scenarios: tuple[str, ...]) -> str:
    return f"it is of --scenario {' or '.join(scenarios)}"


def _numbers(name: str, text: str, example: str) -> tuple[float, ...]:
    try:
        found = sorted({float(part) for part in text.split(",")})
    except ValueError:
        found = []
    if not found or not all(0 < number < math.inf for number in found):
        raise UsageError(f"{name} {text!r}: expected numbers above 0 such as {example}")
    return tuple(found)


def _rates(text: str) -> tuple[float, ...]:
    return _numbers("--rate", text, "100,200, or auto")


def _percents(text: str) -> tuple[float, ...]:
    found = _numbers("--percentiles", text, "50,90,99")
    if found[-1] >= 100:
        raise UsageError(f"--percentiles {text!r}: {found[-1]:g} is not below 100")
    return found


def _limit(text: str) -> Limit:
    match = _LIMIT.fullmatch(text)
    try:
        percent = float(match[1] or _LIMITED_PERCENT) if match else 0.0
        seconds = float(match[2]) * _SECONDS[match[3]] if match else 0.0
    except ValueError:
        percent = seconds = 0.0
    if not (0 < percent < 100 and seconds > 0):
        raise UsageError(
            f"--latency-limit {text!r}: expected a time such as 10ms or 500us, after a percentile "
            "if it is not of p99, as p90:10ms"
        )
    return Limit(percent, seconds)

"""The difference of two sides of sessions: every cell's verdict, and what gates make of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.difference import comparability
from bench.difference.gate import Gate, Outcome
from bench.difference.judgement import Judgement, Verdict, judge
from bench.difference.metric import FASTEST, LATENCIES
from bench.difference.pairs import BASE, NEW, Pair, Side, pairs
from bench.results.results import Results
from columnar_nn.errors import UsageError

EXIT_FAILED, EXIT_NOT_COMPARABLE, EXIT_INCONCLUSIVE = 1, 3, 4


@dataclass(frozen=True)
class Gated:
    """What a gate makes of a cell."""

    gate: Gate
    pair: Pair
    outcome: Outcome


@dataclass(frozen=True)
class Difference:
    """Each pair with its judgement; `contradictions` are why nothing could be judged, if any."""

    base: Results
    new: Results
    rows: tuple[tuple[Pair, Judgement], ...]
    gated: tuple[Gated, ...]
    contradictions: tuple[str, ...]
    warnings: tuple[str, ...]
    margin: float

    def exit_code(self, require_conclusive: bool) -> int:
        """0; 1 a gate failed; 3 something is not comparable; 4 something asked for is open.

        Asked for is what gates decide, or without gates every verdict.
        """
        outcomes = {gated.outcome for gated in self.gated}
        verdicts = {judgement.verdict for _, judgement in self.rows}
        if Outcome.FAILED in outcomes:
            return EXIT_FAILED
        if self.contradictions or Verdict.NOT_COMPARABLE in verdicts:
            return EXIT_NOT_COMPARABLE
        open_ = Outcome.UNDECIDED in outcomes if self.gated else Verdict.INCONCLUSIVE in verdicts
        return EXIT_INCONCLUSIVE if require_conclusive and open_ else 0


def difference(
    base: Results, new: Results, gates: Sequence[Gate], margin: float, allowed: frozenset[str]
) -> Difference:
    """Compares the figures that gates ask for; without gates fastest runs and latencies.

    All of them are one family: the more there are, the more it takes to call one faster or slower.
    Raises UsageError where a session is on both sides, a side has none, or a gate finds no cell.
    """
    _check_sessions(base, new)
    found = list(_asked(base, new, gates, allowed))
    warnings = list(comparability.warnings(base, new))
    contradictions = comparability.machine_differences(base, new)
    if comparability.MACHINE in allowed:
        warnings, contradictions = [*contradictions, *warnings], []
    if not contradictions and all(p.unfit in (Verdict.MISSING, Verdict.FAILED) for p in found):
        contradictions = ["nothing was measured on both sides"]
    if contradictions:
        judgements = [Judgement(pair.unfit or Verdict.NOT_COMPARABLE) for pair in found]
    else:
        judgements = _judge(found, margin)
    return Difference(
        base,
        new,
        tuple(zip(found, judgements, strict=True)),
        tuple(_gated(gates, found, judgements)),
        tuple(contradictions),
        tuple(warnings),
        margin,
    )


def _check_sessions(base: Results, new: Results) -> None:
    ids = [{row["session_id"] for row in side["session"]} for side in (base, new)]
    for name, sessions in zip((BASE, NEW), ids, strict=True):
        if not sessions:
            raise UsageError(f"{name} has no session")
    if shared := ids[0] & ids[1]:
        raise UsageError(
            f"session {min(shared)} is in {BASE} and in {NEW}: what is compared must have been "
            "measured twice"
        )


def _asked(
    base: Results, new: Results, gates: Sequence[Gate], allowed: frozenset[str]
) -> Iterator[Pair]:
    headlines = (FASTEST, *LATENCIES)
    metrics = dict.fromkeys(metric for gate in gates for metric in gate.metrics) or headlines
    for pair in pairs(Side(base), Side(new), [*metrics], allowed):
        if gates:
            asked = any(gate.selects(pair) for gate in gates)
        else:
            asked = pair.carried or pair.metric not in LATENCIES[1:]
        if asked:
            yield pair


def _judge(found: Sequence[Pair], margin: float) -> list[Judgement]:
    fit = [pair for pair in found if pair.unfit is None]
    judged: Iterator[Judgement] = iter(())
    if fit:
        figures = [
            np.column_stack(side) for side in zip(*((p.base, p.new) for p in fit), strict=True)
        ]
        judged = iter(judge(figures[0], figures[1], margin))
    return [next(judged) if pair.unfit is None else Judgement(pair.unfit) for pair in found]


def _gated(
    gates: Sequence[Gate], found: Sequence[Pair], judgements: Sequence[Judgement]
) -> Iterator[Gated]:
    for gate in gates:
        selected = [(p, j) for p, j in zip(found, judgements, strict=True) if gate.selects(p)]
        if not selected:
            raise UsageError(f"--fail-on {gate.text!r}: no cell has such a figure")
        for pair, judgement in selected:
            yield Gated(gate, pair, gate.outcome(pair, judgement))

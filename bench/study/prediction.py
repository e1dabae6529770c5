"""How long a study will take, from what its folder holds of this machine, and else from a guess."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median

from bench.compare.budget import predict_seconds
from bench.compare.evaluation import REFERENCE_BUDGET_S
from bench.compare.experiment import Limits
from bench.results.result import MIN_RUNS
from bench.study.plan import Entrant, Plan
from bench.study.records import Record
from bench.workers.crew import WINDOW_RUNS, WINDOW_S

_MACS_PER_S = 50e9
"""Of a core, if nothing is known: what frameworks reach on one with AVX-512."""

_START_S = 2.0
"""From a process's start to its first result, if nothing is known: between the 0.3 s and the
4 s of frameworks."""

_SHORT_S = 0.3
_WARM_UP_RUNS = 3
"""bench/compare/contender.py: shorter runs are warmed up by several."""

_CHECKS = 2
"""Further runs: the check of the first images, and one in case that the first was a compilation."""


@dataclass(frozen=True)
class Prediction:
    """Seconds of what is still to be done; `known` of `cells` are judged by earlier times."""

    seconds: float
    cells: int
    known: int


class Predictor:
    """Predicts by what earlier sessions on this machine took, of whichever study they were."""

    def __init__(self, records: Iterable[Record]) -> None:
        starts: dict[str, list[float]] = defaultdict(list)
        times: dict[str, list[float]] = defaultdict(list)
        for record in records:
            subjects = {row["subject"]: row["backend"] for row in record.results["subject"]}
            cells = {row["cell"]: subjects[row["subject"]] for row in record.results["cell"]}
            for known, (_, blocks) in record.cells.items():
                times[known] += [s for block in blocks for s in block["value"] if s]
            for block in record.results["observation"]:
                if block["metric"] == "cold_start" and block["part"] == ["total"]:
                    starts[cells[block["cell"]]] += block["value"]
        self._times = {cell: median(values) for cell, values in times.items() if values}
        self._starts = {backend: median(values) for backend, values in starts.items() if values}

    def of(self, plan: Plan, done: Iterable[set[str]]) -> Prediction:
        """Of the sessions of a plan, of each of which some cells are done."""
        seconds, cells, known = 0.0, 0, 0
        for finished in done:
            networks = set()
            for entrant in plan.entrants:
                pending = [n for n, cell in entrant.cells.items() if cell not in finished]
                cells += len(pending)
                known += sum(entrant.cells[count] in self._times for count in pending)
                if pending and not entrant.unfit:
                    networks.add(entrant.network.model)
                    seconds += self.seconds(entrant, pending, plan.study.limits)
            seconds += len(networks) * (REFERENCE_BUDGET_S + _START_S)
        return Prediction(seconds, cells, known)

    def run_seconds(self, entrant: Entrant, samples: int) -> float:
        """One run of a cell."""
        measured = {n: self._times[c] for n, c in entrant.cells.items() if c in self._times}
        if samples in measured:
            return measured[samples]
        predicted = predict_seconds(measured, samples)
        if predicted is None:
            options = entrant.options
            cores = options.threads * options.processes
            predicted = samples * entrant.network.macs / (_MACS_PER_S * cores)
        return predicted

    def seconds(self, entrant: Entrant, pending: Iterable[int], limits: Limits) -> float:
        """A session of a process: its start, and its cells of so many images that are pending."""
        start = self._starts.get(entrant.selection.backend, _START_S)
        total = start * entrant.options.processes
        shared = entrant.options.processes > 1 and entrant.options.partitions is None
        for samples in pending:
            run = self.run_seconds(entrant, samples)
            warm = run * ((_WARM_UP_RUNS if run < _SHORT_S else 1) + _CHECKS)
            total += warm
            if run <= limits.budget:
                each = max(WINDOW_RUNS * run, WINDOW_S) if shared else run
                wanted = max(limits.runs * each, limits.min_time)
                total += max(min(MIN_RUNS, limits.runs) * each, min(wanted, limits.budget))
        return total

"""One backend configuration in a comparison: its worker, its cells, and how they end."""

from __future__ import annotations

import math
from pathlib import Path
from statistics import fmean
from typing import Any

from bench.compare import truth as truths
from bench.compare.budget import (
    budget_for,
    predict_seconds,
    runs_of_a_turn,
    too_long,
)
from bench.compare.cell import Cell, figures
from bench.compare.experiment import Experiment
from bench.compare.truth import Truth
from bench.machine.disturbance import Snapshot
from bench.results.result import MIN_RUNS, BackendRecord
from bench.results.schema import OFFLINE
from bench.text.figures import about
from bench.verdict.precision import Precision
from bench.verdict.rule import Verdict
from bench.verdict.status import MISTRUSTED, NOT_RUN, PASSED, worst
from bench.workers import inputs
from bench.workers.crew import worker_for
from bench.workers.inputs import Inputs
from bench.workers.process import WorkerError
from bench.workers.selection import Selection
from bench.workers.session import PRIMING_LIMIT_S
from bench.workers.turn import Share, Turn

_SHORT_S = 0.3
"""A cell expected to take less is warmed several times: the first may be its compilation."""

_CALIBRATION_RUNS = 3

_MAX_RESTARTS = 1


class Contender:
    """A backend configuration from cold start to its last run.

    No method raises for what the backend does wrong: that becomes the status of its cells.
    """

    def __init__(self, selection: Selection, experiment: Experiment, folder: Path) -> None:
        self.selection = selection
        self._options = experiment.options.on_threads(selection.threads)
        self._limits = experiment.limits
        self._folder = folder
        self._seed = experiment.seed
        self.cells = [
            Cell(count, min(self._options.batch_size, count), scenario=scenario, rate=rate)
            for count in experiment.samples
            for scenario, rate in experiment.traffic.arrivals
        ]
        self._worker = worker_for(self._options, folder)
        self._warm: set[int] = set()
        self._restarts = 0
        self._cold_start: dict[str, Any] = {}
        self._description: dict[str, Any] = {}
        self._checked: Verdict | None = None
        self._ending: WorkerError | None = None

    @property
    def running(self) -> bool:
        """Whether its worker has been started and has not ended."""
        return self._worker.running

    @property
    def peak_rss_bytes(self) -> int:
        """The largest resident memory of its worker so far."""
        return self._worker.peak_rss_bytes

    def start(self, data: Inputs) -> None:
        """Starts the worker, which runs the backend once, each part timed."""
        self._data = data
        try:
            self._cold_start = self._worker.start(self.selection, data)
            self._description = self._worker.ask("describe")
        except WorkerError as error:
            self._end_all(error.status, error.reason)
            self.kill()

    def outputs_for(self, images: Path, samples: int, batch_size: int, outputs: Path) -> float:
        """Runs another Arrow file once and writes its outputs; seconds. Raises WorkerError."""
        reply = self._worker.ask(
            "run",
            images=str(images),
            samples=samples,
            batch_size=batch_size,
            outputs=str(outputs),
        )
        return float(reply["times"][0])

    def warm_up(self, cell: Cell, truth: Truth | None) -> None:
        """Runs the cell untimed and checks its output, unless it would take too long."""
        if cell.status:
            return
        known = {c.samples: c.calibrated for c in self.cells if c.calibrated is not None}
        cell.predicted = too_long(known, cell.samples, self._limits.budget)
        if cell.predicted is not None:
            cell.end(NOT_RUN, f"one run would take about {about(cell.predicted)}")
            return
        expected = predict_seconds(known, cell.samples)
        if expected is None:
            runs = cell.samples / self._data.first_batch
            expected = self._cold_start["first_inference_s"] * runs
        outputs = self._folder / "outputs.arrow"
        short = expected < _SHORT_S
        reply = self._attempt(
            cell, outputs=str(outputs), prime=short, min_runs=_CALIBRATION_RUNS if short else 1
        )
        if reply is not None and min(reply["times"]) > self._limits.budget:
            # The first run of a batch size may have been its compilation.
            reply = self._attempt(cell, outputs=str(outputs))
        if reply is None:
            return
        cell.calibrated = min(reply["times"])
        if cell.calibrated > self._limits.budget:
            cell.predicted = cell.calibrated
            cell.end(NOT_RUN, f"one run takes about {about(cell.calibrated)}")
        arrays = inputs.outputs_of(outputs)
        cell.accuracy = truths.accuracy(arrays, self._data.labels)
        cell.top5_accuracy = truths.accuracy(arrays, self._data.labels, top=5)
        if truth is not None:
            cell.own = truth.compare(arrays, self._judged_as(truth))

    def check(self, truth: Truth | None) -> None:
        """Runs the first images, whatever the cells' numbers, and judges every cell by them too.

        In batches that have been run, and no more images than half of the timeout allows.
        """
        warm = [cell for cell in self.cells if cell.calibrated is not None]
        failed = any(c.status not in ("", NOT_RUN, PASSED, MISTRUSTED) for c in self.cells)
        if truth is None or failed or not warm:
            return
        largest = max(warm, key=lambda cell: cell.samples)
        assert largest.calibrated is not None
        affordable = int(self._options.timeout / 2 / largest.calibrated * largest.samples)
        images, batch_size = truths.check_batches(
            [cell.batch_size for cell in warm], max(1, min(truth.checked, affordable))
        )
        outputs = self._folder / "outputs.arrow"
        try:
            self.outputs_for(self._data.images, images, batch_size, outputs)
        except WorkerError as error:
            self._end_all(error.status, f"on {images} image(s), run for a check: {error.reason}")
            return
        self._checked = truth.compare(inputs.outputs_of(outputs), self._judged_as(truth))
        for cell in self.cells:
            cell.checked = self._checked

    def _judged_as(self, truth: Truth) -> Precision:
        return truth.judged_as(self._description.get("precision", ""))

    def turn(self, cell: Cell, turns_left: int, **place: Any) -> Turn | None:
        """Times the cell's share of its runs in one of `turns_left` turns; None if that fails.

        `place` is where it stands among all turns, as Turn has it.
        """
        assert cell.calibrated is not None, "a cell is warmed up before its first turn"
        assert self._worker.running, "a worker that ended has no cell left to time"
        before = Snapshot.take(self._worker.pids, self._options.cpus)
        if cell.scenario == OFFLINE:
            reply = self._run(cell, cell.calibrated, turns_left)
        elif cell.rate is None:
            known = fmean(cell.times) if cell.times else cell.calibrated
            reply = self._run(cell, known, turns_left)
        else:
            reply = self._serve(cell, cell.calibrated, cell.rate)
        if reply is None:
            return None
        after = Snapshot.take(self._worker.pids, self._options.cpus)
        disturbance = before.until(after) if before and after else None
        shares = [Share(**share) for share in reply.get("shares", ())]
        measured = (reply["times"], reply["phases"], reply["switches"], disturbance)
        turn = Turn(*measured, **place, shares=shares)
        cell.turns.append(turn)
        return turn

    def finish(self) -> None:
        """Asks once more what was run, now that every batch size has been seen, and ends it.

        A backend that fails only now keeps its cells: they were measured and checked.
        """
        if self._worker.running:
            try:
                self._description = self._worker.ask("describe")
                self._worker.ask("close")
            except WorkerError as error:
                self._ending = error
            self.kill()

    def wake(self) -> None:
        """Starts its worker again after `finish`; what that takes is not recorded."""
        self._warm.clear()
        try:
            self._worker.start(self.selection, self._data)
        except WorkerError as error:
            self._end_all(error.status, error.reason)
            self.kill()

    def kill(self) -> None:
        """Ends the worker at once, whatever it is doing."""
        self._worker.kill()

    def _run(self, cell: Cell, seconds: float, turns_left: int) -> dict[str, Any] | None:
        """Runs, or queries, of about so many `seconds`, one after the other."""
        queries = {} if cell.scenario == OFFLINE else {"rows": self._data.num_images}
        return self._attempt(
            cell,
            "answer" if queries else "run",
            **queries,
            **runs_of_a_turn(cell.times, seconds, turns_left, self._limits),
            prime=seconds < PRIMING_LIMIT_S or cell.samples not in self._warm,
        )

    def _serve(self, cell: Cell, seconds: float, rate: float) -> dict[str, Any] | None:
        """Queries that arrive at a rate: all that are wanted, as far as the budget goes."""
        wanted = max(self._limits.runs, math.ceil(rate * self._limits.min_time))
        longest = min(self._limits.budget, self._options.timeout / 2)
        affordable = int(longest / max(seconds, 1 / rate))
        return self._attempt(
            cell,
            "serve",
            rows=self._data.num_images,
            rate=rate,
            queries=max(MIN_RUNS, min(wanted, affordable)),
            seed=self._seed,
        )

    def _attempt(self, cell: Cell, command: str = "run", **arguments: Any) -> dict[str, Any] | None:
        """Runs a cell; a failure ends it, and the untried larger ones, and revives the worker."""
        try:
            reply = self._worker.ask(
                command,
                images=str(self._data.images),
                samples=cell.samples,
                batch_size=cell.batch_size,
                **arguments,
            )
            self._warm.add(cell.samples)
            return reply
        except WorkerError as error:
            cell.end(error.status, error.reason)
            for other in self.cells if error.status != NOT_RUN else ():
                if other.samples > cell.samples and other.calibrated is None:
                    other.end(NOT_RUN, f"{error.status} at {cell.samples} sample(s)")
            if error.fatal:
                self._revive(error)
            return None

    def _revive(self, error: WorkerError) -> None:
        self.kill()
        if all(cell.finished(self._limits) for cell in self.cells):
            return
        if self._restarts == _MAX_RESTARTS:
            self._end_all(error.status, error.reason)
            return
        self._restarts += 1
        self.wake()

    def _end_all(self, status: str, reason: str) -> None:
        for cell in self.cells:
            if not cell.finished(self._limits):
                cell.end(status, reason)

    def _notes(self) -> tuple[str, ...]:
        notes = tuple(self._description.get("notes", ()))
        used, asked = self._description.get("threads", self._options.threads), self._options.threads
        if used != asked:
            notes += (f"uses {used} thread(s) of the {asked} it was given",)
        return notes

    def record(self) -> BackendRecord:
        """The backend as it was run; its status is the worst of its cells' and its own end's."""
        endings = [cell.ending() for cell in self.cells]
        if self._ending is not None:
            endings.append((self._ending.status, self._ending.reason))
        status = worst(status for status, _ in endings)
        reason = next(reason for known, reason in endings if known == status)
        if status == NOT_RUN:
            reason = self._budget_advice() or reason
        return BackendRecord(
            backend=self.selection.backend,
            configuration=self.selection.configuration,
            threads=self._options.threads,
            status=status,
            reason=reason,
            peak_rss_bytes=self._worker.peak_rss_bytes or None,
            description=self.selection.description,
            versions=self._description.get("versions", {}),
            precision=self._description.get("precision", ""),
            layout=self._description.get("layout", ""),
            algorithm=self._description.get("algorithm", ""),
            denormals=self._description.get("denormals", ""),
            notes=self._notes(),
            log=self._worker.log,
            checked=self._check_record(),
            **self._cold_start,
        )

    def _budget_advice(self) -> str:
        """Which budget would run the cell of fewest images, if that is why none was run."""
        predicted = self.cells[0].predicted
        if predicted is None:
            return ""
        images, budget = self.cells[0].samples, budget_for(predicted)
        return f"--budget {budget:g} would run it on {images:,} image(s)"

    def _check_record(self) -> dict[str, Any]:
        checked = self._checked
        if checked is None:
            return {}
        return {"status": checked.status, "reason": checked.reason, **figures(checked)}

"""One session of a study: every cell of its plan that is not done yet, all in one random order.

Each backend is started, warmed up and checked; then cells take turns, in several rounds, each
round in an order of its own. Every row is in the journal as soon as it is known.
"""

from __future__ import annotations

import errno
import os
import random
import shutil
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from bench.compare.cell import Cell
from bench.compare.comparison import ROUNDS
from bench.compare.contender import Contender
from bench.compare.evaluation import evaluations, known_outputs, num_images
from bench.compare.experiment import Experiment
from bench.compare.recording import Recording
from bench.compare.truth import Truth
from bench.files.temporary import temporary_folder
from bench.model.check import MISREAD, ImportCheck
from bench.results.recording import Recorder
from bench.results.schema import OFFLINE
from bench.results.session import Session
from bench.study.journal import StudyJournal
from bench.study.plan import Entrant, Network, Plan
from bench.study.pool import Pool, free_bytes
from bench.study.records import Record
from bench.text.progress import Progress
from bench.verdict.status import NOT_RUN
from bench.workers import inputs
from bench.workers.inputs import Inputs
from bench.workers.process import WorkerError

_NO_ROOM_BYTES = 1 << 20


class StudySession:
    """Measures what is pending of one session. Whatever ends it, no worker is left behind."""

    def __init__(
        self,
        plan: Plan,
        number: int,
        done: set[str],
        session: Session,
        journal: StudyJournal,
        checks: Mapping[str, ImportCheck],
        progress: Progress,
        record: Record | None = None,
    ) -> None:
        """`done` are the cells that need no turn, `record` is what is gone on with, if anything.

        `checks` are those of networks that were read from files, by model.
        """
        self._plan = plan
        self._done = done
        self._number = number
        self._session = session
        self._journal = journal
        self._checks = checks
        self._progress = progress
        self._record = record
        self._pool = Pool(free_bytes())
        self._contenders: dict[Entrant, Contender] = {}
        self._recordings: dict[Entrant, Recording] = {}
        self._inputs: dict[str, Inputs] = {}
        self._truths: dict[str, Truth | str] = {}
        """By model; a text is why there is none."""
        self._step = 0

    def run(self) -> None:
        """Does all of it; raises OSError where a disk is full."""
        pending = [e for e in self._plan.entrants if not self._done.issuperset(e.cells.values())]
        self._total = len(pending) + ROUNDS * sum(len(e.cells) for e in pending)
        with temporary_folder() as self._folder:
            try:
                for entrant in pending:
                    self._enter(entrant)
                self._take_turns()
                for entrant, contender in self._contenders.items():
                    contender.finish()
                    self._write(self._recordings[entrant].backend(contender.record()))
            finally:
                for contender in self._contenders.values():
                    contender.kill()

    def _enter(self, entrant: Entrant) -> None:
        """Starts, warms up and checks one, or says why it cannot be run."""
        check = self._checks.get(entrant.network.model)
        if entrant.unfit:
            self._refuse(entrant, NOT_RUN, entrant.unfit)
            return
        if check is not None and check.verdict == MISREAD:
            self._refuse(entrant, MISREAD, check.reason)
            return
        self._show(f"starting {entrant.name}")
        truth = self._truth(entrant.network)
        workloads = entrant.network.workloads
        recording = Recording(self._session, entrant.options, workloads)
        recording.truth = truth
        contender = Contender(entrant.selection, entrant.experiment(self._plan.study), self._folder)
        self._contenders[entrant], self._recordings[entrant] = contender, recording
        for cell in contender.cells:
            known = entrant.cells[cell.samples]
            if self._record is not None:
                self._record.restore(cell, known, self._plan.study.limits)
            if known in self._done:
                cell.end(cell.status or NOT_RUN, cell.reason)
        self._pool.make_room(contender)
        contender.start(self._data(entrant.network, entrant.options.batch_size))
        self._write(recording.backend(contender.record()))
        for cell in self._pending(entrant):
            self._pool.make_room(contender)
            contender.warm_up(cell, truth)
            self._write(recording.cell(contender.record(), cell))
        contender.check(truth)
        self._write(recording.backend(contender.record()))

    def _pending(self, entrant: Entrant) -> Iterator[Cell]:
        """Cells that this session has to bring to their end."""
        for cell in self._contenders[entrant].cells:
            if entrant.cells[cell.samples] not in self._done:
                yield cell

    def _take_turns(self) -> None:
        """In every round each cell once, except for turns that were taken before."""
        seed = self._plan.study.order_seed
        turns = [(e, count) for e in self._plan.entrants for count in e.cells]
        taken = [turn for c in self._contenders.values() for cell in c.cells for turn in cell.turns]
        self._order = 1 + max((turn.order for turn in taken), default=-1)
        # A session that goes on counts from its beginning on, which is known to a second.
        began = self._session.started_at if taken else time.time()
        self._origin = time.monotonic() - (time.time() - began)
        for number in range(ROUNDS):
            order = list(turns)
            random.Random(f"{seed}/{self._number}/{number}").shuffle(order)
            if self._pool.overflowed:  # a process takes all of its turns while it lives
                first = {entrant: k for k, (entrant, _) in reversed([*enumerate(order)])}
                order.sort(key=lambda turn: first[turn[0]])
            for entrant, count in order:
                if entrant in self._contenders:
                    self._show(f"timing {entrant.name} on {count:,}")
                    self._turn(entrant, count, number)

    def _turn(self, entrant: Entrant, count: int, number: int) -> None:
        contender, recording = self._contenders[entrant], self._recordings[entrant]
        limits = self._plan.study.limits
        cell = next(cell for cell in contender.cells if cell.samples == count)
        if cell.finished(limits) or any(turn.round == number for turn in cell.turns):
            return
        self._pool.wake(contender)
        if not cell.finished(limits):
            place = {"order": self._order, "start_s": time.monotonic() - self._origin}
            self._order += 1
            if contender.turn(cell, ROUNDS - number, round=number, **place) is not None:
                self._write(recording.turn(contender.record(), cell, len(cell.turns) - 1))
                return
        for other in self._pending(entrant):  # one that ended may have taken others with it
            self._write(recording.cell(contender.record(), other))

    def _refuse(self, entrant: Entrant, status: str, reason: str) -> None:
        recorder = Recorder(self._session, entrant.network.workloads)
        # CPUs that there are not enough of are none that it was pinned to.
        subject = recorder.subject(entrant.selection, entrant.options, cpus=None)
        recorder.start(subject, entrant.options.batch_size, status=status, reason=reason)
        for count in entrant.cells:
            size = min(entrant.options.batch_size, count)
            recorder.cell(subject, OFFLINE, count, size, status=status, reason=reason)
        self._write(recorder.take())

    def _truth(self, network: Network) -> Truth | None:
        """The reference's outputs for all numbers of images of a network."""
        if network.model not in self._truths:
            self._truths[network.model] = self._evaluate(network)
        known = self._truths[network.model]
        return known if isinstance(known, Truth) else None

    def _evaluate(self, network: Network) -> Truth | str:
        experiment = self._everything(network)
        data = self._data(network, experiment.options.batch_size)
        selections = [e.selection for e in self._plan.entrants if e.network is network]
        contenders = {
            name: Contender(selection, experiment, self._folder)
            for name, selection in evaluations(selections).items()
        }
        try:
            for contender in contenders.values():
                contender.start(data)
            return known_outputs(
                data.images.parent, data, experiment, contenders, network.overrides
            )
        except WorkerError as error:
            self._check_room()
            return error.reason
        finally:
            for contender in contenders.values():
                contender.kill()

    def _everything(self, network: Network) -> Experiment:
        """All of a network's numbers of images, as the entrant with most threads runs them."""
        entrants = [e for e in self._plan.entrants if e.network is network and not e.unfit]
        widest = max(entrants, key=lambda e: (len(e.options.cpus), e.options.batch_size)).options
        options = replace(widest, processes=1, partitions=None)
        samples = tuple(sorted({count for entrant in entrants for count in entrant.cells}))
        study = self._plan.study
        return Experiment((), samples, options, study.limits, study.order_seed)

    def _data(self, network: Network, batch_size: int) -> Inputs:
        """The network and its images as files, in batches of a size."""
        folder = self._folder / f"{network.graph.name}-{batch_size}".replace("/", "-")
        key = str(folder)
        if key not in self._inputs:
            folder.mkdir()
            count = num_images(self._everything(network))
            self._inputs[key] = inputs.prepare(
                folder, network.graph, network.dataset, count, batch_size
            )
        return self._inputs[key]

    def truth(self) -> dict[str, Any]:
        """What the outputs were compared with, as a session's row has it."""
        known = {m: t.context() for m, t in self._truths.items() if isinstance(t, Truth)}
        failed = [f"{model}: {t}" for model, t in self._truths.items() if isinstance(t, str)]
        rows = sum(context["rows"] for context in known.values())
        return {"rows": rows, "failure": "; ".join(failed), "models": known}

    def _write(self, rows: list[tuple[str, Any]]) -> None:
        if any(table == "cell" and row["status"] != "PASSED" for table, row in rows):
            self._check_room()
        self._journal.append(rows)

    def _check_room(self) -> None:
        """Raises OSError where no room is left: what failed then did not fail by itself."""
        if shutil.disk_usage(self._folder).free < _NO_ROOM_BYTES:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._folder.parent))

    def _show(self, doing: str) -> None:
        sessions = self._plan.study.sessions
        which = f"session {self._number} of {sessions}, " if sessions > 1 else ""
        self._progress(min(self._step, self._total), self._total, f"{which}{doing}")
        self._step += 1

"""Several processes that share the images of every run, and answer as one worker does.

All start a run together, at a time that they are told beforehand: the barrier. Without partitions
each goes on and on with its own images, and what counts is the interval in which all of them run:
the time of a run is what as many images take at the rate of that interval. With partitions a run
is a job that is done once, from the first process's beginning to the last one's end.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import mean
from typing import Any

import pyarrow as pa

from bench.verdict.status import CRASHED, NOT_RUN
from bench.workers.held import HeldWorker
from bench.workers.inputs import Inputs, read
from bench.workers.options import Options
from bench.workers.partitioning import Part, Partitioning, dealt
from bench.workers.process import WorkerError
from bench.workers.selection import Selection

SESSION = "bench.workers.crew_session:CrewSession"

_LEAD_S, _LEAD_EACH_S = 0.02, 0.001
"""From a command to the beginning of its run: by then every process has read it."""

WINDOW_RUNS, WINDOW_S = 3, 0.05
"""Of an interval: so short that it is steady, so long that its edges, where not all processes run,
are a small part of it."""

_WIDENINGS = 6

Span = Sequence[float]
"""Beginning and end of a run by time.monotonic."""


def worker_for(options: Options, folder: Path) -> HeldWorker | Crew:
    """What runs a backend as `options` say."""
    if options.processes == 1 and options.partitions is None:
        return HeldWorker(options, folder)
    return Crew(options, folder)


class Crew:
    """As many workers as there are processes; its methods are a HeldWorker's."""

    def __init__(self, options: Options, folder: Path) -> None:
        self._options = options
        self._folder = folder
        self._workers = [
            HeldWorker(options.of_process(number), folder, SESSION)
            for number in range(options.processes)
        ]

    @property
    def running(self) -> bool:
        """Whether all of them are."""
        return all(worker.running for worker in self._workers)

    @property
    def pids(self) -> tuple[int, ...]:
        """Numbers of the processes, which must have been started."""
        return tuple(pid for worker in self._workers for pid in worker.pids)

    @property
    def peak_rss_bytes(self) -> int:
        """The largest resident memory of each, together."""
        return sum(worker.peak_rss_bytes for worker in self._workers)

    @property
    def log(self) -> str:
        """The end of what the first had printed of which a command failed."""
        return next((worker.log for worker in self._workers if worker.log), "")

    def start(self, selection: Selection, data: Inputs) -> dict[str, Any]:
        """Starts one after the other as HeldWorker does; the reply is the first one's.

        All from the caller's thread: the kernel ends a worker with the thread that started it.
        """
        replies = [worker.start(selection, data) for worker in self._workers]
        return replies[0]

    def ask(self, command: str, **arguments: Any) -> dict[str, Any]:
        """`run` is shared; other commands are for all, and the first one's reply counts."""
        if command == "run":
            return self._run(**arguments)
        return self._ask(command, [arguments] * len(self._workers))[0]

    def finish(self) -> None:
        """Lets them release what they hold, and ends them."""
        for worker in self._workers:
            worker.finish()

    def kill(self) -> None:
        """Ends them at once."""
        for worker in self._workers:
            worker.kill()

    def _run(
        self,
        images: str,
        samples: int,
        batch_size: int,
        *,
        min_runs: int = 1,
        min_seconds: float = 0.0,
        prime: bool = False,
        outputs: str | None = None,
    ) -> dict[str, Any]:
        """As Session.run has it, but that phases, which overlap, are none of a run's.

        `shares` are as turn.Share has them. Raises WorkerError for fewer images than parts.
        """
        shares = self._shares(samples)
        asked = [{"images": images, "parts": p, "batch_size": batch_size} for p in shares]
        if prime:
            self._together(asked)
        times: list[float] = []
        switches: list[int] = []
        seconds: list[list[float]] = [[] for _ in shares]
        began = time.monotonic()
        while len(times) < min_runs or time.monotonic() - began < min_seconds:
            if self._options.partitions is None:
                replies = self._side_by_side(asked)
                spans = [reply["spans"] for reply in replies]
                times.append(_interval_time(spans, list(map(_size, shares))))
            else:
                replies = self._together(asked)
                times.append(_job_time([reply["spans"] for reply in replies]))
            switches.append(sum(sum(reply["switches"]) for reply in replies))
            for own, reply in zip(seconds, replies, strict=True):
                own.append(mean(end - start for start, end in reply["spans"]))
        if outputs is not None:
            self._collect(asked, shares, Path(outputs))
        return {
            "times": times,
            "phases": [{}] * len(times),
            "switches": switches,
            "shares": [
                {"seconds": own, "rss_bytes": r["rss_bytes"], "pss_bytes": r["pss_bytes"]}
                for own, r in zip(seconds, replies, strict=True)
            ],
        }

    def _shares(self, samples: int) -> list[list[Part]]:
        """The parts of each process."""
        processes = self._options.processes
        cut = self._options.partitions or Partitioning(processes)
        if samples < cut.count:
            reason = f"{samples} image(s) cannot be shared by {cut.count}"
            raise WorkerError(NOT_RUN, reason, fatal=False)
        return dealt(cut.parts(samples), processes)

    def _collect(
        self, asked: Sequence[Mapping[str, Any]], shares: Sequence[Sequence[Part]], target: Path
    ) -> None:
        """Runs once more, and writes what comes out in the order of the images."""
        files = [target.with_name(f"{target.name}.{number}") for number in range(len(shares))]
        self._together([{**a, "outputs": str(f)} for a, f in zip(asked, files, strict=True)])
        found: dict[int, pa.Table] = {}
        for file, parts in zip(files, shares, strict=True):
            table, offset = read(file), 0
            for start, count in parts:
                found[start] = table.slice(offset, count)
                offset += count
        whole = pa.concat_tables(found[start] for start in sorted(found))
        with pa.ipc.new_file(str(target), whole.schema) as writer:
            writer.write_table(whole)
        for file in files:
            file.unlink()

    def _side_by_side(self, asked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Replies of processes of which all were at work for most of the time.

        Where others keep one of them from its CPU, it takes a longer interval to see them all.
        """
        for widening in range(_WIDENINGS):
            seconds = WINDOW_S * 2**widening
            replies = self._together(asked, min_runs=WINDOW_RUNS, min_seconds=seconds)
            begin, end = _interval([reply["spans"] for reply in replies])
            if end - begin >= seconds / 2:
                break
        return replies

    def _together(self, asked: Sequence[Mapping[str, Any]], **limits: Any) -> list[dict[str, Any]]:
        at = time.monotonic() + _LEAD_S + _LEAD_EACH_S * len(self._workers)
        return self._ask("share", [{**each, "at": at, **limits} for each in asked])

    def _ask(self, command: str, asked: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
        """Asks all of them at the same time. If one fails that is what this raises.

        One that has ended takes the others with it: they cannot go on without it.
        """
        with ThreadPoolExecutor(len(self._workers)) as pool:
            calls = [
                pool.submit(worker.ask, command, **each)
                for worker, each in zip(self._workers, asked, strict=True)
            ]
            try:
                errors = [error for call in calls if (error := call.exception()) is not None]
            except BaseException:
                self.kill()  # an interrupt: the calls end with the processes
                raise
        for error in sorted(errors, key=_may_go_on):
            if not _may_go_on(error):
                self.kill()
            raise error
        return [call.result() for call in calls]


def _may_go_on(error: BaseException) -> bool:
    return isinstance(error, WorkerError) and not error.fatal


def _size(parts: Sequence[Part]) -> int:
    return sum(count for _, count in parts)


def _interval_time(spans: Sequence[Sequence[Span]], sizes: Sequence[int]) -> float:
    """Seconds of a run of all images, at the rate of the interval in which all processes ran.

    A run that is only in part within it counts in part.
    """
    begin, end = _interval(spans)
    if end <= begin:
        raise WorkerError(CRASHED, "its processes were never at work together", fatal=False)
    done = sum(
        size * max(0.0, min(stop, end) - max(start, begin)) / (stop - start)
        for own, size in zip(spans, sizes, strict=True)
        for start, stop in own
    )
    return sum(sizes) * (end - begin) / done


def _interval(spans: Sequence[Sequence[Span]]) -> tuple[float, float]:
    """From the last beginning to the first end; the other way round if there was no interval."""
    return max(own[0][0] for own in spans), min(own[-1][1] for own in spans)


def _job_time(spans: Sequence[Sequence[Span]]) -> float:
    """Seconds from the first beginning to the last end, of processes that ran once."""
    return max(own[-1][1] for own in spans) - min(own[0][0] for own in spans)

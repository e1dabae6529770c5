"""What a study found: a figure for every cell over all sessions, and a conclusion an engine."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from bench.results.result import Benchmark
from bench.results.results import Results
from bench.results.statistics import Estimate, estimate_median
from bench.results.summary import benchmarks, partitions
from bench.text.figures import counted
from bench.verdict.status import worst


@dataclass(frozen=True)
class Figure:
    """One cell: `time` of its runs, of several sessions the median of theirs; None if not run.

    `rss_bytes` is the largest resident memory of all its processes together, `disturbed` whether it
    was in one of the sessions. Other fields are as bench.results.result.Benchmark has them.
    """

    model: str
    engine: str
    processes: int
    threads: int
    partitions: str
    batch_size: int
    samples: int
    time: Estimate | None
    rss_bytes: int | None
    pss_bytes: int | None
    balance: float | None
    sessions: int
    status: str
    reason: str
    disturbed: bool

    @property
    def shape(self) -> str:
        """Processes times threads of each."""
        return f"{self.processes}x{self.threads}"


def figures(results: Results) -> list[Figure]:
    """A figure for every cell in which all images are there at once."""
    found: dict[tuple[object, ...], list[tuple[Benchmark, int | None]]] = defaultdict(list)
    for session in results["session"]:
        own = results.session(session["session_id"])
        memory = _memory(own)
        for cell in benchmarks(own):
            asked = cell.model, cell.label, cell.processes, cell.threads, cell.partitions
            sizes = memory.get(asked, {})
            # Which of the processes for larger batches ran a smaller one is not recorded.
            rss = max((rss for size, rss in sizes.items() if size >= cell.batch_size), default=None)
            found[(*asked, cell.batch_size, cell.samples)].append((cell, rss))
    return [_figure(same) for same in found.values()]


def _figure(same: Sequence[tuple[Benchmark, int | None]]) -> Figure:
    cells = [cell for cell, _ in same]
    timed = [cell for cell in cells if cell.median_s]
    status = worst(cell.status for cell in cells)
    return Figure(
        model=cells[0].model,
        engine=cells[0].label,
        processes=cells[0].processes,
        threads=cells[0].threads,
        partitions=cells[0].partitions,
        batch_size=cells[0].batch_size,
        samples=cells[0].samples,
        time=_time(timed),
        rss_bytes=max((rss for _, rss in same if rss), default=None),
        pss_bytes=max((cell.pss_bytes for cell in cells if cell.pss_bytes), default=None),
        balance=min((cell.balance for cell in cells if cell.balance), default=None),
        sessions=len(timed),
        status=status,
        reason=next(cell.reason for cell in cells if cell.status == status),
        disturbed=any(cell.disturbed for cell in cells),
    )


def _time(timed: Sequence[Benchmark]) -> Estimate | None:
    if not timed:
        return None
    if len(timed) == 1:
        (cell,) = timed
        assert cell.median_s and cell.ci_low_s and cell.ci_high_s  # noqa: PT018
        return Estimate(cell.median_s, cell.ci_low_s, cell.ci_high_s, cell.ci_confidence or 0.0)
    return estimate_median([cell.median_s for cell in timed if cell.median_s])


def _memory(session: Results) -> Mapping[tuple[object, ...], Mapping[int, int]]:
    """The largest resident memory of each subject with each network, by the size of batches."""
    subjects = {row["subject"]: row for row in session["subject"]}
    workloads = {row["workload"]: row for row in session["workload"]}
    cells = {row["cell"]: row for row in session["cell"]}
    found: dict[tuple[object, ...], dict[int, int]] = defaultdict(dict)
    for block in session["observation"]:
        if block["metric"] == "rss" and block["part"] == ["peak"]:
            cell = cells[block["cell"]]
            row, workload = subjects[cell["subject"]], workloads[cell["workload"]]
            label = f"{row['backend']}:{row['configuration']}"
            shape = row["processes"], row["threads"], partitions(row)
            sizes = found[(workload["model_name"], label, *shape)]
            size = workload["batch_size"]
            sizes[size] = max(sizes.get(size, 0), *map(int, block["value"]))
    return found


def conclusions(found: Iterable[Figure]) -> Iterator[str]:
    """A line an engine, network and size of batches where cores were split, or images unevenly."""
    groups: dict[tuple[object, ...], list[Figure]] = defaultdict(list)
    for figure in found:
        if figure.time is not None:
            whole = figure.batch_size == figure.samples
            batch = None if whole else figure.batch_size
            groups[figure.model, figure.engine, batch].append(figure)
    for same in groups.values():
        yield from _splits([figure for figure in same if not figure.partitions])
        yield from _skews([figure for figure in same if figure.partitions])


def _splits(found: Sequence[Figure]) -> Iterator[str]:
    """Which way of sharing cores among processes was fastest, at the most images of all ways."""
    budgets: dict[int, list[Figure]] = defaultdict(list)
    for figure in found:
        budgets[figure.processes * figure.threads].append(figure)
    for cores, same in budgets.items():
        rows = _at_most_images(same)
        if len(rows) < 2:
            continue
        best, *others = sorted(rows, key=_median)
        told = ", ".join(
            f"{row.shape} {row.samples / _median(row):,.0f}" for row in (best, *others)
        )
        rivals = [row.shape for row in others if _overlap(best, row)]
        lead = _median(others[0]) / _median(best)
        verdict = (
            f"{best.shape} is not clearly faster than {_and(rivals)}"
            if rivals
            else f"{best.shape} is {lead:.2f} times as fast as the next"
        )
        yield (
            f"{best.engine} on {best.model}, {counted(best.samples, 'image')}, {cores} cores as "
            f"processes x threads: {told} images/s; {verdict}{_memory_text(best, rows)}"
        )


def _skews(found: Sequence[Figure]) -> Iterator[str]:
    """What skewed partitions cost beside equal ones, for the same processes."""
    shapes: dict[tuple[str, str], list[Figure]] = defaultdict(list)
    for figure in found:
        shapes[figure.shape, figure.partitions.partition(":")[0]].append(figure)
    for (shape, count), same in shapes.items():
        rows = {row.partitions: row for row in _at_most_images(same)}
        skewed = [row for text, row in rows.items() if text != count]
        if count not in rows or not skewed:
            continue
        equal = rows[count]
        for row in skewed:
            ratio = _median(row) / _median(equal)
            even = f"{row.balance:.0%} against {equal.balance:.0%}" if row.balance else "not known"
            same_time = " (no clear difference)" if _overlap(equal, row) else ""
            yield (
                f"{row.engine} on {row.model}, {counted(row.samples, 'image')}, {shape}: "
                f"partitions {row.partitions} take {ratio:.2f} times as long as {count} equal ones"
                f"{same_time}; balance {even}"
            )


def _at_most_images(found: Sequence[Figure]) -> list[Figure]:
    """Those of the largest number of images that most of the ways were run on."""
    by_samples: dict[int, list[Figure]] = defaultdict(list)
    for figure in found:
        by_samples[figure.samples].append(figure)
    return max(by_samples.items(), key=lambda item: (len(item[1]), item[0]), default=(0, []))[1]


def _median(figure: Figure) -> float:
    assert figure.time is not None
    return figure.time.median


def _overlap(one: Figure, other: Figure) -> bool:
    assert one.time is not None
    assert other.time is not None
    return one.time.high >= other.time.low and other.time.high >= one.time.low


def _memory_text(best: Figure, rows: Sequence[Figure]) -> str:
    least = min(rows, key=lambda row: row.rss_bytes or 0)
    if not best.rss_bytes or not least.rss_bytes or least is best:
        return ""
    ratio = best.rss_bytes / least.rss_bytes
    return f", with {ratio:.2f} times the memory of {least.shape}"


def _and(names: Sequence[str]) -> str:
    *some, last = names
    return f"{', '.join(some)} and {last}" if some else last

"""Tensors compared with the expected ones, batch by batch, and the verdict on each."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.golden.checks import ELEMENTWISE, Check, Statistic
from bench.verdict.noise import Noise
from bench.verdict.parity import TINY, Parity, Tolerance
from bench.verdict.rule import Judge, Verdict
from bench.verdict.status import FAILED, MISTRUSTED, NOT_RUN, PASSED

MAX_WORST = 5


@dataclass(frozen=True)
class ComparedTensor:
    """What is known of a compared tensor before it is; `shape` is that of one image's.

    `explicit` says that the user gave its tolerance, which is then all that is asked of it.
    `reads` are the tensors that its operator computes it from, but for weights and the network's
    input; None if the operator is not known.
    """

    name: str
    operator: str
    op_type: str
    shape: tuple[int, ...]
    is_output: bool
    tolerance: Tolerance
    explicit: bool = False
    reads: tuple[str, ...] | None = None


@dataclass(frozen=True)
class WorstElement:
    """An element outside the tolerance; `index` starts with the image's number."""

    index: tuple[int, ...]
    output: float
    expected: float
    allowed: float


@dataclass(frozen=True)
class TensorResult:
    """Figures and verdict on one tensor.

    `diverges` says that the output itself is wrong. `verdict` is None if nothing could be
    compared; `worst` holds the elements farthest outside, relative to what is allowed.
    """

    tensor: ComparedTensor
    status: str
    reason: str
    diverges: bool
    verdict: Verdict | None
    worst: tuple[WorstElement, ...] = ()

    @property
    def parity(self) -> Parity | None:
        """The figures; None if nothing could be compared."""
        return self.verdict.parity if self.verdict is not None else None


def compare(
    tensors: Sequence[ComparedTensor],
    check: Check,
    expected: Iterable[Mapping[str, np.ndarray]],
    outputs: Iterable[Mapping[str, np.ndarray]],
    *,
    noises: Mapping[str, Noise],
    fail_fast: bool = False,
) -> tuple[TensorResult, ...]:
    """Compares batches of tensors, each [rows, ...] by name, in the order of `tensors`.

    The batches of both sides need not be equally large. `noises` are of exactly these rows; a
    tensor without one is judged by its tolerance alone. With `fail_fast`, stops at the first
    batch that is wrong; tensors after the first such one are NOT RUN.
    """
    comparisons = [_Comparison(tensor, check, noises.get(tensor.name)) for tensor in tensors]
    for wanted, got in aligned(expected, outputs):
        for comparison in comparisons:
            name = comparison.tensor.name
            comparison.add(got.get(name), wanted.get(name))
        if fail_fast and any(comparison.diverges() for comparison in comparisons):
            break
    results = [comparison.result() for comparison in comparisons]
    diverging = first_diverging(results)
    if fail_fast and diverging is not None:
        end = results.index(diverging) + 1
        reason = f"stopped at {diverging.tensor.name}"
        results[end:] = [
            TensorResult(result.tensor, NOT_RUN, reason, False, None) for result in results[end:]
        ]
    return tuple(results)


def first_diverging(results: Iterable[TensorResult]) -> TensorResult | None:
    """The first tensor, in their order, whose output is wrong; None if none is."""
    return next((result for result in results if result.diverges), None)


def aligned(
    left: Iterable[Mapping[str, np.ndarray]], right: Iterable[Mapping[str, np.ndarray]]
) -> Iterator[tuple[dict[str, np.ndarray], dict[str, np.ndarray]]]:
    """Both sides' batches cut to equal numbers of rows, without copies.

    If one side ends before the other, its part of the last pairs is empty.
    """
    sides = [iter(left), iter(right)]
    held: list[dict[str, np.ndarray]] = [{}, {}]
    while True:
        for side in (0, 1):
            while not _rows(held[side]):
                following = next(sides[side], None)
                if following is None:
                    held[side] = {}
                    break
                held[side] = dict(following)
        counts = [rows for rows in map(_rows, held) if rows]
        if not counts:
            return
        rows = min(counts)
        yield _cut(held[0], 0, rows), _cut(held[1], 0, rows)
        held = [_cut(side, rows, None) for side in held]


def _rows(batch: Mapping[str, np.ndarray]) -> int:
    return max((len(array) for array in batch.values()), default=0)


def _cut(batch: Mapping[str, np.ndarray], start: int, end: int | None) -> dict[str, np.ndarray]:
    return {name: array[start:end] for name, array in batch.items()}


class _Comparison:
    """One tensor on its way through the batches."""

    def __init__(self, tensor: ComparedTensor, check: Check, noise: Noise | None) -> None:
        self.tensor = tensor
        self._judge = Judge(tensor.tolerance, noise, tensor.explicit)
        self._statistic = None if check.kind == ELEMENTWISE else Statistic(check)
        self._problem = ""
        self._rows = self._outside = 0
        self._worst: list[tuple[float, WorstElement]] = []

    def add(self, output: np.ndarray | None, expected: np.ndarray | None) -> None:
        """Takes the same rows of both; None is a tensor that one side does not have."""
        self._problem = self._problem or _problem(output, expected, self._rows)
        if self._problem or output is None or expected is None:
            return
        self._judge.add(output, expected)
        if self._statistic is not None:
            self._statistic.add(output, expected)
        if self._judge.outside > self._outside:
            self._outside = self._judge.outside
            self._add_worst(output, expected)
        self._rows += len(expected)

    def _add_worst(self, output: np.ndarray, expected: np.ndarray) -> None:
        wanted, got = expected.astype(np.float64), output.astype(np.float64)
        tolerance = self.tensor.tolerance
        with np.errstate(invalid="ignore"):
            error = np.abs(got - wanted)
            allowed = np.maximum(tolerance.atol + tolerance.rtol * np.abs(wanted), TINY)
            outside = ~(error <= allowed) & ~(np.isnan(got) & np.isnan(wanted)) & (got != wanted)
        flat = np.flatnonzero(outside)
        excess = np.nan_to_num(error.flat[flat] / allowed.flat[flat], nan=np.inf)
        for place in np.argsort(-excess, kind="stable")[:MAX_WORST]:
            index = tuple(int(i) for i in np.unravel_index(flat[place], wanted.shape))
            element = WorstElement(
                (index[0] + self._rows, *index[1:]),
                float(got[index]),
                float(wanted[index]),
                float(allowed[index]),
            )
            self._worst.append((float(excess[place]), element))
        self._worst = sorted(self._worst, key=lambda pair: -pair[0])[:MAX_WORST]

    def diverges(self) -> bool:
        """Whether the output is known to be wrong by now, before statistics over all of it."""
        wrong = self._judge.failing if self._statistic is None else self._judge.unlike
        return bool(self._problem or wrong)

    def result(self) -> TensorResult:
        worst = tuple(element for _, element in self._worst)
        problem = self._problem or ("" if self._rows else "there are no rows to compare")
        if problem:
            return TensorResult(self.tensor, FAILED, problem, True, None, worst)
        verdict = self._judge.verdict()
        if self._statistic is not None and not verdict.unlike:
            reason = self._statistic.verdict(self.tensor.tolerance)
            status = FAILED if reason else MISTRUSTED if verdict.silence else PASSED
            verdict = replace(verdict, status=status, reason=reason or verdict.silence)
        wrong = verdict.status == FAILED
        return TensorResult(self.tensor, verdict.status, verdict.reason, wrong, verdict, worst)


def _problem(output: np.ndarray | None, expected: np.ndarray | None, rows: int) -> str:
    """Why the two cannot be compared, after `rows` that could; empty if they can."""
    if output is None or expected is None:
        which = "output" if output is None else "expected tensor"
        return f"the {which} ends after {rows} rows" if rows else f"the {which} is missing"
    if output.shape[1:] != expected.shape[1:]:
        return f"shape {_times(output)} an image, expected {_times(expected)}"
    if len(output) != len(expected):
        return f"{len(output)} rows in a batch of {len(expected)}"
    if output.dtype != expected.dtype:
        return f"dtype {output.dtype}, expected {expected.dtype}"
    return ""


def _times(batch: np.ndarray) -> str:
    return "x".join(map(str, batch.shape[1:])) or "scalar"

"""The rows whose outputs are known, and the verdict on what a backend gave for them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from bench.verdict.noise import DIMMED, Noise, NoiseAccumulator
from bench.verdict.parity import Tolerance
from bench.verdict.precision import FLOAT32, PRECISIONS, Precision, precision_of
from bench.verdict.rule import Judge, Verdict, combined
from bench.workers.inputs import outputs_of, read
from columnar_nn.data import tensor_column

RELATIVE_ATOL, RTOL = FLOAT32.relative_atol, FLOAT32.rtol


@dataclass(frozen=True)
class Overrides:
    """Tolerances that the user gave, by output."""

    rtol: Mapping[str, float] = field(default_factory=dict)
    atol: Mapping[str, float] = field(default_factory=dict)


def write_compared(source: Path, rows: np.ndarray, path: Path, batch_size: int) -> None:
    """Copies some rows of an Arrow file into another, and after all of them their dimmed images.

    Those are all of its columns of tensors, the inputs of a network.
    """
    table = read(source)
    inputs = [
        index
        for index, field in enumerate(table.schema)
        if isinstance(field.type, pa.FixedShapeTensorType)
    ]
    with pa.ipc.new_file(str(path), table.schema) as writer:
        for dimming in (1.0, DIMMED):
            for start in range(0, len(rows), batch_size):
                batch = table.take(pa.array(rows[start : start + batch_size])).combine_chunks()
                for index in inputs:
                    pixels = tensor_column.to_numpy(batch.column(index).chunk(0))
                    dimmed = tensor_column.from_numpy((pixels * dimming).astype(pixels.dtype))
                    batch = batch.set_column(index, table.schema.field(index), dimmed)
                writer.write_table(batch)


@dataclass(frozen=True)
class Truth:
    """The reference's outputs, by name, for some rows of the images, and what float32 does there.

    The first `checked` images are among the rows: every configuration runs them, whatever its
    cells. `noise` and `tolerances` are by precision and output: of float32, and of others that some
    configuration may compute in. `explicit` are the outputs whose tolerance is the user's.
    """

    rows: np.ndarray
    checked: int
    outputs: dict[str, np.ndarray]
    noise: dict[str, dict[str, Noise]]
    tolerances: dict[str, dict[str, Tolerance]]
    explicit: frozenset[str]

    @classmethod
    def load(
        cls,
        rows: np.ndarray,
        checked: int,
        reference: Path,
        evaluations: Mapping[str, Path],
        overrides: Overrides,
    ) -> Truth:
        """Reads what was written for `rows`: the reference's outputs, and those of the plain
        evaluations by their precision, each followed by its dimmed images'."""
        outputs = outputs_of(reference)
        known = {precision_of(name): outputs_of(path) for name, path in evaluations.items()}
        noise, tolerances = {}, {}
        for precision, plain in known.items():
            noise[precision.name] = _noise(outputs, plain, precision)
            tolerances[precision.name] = {
                name: _tolerance(name, array, overrides, precision)
                for name, array in outputs.items()
            }
        return cls(
            rows,
            checked,
            outputs,
            noise,
            tolerances,
            frozenset(overrides.rtol) | frozenset(overrides.atol),
        )

    def judged_as(self, precision: str) -> Precision:
        """By which precision's rule an engine is judged that says it computes in `precision`."""
        return PRECISIONS[precision] if precision in self.noise else FLOAT32

    def compare(self, outputs: dict[str, np.ndarray], precision: Precision = FLOAT32) -> Verdict:
        """The verdict on the first images' outputs, by the rows that have a reference."""
        return combined(self._judge(name, outputs[name], precision) for name in self.outputs)

    def _judge(self, name: str, output: np.ndarray, precision: Precision) -> Verdict:
        known = self.rows < len(output)
        noise = self.noise[precision.name][name].of_rows(known)
        tolerance = self.tolerances[precision.name][name]
        judge = Judge(tolerance, noise, name in self.explicit, precision)
        judge.add(output[self.rows[known]], self.outputs[name][known])
        return judge.verdict()

    def context(self) -> dict[str, Any]:
        """What the report says of it: rows, and of each output its tolerance and what tells."""
        return {
            "rows": len(self.rows),
            "checked": self.checked,
            "tolerances": self.tolerance_of(FLOAT32),
            "telling": {name: self._telling(name) for name in self.outputs},
        }

    def tolerance_of(self, precision: Precision) -> dict[str, Any]:
        """What each output may be off by everywhere, as results have it."""
        return {
            name: {
                "atol": tolerance.atol,
                "rtol": tolerance.rtol,
                "explicit": name in self.explicit,
            }
            for name, tolerance in self.tolerances[precision.name].items()
        }

    def _telling(self, name: str) -> dict[str, int]:
        """How many of an output's rows and columns depend on the images."""
        noise, tolerance = self.noise[FLOAT32.name][name], self.tolerances[FLOAT32.name][name]
        judge = Judge(tolerance, noise, explicit=name in self.explicit)
        judge.add(self.outputs[name], self.outputs[name])
        verdict = judge.verdict()
        return {
            "rows": len(self.rows) - verdict.silent_rows,
            "columns": verdict.columns - verdict.silent_columns,
            "of_columns": verdict.columns,
        }


def accuracy(
    outputs: dict[str, np.ndarray], labels: np.ndarray | None, top: int = 1
) -> float | None:
    """Share of rows whose label is at one of the `top` largest logits, of equal ones the first.

    None without labels, unless there is one output of more than `top` classes, or if a label is
    none of its classes.
    """
    if len(outputs) != 1 or labels is None:
        return None
    (logits,) = outputs.values()
    if logits.ndim != 2 or logits.shape[1] <= max(int(labels.max(initial=0)), top):
        return None
    best = np.argsort(-logits, axis=1, kind="stable")[:, :top]
    return float((best == labels[: len(logits), np.newaxis]).any(axis=1).mean())


def rows_to_compare(samples: Sequence[int], checked: int, limit: int, batch: int = 1) -> np.ndarray:
    """Sorted rows, about `limit` of them, on which outputs are compared with the reference.

    The first `checked` ones, and all others if they are few enough; else some of every cell,
    spread evenly and with its first and last rows, where a backend's handling of the last,
    smaller batch would go wrong. Of a network tied to a `batch` size whole batches, of each cell
    the first and the last at least.
    """
    if batch > 1:
        counts = [count // batch for count in samples]
        batches = rows_to_compare(counts, -(-checked // batch), limit // batch)
        return (batches[:, np.newaxis] * batch + np.arange(batch)).reshape(-1)
    first, largest = np.arange(checked), max(samples)
    if largest <= limit:
        return np.arange(max(largest, checked))
    share = max(2, limit // len(samples))
    chosen = [np.linspace(0, count - 1, min(share, count)).round() for count in samples]
    return np.unique(np.concatenate([first, *chosen])).astype(np.int64)


def check_batches(batch_sizes: Sequence[int], images: int) -> tuple[int, int]:
    """Images and batch size of a run of at least `images`, in batches of a size already run.

    Full ones: another size would be compiled for anew by some backends.
    """
    fitting = [size for size in batch_sizes if size <= images]
    size = max(fitting) if fitting else min(batch_sizes)
    return -(-images // size) * size, size


def _noise(
    outputs: Mapping[str, np.ndarray], plain: Mapping[str, np.ndarray], precision: Precision
) -> dict[str, Noise]:
    noise = {}
    for name, array in outputs.items():
        accumulator = NoiseAccumulator(precision)
        accumulator.add(array, *np.split(plain[name], 2))
        noise[name] = accumulator.result()
    return noise


def _tolerance(
    name: str, reference: np.ndarray, overrides: Overrides, precision: Precision
) -> Tolerance:
    largest = float(np.abs(reference[np.isfinite(reference)]).max(initial=0.0))
    return Tolerance(
        atol=overrides.atol.get(name, precision.relative_atol * largest),
        rtol=overrides.rtol.get(name, precision.rtol),
    )

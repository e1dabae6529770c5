"""What the parts of the engine benchmark measured themselves, as rows of results.

Their comparisons are sessions of their own (bench/engine/setup.py).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from typing import Any

from bench.engine.ablation import Ablation
from bench.engine.batch_sizes import CONFIGURATION, BatchSizes
from bench.engine.cold_start import ColdStarts
from bench.engine.layers import LayersResult
from bench.engine.overhead import OverheadResult
from bench.engine.roofline import Roofline
from bench.engine.setup import BATCH_SIZE, PROFILED_IMAGES, Setup, columnar
from bench.results.recording import Recorder
from bench.results.schema import PEAK, PROFILE, STREAM, Row
from bench.results.summary import COLD_START
from bench.verdict.status import PASSED
from bench.workers.selection import Selection


def record(part: Any, recorder: Recorder, setup: Setup) -> None:
    """Adds the rows of a part; none of one that only compares."""
    if type(part) in _RECORD:
        _RECORD[type(part)](part, recorder, setup)


def _peak(recorder: Recorder, setup: Setup, threads: int) -> Row:
    """The cell of what so many threads of the machine can do."""
    subject = recorder.subject(Selection("machine", "peak", threads=threads), setup.options)
    return recorder.cell(subject, PEAK, None, None, status=PASSED)


def _columnar(recorder: Recorder, setup: Setup, configuration: str, **found: Any) -> Row:
    return recorder.subject(columnar(configuration, 1), setup.options, **found)


def _roofline(part: Roofline, recorder: Recorder, setup: Setup) -> None:
    cells = {threads: _peak(recorder, setup, threads) for threads in part.gflops}
    for threads, gflops in part.gflops.items():
        recorder.observe(cells[threads], "flops_per_second", [gflops * 1e9])
    for bandwidth in part.bandwidths:
        for kernel, gigabytes in bandwidth.gigabytes_per_second.items():
            recorder.observe(
                cells[bandwidth.threads],
                "bandwidth",
                [gigabytes * 1e9],
                [kernel, bandwidth.level],
                detail={"bytes_a_thread": bandwidth.num_bytes},
            )


def _layers(part: LayersResult, recorder: Recorder, setup: Setup) -> None:
    recorder.observe(
        _peak(recorder, setup, 1), "flops_per_second", [peak * 1e9 for peak in part.peaks]
    )
    for times in part.configurations:
        subject = _columnar(recorder, setup, times.configuration)
        cell = recorder.cell(subject, PROFILE, part.images, part.batch_size, status=PASSED)
        index = 0
        for seconds, taken in zip(times.plain, times.disturbances, strict=True):
            disturbance = taken and asdict(taken)
            recorder.observe(cell, "time", seconds, index=index, disturbance=disturbance)
            index += len(seconds)
        recorder.observe(cell, "profiled_time", times.profiled)
        for number, layer in enumerate(times.layers):
            detail = {
                "operator": layer.kernel,
                "output_shape": layer.output_shape,
                "operations_an_image": layer.operations,
                "executed_an_image": layer.executed,
                "bytes_an_image": layer.num_bytes,
            }
            part_of_run = [str(number), *layer.label.split("+")]
            recorder.observe(cell, "operator", layer.seconds, part_of_run, detail=detail)


def _ablation(part: Ablation, recorder: Recorder, setup: Setup) -> None:
    for traffic in part.traffic:
        subject = _columnar(recorder, setup, traffic.configuration)
        detail = {"kernels": traffic.kernels}
        cell = recorder.cell(
            subject, PROFILE, PROFILED_IMAGES, BATCH_SIZE, status=PASSED, detail=detail
        )
        recorder.observe(cell, "traffic", [traffic.intermediate_bytes])
        recorder.observe(cell, "held", [traffic.held_bytes])


def _overhead(part: OverheadResult, recorder: Recorder, setup: Setup) -> None:
    subject = _columnar(recorder, setup, part.configuration)
    for runs in part.runs:
        samples = runs.images * runs.batches
        cell = recorder.cell(subject, PROFILE, samples, runs.images, status=PASSED)
        disturbance = runs.disturbance and asdict(runs.disturbance)
        recorder.observe(cell, "time", runs.plain, disturbance=disturbance)
        recorder.observe(cell, "profiled_time", runs.clocked)
        recorder.observe(cell, "kernels", runs.kernel_seconds)


def _batches(part: BatchSizes, recorder: Recorder, setup: Setup) -> None:
    subject = _columnar(recorder, setup, CONFIGURATION)
    for memory in part.memory:
        cell = recorder.cell(subject, STREAM, memory.samples, BATCH_SIZE, status=PASSED)
        recorder.observe(cell, "rss", [memory.started_bytes], ["start"])
        recorder.observe(cell, "rss", [memory.peak_bytes], ["peak"])


def _cold_starts(part: ColdStarts, recorder: Recorder, setup: Setup) -> None:
    for kind in part.states:
        options = {**setup.options.asked, **({"cache": kind.cache} if kind.cache else {})}
        one_thread = replace(kind.selection, threads=1)
        subject = recorder.subject(one_thread, setup.options, options=options)
        cell = recorder.start(subject, setup.options.batch_size, status=PASSED)
        names = {f"{name}_s": name for name in COLD_START} | {"cold_start_s": "total"}
        for field, name in names.items():
            recorder.observe(cell, "cold_start", [start[field] for start in kind.starts], [name])
        recorder.observe(cell, "cpu", [start["cpu_s"] for start in kind.starts])


_RECORD: Mapping[type, Callable[[Any, Recorder, Setup], None]] = {
    Roofline: _roofline,
    LayersResult: _layers,
    Ablation: _ablation,
    OverheadResult: _overhead,
    BatchSizes: _batches,
    ColdStarts: _cold_starts,
}

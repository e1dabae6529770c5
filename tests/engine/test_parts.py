"""Every part on a small network: what it measures is there, positive and consistent."""

from __future__ import annotations

from dataclasses import replace

import fake_backends
import numpy as np
import pytest
from rich.console import Console

from adapters import registry
from bench.engine import (
    ablation,
    batch_sizes,
    cold_start,
    layers,
    overhead,
    peers,
    report,
    roofline,
    scaling,
    steps,
)
from bench.engine import run as run_module
from bench.engine.run import EngineResult, parse_parts, run
from bench.engine.setup import Setup
from bench.results import document
from bench.results.results import Results
from bench.text.table_style import WIDTH
from bench.verdict.status import CRASHED, NOT_RUN, PASSED, SKIPPED
from bench.workers.process import WorkerError
from columnar_nn.errors import UsageError

CONTEXT = {
    "machine": {"brand": "a processor", "architecture": "x86_64"},
    "settings": {"cpus": [0, 1]},
    "model": {"name": "small"},
    "data": {"name": "synthetic"},
    "warnings": ["the machine is busy"],
}


def printed(result: EngineResult) -> str:
    console = Console(width=WIDTH, force_terminal=False)
    with console.capture() as capture:
        report.show(result, console)
    text = capture.get()
    assert max(map(len, text.splitlines())) <= WIDTH
    return text


def text_of(name: str, part: object) -> str:
    return printed(EngineResult(CONTEXT, {name: part}, complete=True))


@pytest.mark.parametrize(
    ("cpus", "counts"),
    [(1, (1,)), (2, (1, 2)), (3, (1, 2, 3)), (8, (1, 2, 4, 8)), (12, (1, 2, 4, 8, 12))],
)
def test_thread_counts(setup: Setup, cpus: int, counts: tuple[int, ...]) -> None:
    options = replace(setup.options, cpus=tuple(range(cpus)))
    assert replace(setup, options=options).thread_counts == counts


def test_roofline(setup: Setup) -> None:
    part = roofline.measure(setup)
    assert tuple(part.gflops) == setup.thread_counts
    assert min(part.gflops.values()) > 0
    assert {row.threads for row in part.bandwidths} == {1, setup.options.threads}
    assert "memory" in {row.level for row in part.bandwidths}
    assert all(min(row.gigabytes_per_second.values()) > 0 for row in part.bandwidths)
    assert "GFLOP/s in registers" in text_of("roofline", part)


def test_layers(setup: Setup) -> None:
    part = layers.measure(setup)
    direct, auto = part.configurations
    assert [times.configuration for times in part.configurations] == list(layers.CONFIGURATIONS)
    assert [layer.label for layer in direct.layers] == [layer.label for layer in auto.layers]
    assert {layer.operations for layer in direct.layers} == {x.operations for x in auto.layers}
    for times in part.configurations:
        assert times.kernels == pytest.approx(sum(layer.nanoseconds for layer in times.layers))
        assert all(layer.nanoseconds > 0 for layer in times.layers)
    second = next(layer for layer in direct.layers if layer.label.startswith("conv2"))
    assert second.executed == 2 * 13 * 13 * 9 * 16 * 16
    text = text_of("layers", part)
    assert "direct_3x3" in text
    assert "winograd" in text


def test_ablation(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ablation, "SAMPLES", 40)
    part = ablation.measure(setup)
    assert {cell.status for cell in part.comparison.benchmarks} == {PASSED}
    traffic = {row.configuration: row for row in part.traffic}
    assert set(traffic) == set(ablation.CONFIGURATIONS)
    for algorithm in ("direct", "auto"):
        unfused, layer, pipeline = (
            traffic[f"{fusion}/{algorithm}"] for fusion in ("none", "layer", "pipeline")
        )
        assert unfused.kernels > layer.kernels == pipeline.kernels
        assert unfused.intermediate_bytes > layer.intermediate_bytes == pipeline.intermediate_bytes
        assert layer.held_bytes > pipeline.held_bytes
    text_of("ablation", part)


def test_steps(setup: Setup) -> None:
    part = steps.measure(setup)
    assert {cell.status for cell in part.comparison.benchmarks} == {PASSED}
    cells = {cell.configuration: cell for cell in part.comparison.benchmarks}
    assert list(cells) == list(steps.STEPS)
    text = text_of("steps", part)
    textbook, direct = (cells[name].fastest_s for name in ("none/textbook", "pipeline/direct"))
    row = next(line for line in text.splitlines() if "pipeline/direct" in line)
    assert row.split()[-1] == (f"{textbook / direct:.2f}" if textbook and direct else "-")


def test_overhead(setup: Setup) -> None:
    part = overhead.measure(setup)
    assert [(kind.images, kind.batches) for kind in part.runs] == list(overhead.RUNS)
    for kind in part.runs:
        assert min(kind.kernels, kind.outside, kind.end_to_end) > 0
        assert 0 < kind.share < 1
    text_of("overhead", part)


def test_batch_sizes(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_sizes, "SAMPLES", (1, 512, 600))
    # The largest number of images is run even if the budget of the other parts is too small.
    part = batch_sizes.measure(replace(setup, limits=replace(setup.limits, budget=0.0)))
    assert [memory.samples for memory in part.memory] == [1, 512, 600]
    assert all(memory.peak_bytes >= memory.started_bytes > 0 for memory in part.memory)
    assert {cell.status for cell in part.comparison.benchmarks} == {PASSED}
    steady = next(row for row in text_of("batches", part).splitlines() if row.startswith("512 "))
    assert steady.split().count("1.00") == 1


def test_scaling(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "SAMPLES", (1, 33))
    part = scaling.measure(setup)
    found = {(cell.threads, cell.samples, cell.status) for cell in part.comparison.benchmarks}
    counts = setup.thread_counts
    assert found == {(count, samples, PASSED) for count in counts for samples in (1, 33)}
    assert "speed-up" in text_of("threads", part)


def test_peers(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    backends = {name: registry.BACKENDS[name] for name in ("columnar", "reference")}
    # Workers, which have the unchanged registry, find the fakes by these dotted names.
    fakes = {
        f"fake_backends.{name}": f"fake_backends:{name}"
        for name in ("FakeBackend", "MissingBackend")
    }
    monkeypatch.setattr(registry, "BACKENDS", {**backends, **fakes})
    monkeypatch.setattr(peers, "SAMPLES", (1, 3))
    part = peers.measure(replace(setup, graph=fake_backends.tiny_graph()))  # all the fake knows
    statuses = {cell.label: cell.status for cell in part.comparison.benchmarks}
    assert statuses == {
        "columnar:pipeline/auto": PASSED,
        "columnar:pipeline/direct": PASSED,
        "fake_backends.FakeBackend:fine": PASSED,
        "fake_backends.MissingBackend:default": SKIPPED,
    }
    assert "skipped" in text_of("peers", part)


def test_a_run_that_would_take_too_long_names_its_limit(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    backends = {name: registry.BACKENDS[name] for name in ("columnar", "reference")}
    monkeypatch.setattr(registry, "BACKENDS", backends)
    monkeypatch.setattr(peers, "SAMPLES", (1, 512))
    part = peers.measure(replace(setup, limits=replace(setup.limits, budget=1e-6)))
    assert {cell.status for cell in part.comparison.benchmarks if cell.samples == 512} == {NOT_RUN}
    assert "a single run would take longer than 1e-06 s" in text_of("peers", part)


def test_cold_start(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold_start, "STARTS", 1)
    part = cold_start.measure(setup)
    assert [state.cache for state in part.states] == ["empty", "warm"]
    for state in part.states:
        for start in state.starts:
            parts = sum(seconds for name, seconds in start.items() if name != "cold_start_s")
            assert 0 < parts <= start["cold_start_s"]
    # Every cache folder, of its own or common, was filled by the start that found it empty.
    folders = list(setup.folder.glob("cache-*"))
    assert len(folders) == 2
    assert all(list(folder.glob("kernels/*/*.kernel")) for folder in folders)
    text_of("coldstart", part)


def test_parts_run_in_their_order_and_each_once() -> None:
    assert parse_parts("threads, roofline,threads") == ("roofline", "threads")
    with pytest.raises(UsageError, match="--part 'speed': choose from roofline, layers"):
        parse_parts("roofline,speed")


def test_a_part_that_fails_is_reported_and_the_next_one_runs(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_: Setup) -> None:
        raise WorkerError(CRASHED, "killed by SIGILL", fatal=True)

    parts = {"layers": fail, "overhead": overhead.measure}
    monkeypatch.setattr(run_module, "PARTS", parts)
    result = EngineResult(CONTEXT)
    run(parts, setup, result)
    assert (result.complete, result.exit_code()) == (True, 1)
    assert list(result.parts) == ["overhead"]
    assert "layers could not be measured: CRASHED: killed by SIGILL" in printed(result)
    found = document.loads(document.to_json(result.results()))
    sessions = {row["settings"]["part"]: row for row in found["session"]}
    assert [row["complete"] for row in sessions.values()] == [False, True]
    warnings = sessions["layers"]["warnings"]
    assert warnings[-1] == "layers could not be measured: CRASHED: killed by SIGILL"
    assert warnings[:-1] == CONTEXT["warnings"], "and of no other part"
    overheads = found.session(sessions["overhead"]["session_id"])
    samples = {row["samples"] for row in overheads["workload"]}
    assert samples == {1, 32, 128}
    part = result.parts["overhead"]
    (whole,) = [run for run in part.runs if (run.images, run.batches) == (1, 1)]
    cell = next(row["cell"] for row in overheads["cell"] if row["workload"] == workload(overheads))
    (times,) = [
        row["value"]
        for row in overheads["observation"]
        if (row["cell"], row["metric"]) == (cell, "time")
    ]
    assert float(np.median(times)) == whole.end_to_end


def workload(found: Results) -> str:
    """The workload of one image."""
    return next(row["workload"] for row in found["workload"] if row["samples"] == 1)


def test_an_interrupted_run_keeps_the_parts_it_has(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: Setup) -> None:
        raise KeyboardInterrupt

    parts = {"overhead": overhead.measure, "layers": interrupt}
    monkeypatch.setattr(run_module, "PARTS", parts)
    result = EngineResult(CONTEXT)
    with pytest.raises(KeyboardInterrupt):
        run(parts, setup, result)
    assert list(result.parts) == ["overhead"]
    assert not result.complete

"""Every part on a small network: what it measures is there, positive and consistent."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import fake_backends
import numpy as np
import pytest
from rich.console import Console

from adapters import registry
from bench.engine import (
    ablation,
    batch_sizes,
    cold_start,
    latency,
    layers,
    networks,
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
from bench.machine.disturbance import Disturbance
from bench.results import document
from bench.results.percentiles import percentile
from bench.results.results import Results
from bench.results.schema import SINGLE_STREAM
from bench.results.summary import COLD_START
from bench.text.table_style import WIDTH
from bench.verdict.status import CRASHED, NOT_RUN, PASSED, SKIPPED
from bench.workers.process import WorkerError
from bench.workers.selection import select
from columnar_nn.errors import UsageError
from columnar_nn.model import zoo

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


TAKEN = Disturbance(wall_s=1.0, steal_s=0.5, others_s=0.0, run_queue_s=(), involuntary_switches=0)
"""Half of a second, by the hypervisor."""

FAKES = {
    f"fake_backends.{name}": f"fake_backends:{name}" for name in ("FakeBackend", "MissingBackend")
}
"""Workers, which have the unchanged registry, find them by these dotted names."""


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
        assert sum(map(len, times.plain)) >= layers.ROUNDS == len(times.disturbances)
    busy = replace(part, configurations=(replace(direct, disturbances=(TAKEN,)),))
    assert f"end to end, without their clocks, {direct.end_to_end / 1e3:,.1f} us*" in text_of(
        "layers", busy
    )
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
    quiet, busy = (
        replace(part, runs=(replace(part.runs[0], disturbance=taken),))
        for taken in (Disturbance(1.0, 0.0, 0.0, (), 0), TAKEN)
    )
    assert "*" not in text_of("overhead", quiet)
    assert f"{part.runs[0].end_to_end * 1e6:,.1f}* " in text_of("overhead", busy)
    assert "* others took over 10% of the time" in text_of("overhead", busy)


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
    monkeypatch.setattr(scaling, "CONFIGURATIONS", ("pipeline/auto",))
    part = scaling.measure(setup)
    found = {(cell.threads, cell.samples, cell.status) for cell in part.comparison.benchmarks}
    counts = setup.thread_counts
    assert found == {(count, samples, PASSED) for count in counts for samples in (1, 33)}
    assert "speed-up" in text_of("threads", part)


def test_peers(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    backends = {name: registry.BACKENDS[name] for name in ("columnar", "reference")}
    monkeypatch.setattr(registry, "BACKENDS", {**backends, **FAKES})
    monkeypatch.setattr(peers, "SAMPLES", (1, 3))
    part = peers.measure(replace(setup, graph=fake_backends.tiny_graph()))  # all the fake knows
    statuses = {cell.label: cell.status for cell in part.comparison.benchmarks}
    assert statuses == {
        "columnar:pipeline/auto": PASSED,
        "columnar:bfloat16": PASSED,
        "columnar:pipeline/direct": PASSED,
        "fake_backends.FakeBackend:fine": PASSED,
        "fake_backends.MissingBackend:default": SKIPPED,
    }
    assert "skipped" in text_of("peers", part)


def test_what_computes_in_less_than_float32_is_among_the_engines() -> None:
    labels = [selection.label for selection in peers.engines()]
    assert len(set(labels)) == len(labels)
    narrow = {"columnar:bfloat16", "openvino:default", "pytorch:bfloat16", "tensorflow:bfloat16"}
    assert set(labels) == narrow | {selection.label for selection in select(compared())}


def compared() -> list[str]:
    """The engines that `cnn-bench compare` runs by itself, but for what says what is right."""
    return [name for name in registry.BACKENDS if name != "reference"]


class Asked:
    """In place of Setup.compare: what it was asked for, setup and arguments."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[tuple[Setup, tuple[object, ...], dict[str, object]]] = []
        monkeypatch.setattr(Setup, "compare", lambda *given, **named: self._keep(given, named))

    def _keep(self, given: tuple[Any, ...], named: dict[str, object]) -> None:
        self.calls.append((given[0], given[1:], named))


def test_latency_asks_for_single_queries_enough_for_its_tail(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(monkeypatch)
    setup.measured.append(latencies([0.25, 0.5, 0.75], [0, 3, 0]))
    part = latency.measure(setup)
    ((given, (name, selections, samples), named),) = asked.calls
    assert (name, samples, named["traffic"].scenario) == ("latency", [1], SINGLE_STREAM)
    assert selections == peers.engines()
    assert percentile([1.0] * given.limits.runs, latency.TAIL) is not None
    assert part.kept == {"columnar:pipeline/auto": (0.25, 0.75)}


def latencies(seconds: list[float], switches: list[int]) -> Results:
    """Rows of one engine's queries, as a comparison has them."""
    subject = {"subject": "s", "backend": "columnar", "configuration": "pipeline/auto"}
    observed = {"cell": "c", "metric": "latency", "value": seconds, "switches": switches}
    other = {**observed, "metric": "phase"}
    rows = {"subject": [subject], "cell": [{"cell": "c", "subject": "s"}]}
    return rows | {"observation": [observed, other]}


def test_networks_are_compared_on_images_of_their_own_size(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(monkeypatch)
    monkeypatch.setattr(networks, "NETWORKS", ("plain9", "squeezenet"))
    told: list[tuple[int, int, str]] = []
    networks.measure(replace(setup, progress=lambda *step: told.append(step)))
    for (given, (part, selections, samples), _), side in zip(asked.calls, (32, 224), strict=True):
        assert (part, samples) == ("networks", networks.SAMPLES)
        assert [one.label for one in selections] == [networks.OURS, *networks.PEERS]
        assert given.dataset.image_shape == given.graph.inputs[0].shape[1:] == (3, side, side)
        given.progress(1, 4, "timing")
    assert told == [(1, 8, "plain9: timing"), (5, 8, "squeezenet: timing")]


def test_every_network_is_known_and_so_are_the_engines() -> None:
    assert set(networks.NETWORKS) <= set(zoo.BUILDERS)
    labels = [networks.OURS, *networks.PEERS]
    assert [selection.label for selection in select(labels)] == labels


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
    assert [state.cache for state in part.states][:2] == ["empty", "warm"]
    for state in part.states:
        for start in state.starts:
            parts = [start[f"{name}_s"] for name in COLD_START]
            assert 0 < sum(parts) <= start["cold_start_s"]
            assert start["cpu_s"] > 0
    if part.missing:
        assert part.of(cold_start.PEER) is None
    else:
        assert "wall time" in text_of("coldstart", part)
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
    text = printed(result)
    assert "layers could not be measured: CRASHED: killed by SIGILL" in text
    assert list(result.seconds) == ["layers", "overhead"]
    whole = sum(result.seconds.values())
    assert f"It took {whole:,.0f} s: overhead {result.seconds['overhead']:,.0f}, layers 0" in text
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

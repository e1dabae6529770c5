"""The engine benchmark's result as tables; nothing here measures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape

from bench.engine.ablation import Ablation
from bench.engine.batch_sizes import BatchSizes
from bench.engine.cell_text import fastest, median, per_image, ratio, show_reasons
from bench.engine.cold_start_report import show_cold_starts
from bench.engine.latency_report import show_latency
from bench.engine.layers import LayersResult, LayerTimes
from bench.engine.networks_report import show_networks
from bench.engine.operators_report import show_operators
from bench.engine.overhead import OverheadResult
from bench.engine.peers import Peers
from bench.engine.roofline import Roofline
from bench.engine.run import EngineResult
from bench.engine.scaling import PEER, Scaling
from bench.engine.steps import STEPS, Steps
from bench.machine.disturbance import disturbed
from bench.results.result import Benchmark, Result
from bench.text.caveats import show_caveats, show_disturbed
from bench.text.figures import milliseconds
from bench.text.table_style import (
    print_table,
    show_note,
    show_title,
    table,
)
from columnar_nn.kernels.roofline import STREAMS

_MIB = 2**20
_STEADY = 512
"""Images of which the time of an image is what others are compared with."""


def show(result: EngineResult, console: Console) -> None:
    """Prints every part that was measured, and why others could not be."""
    context = result.context
    machine, settings = context["machine"], context["settings"]
    console.print(
        f"[bold]{escape(context['model']['name'])}[/] on [bold]{escape(context['data']['name'])}[/]"
        f", {escape(machine['brand'] or machine['architecture'])}, CPU "
        f"{', '.join(map(str, settings['cpus']))}; one thread unless said",
        highlight=False,
    )
    show_caveats(console, context)
    for name, part in result.parts.items():
        _SHOW[name](part, console)
    if len(result.seconds) > 1:
        took = sorted(result.seconds.items(), key=lambda one: -one[1])
        parts = ", ".join(f"{name} {seconds:,.0f}" for name, seconds in took)
        whole = sum(result.seconds.values())
        console.print(f"\nIt took {whole:,.0f} s: {parts}", highlight=False)
    for name, reason in result.failures.items():
        console.print(f"\n[bold red]{name} could not be measured:[/] {escape(reason)}")


def _show_roofline(part: Roofline, console: Console) -> None:
    fused = "fused multiply-add" if part.fused_multiply_add else "multiply, then add"
    show_title(
        console, f"Roofline: GFLOP/s in registers, vectors of {part.vector_width} float32, {fused}"
    )
    made = table("threads", "GFLOP/s", "of one thread's")
    for threads, gflops in part.gflops.items():
        made.add_row(str(threads), f"{gflops:.1f}", f"{gflops / part.gflops[1]:.2f}")
    print_table(console, made)
    show_title(console, "Bandwidth in GB/s, all threads together, arrays of each thread its own")
    made = table("level", "KiB a thread", "threads", *STREAMS)
    for row in part.bandwidths:
        made.add_row(
            row.level,
            f"{row.num_bytes / 1024:,.0f}",
            str(row.threads),
            *(f"{row.gigabytes_per_second[kernel]:.1f}" for kernel in STREAMS),
        )
    print_table(console, made)
    show_note(
        console,
        "Bytes as STREAM counts them: those that the kernel names, not the line that a store "
        "fetches first.",
    )


def _show_layers(part: LayersResult, console: Console) -> None:
    direct = part.configurations[0]
    for times in part.configurations:
        show_title(
            console,
            f"Layers of {times.configuration}, an image, in batches of {part.batch_size}; peak "
            f"{part.core_gflops:.1f} GFLOP/s",
        )
        table_of_layers = _layer_table(times, direct, part.core_gflops)
        print_table(console, table_of_layers, ("kB", "FLOP/B", "effective"))
        rest = times.end_to_end - times.kernels
        mark = "*" if disturbed(times.disturbances) else ""
        show_note(
            console,
            f"sum of the kernels {times.kernels / 1e3:,.1f} us; end to end, without their clocks, "
            f"{times.end_to_end / 1e3:,.1f} us{mark} ({rest / times.end_to_end:+.1%})",
        )
        if mark:
            show_disturbed(console)
    show_note(
        console,
        "GFLOP/s effective: operations of the layer's definition; executed: multiply-adds that the "
        "kernel does, padded channels and ragged tiles too, without Winograd's transforms. peak: "
        "executed over multiply-adds in registers. kB: input, packed weights, output; FLOP/B: "
        "executed a byte. gain: direct's time over this.",
    )


def _layer_table(times: LayerTimes, direct: LayerTimes, peak: float) -> Any:
    compared = times is not direct
    made = table(
        "layer",
        "kernel",
        "us",
        "share",
        "effective",
        "executed",
        "peak",
        "kB",
        "FLOP/B",
        *(["gain"] if compared else []),
    )
    for layer, other in zip(times.layers, direct.layers, strict=True):
        row = [
            escape(layer.label),
            layer.kernel.removeprefix("conv2d_"),
            f"{layer.nanoseconds / 1e3:,.1f}",
            f"{layer.nanoseconds / times.kernels:.1%}",
            f"{layer.effective_gflops:.1f}",
            f"{layer.executed_gflops:.1f}" if layer.executed else "-",
            f"{layer.executed_gflops / peak:.0%}" if layer.executed else "-",
            f"{layer.num_bytes / 1e3:,.1f}",
            f"{layer.intensity:.1f}",
        ]
        made.add_row(*row, *([f"{other.nanoseconds / layer.nanoseconds:.2f}"] if compared else []))
    nanoseconds = times.kernels
    operations = sum(layer.operations for layer in times.layers)
    executed = sum(layer.executed for layer in times.layers)
    made.add_section()
    row = [
        "all",
        "",
        f"{nanoseconds / 1e3:,.1f}",
        "",
        f"{operations / nanoseconds:.1f}",
        f"{executed / nanoseconds:.1f}",
        f"{executed / nanoseconds / peak:.0%}",
        f"{sum(layer.num_bytes for layer in times.layers) / 1e3:,.1f}",
        "",
    ]
    made.add_row(*row, *([f"{direct.kernels / nanoseconds:.2f}"] if compared else []))
    return made


def _show_steps(part: Steps, console: Console) -> None:
    cells = {cell.configuration: cell for cell in part.comparison.benchmarks}
    first, images = cells[next(iter(STEPS))], part.comparison.benchmarks[0].samples
    show_title(console, f"From the textbook's convolution on, ms an image, {images:,} images")
    made = table("step", "configuration", "median", "fastest", "gain", "in all")
    before = first
    for name, step in STEPS.items():
        cell = cells[name]
        least = "-" if cell.fastest_s is None else milliseconds(cell.fastest_s / cell.samples)
        gains = (ratio(other, cell, fastest) for other in (before, first))
        made.add_row(step, name, per_image(cell), least, *gains)
        before = cell
    print_table(console, made)
    show_reasons(console, part.comparison)
    show_note(
        console,
        "gain: how many times as long the step before takes; in all: the first one; both by "
        "fastest runs.",
    )


def _show_ablation(part: Ablation, console: Console) -> None:
    cells = {cell.configuration: cell for cell in part.comparison.benchmarks}
    images = part.comparison.benchmarks[0].samples
    show_title(console, f"Fusion and algorithm, {images:,} images")
    made = table(
        "fusion/algorithm", "kernels", "ms/image", "none/this", "kB/image", "MiB held", "peak MiB"
    )
    peaks = {record.configuration: record.peak_rss_bytes for record in part.comparison.backends}
    for traffic in part.traffic:
        cell = cells[traffic.configuration]
        unfused = cells[f"none/{traffic.configuration.partition('/')[2]}"]
        made.add_row(
            traffic.configuration,
            str(traffic.kernels),
            per_image(cell),
            ratio(unfused, cell),
            f"{traffic.intermediate_bytes / 1e3:,.1f}",
            f"{traffic.held_bytes / _MIB:.2f}",
            f"{(peaks[traffic.configuration] or 0) / _MIB:,.0f}",
        )
    print_table(console, made)
    show_reasons(console, part.comparison)
    show_note(
        console,
        "kB/image: what kernels write for other kernels, and these read, counted from their "
        "layouts. MiB held: the operators' memory in which that happens. peak MiB: of the "
        "process, with Python.",
    )


def _show_overhead(part: OverheadResult, console: Console) -> None:
    show_title(console, f"Executor overhead of {part.configuration}, medians in us a batch")
    marks = ["*" if disturbed([run.disturbance]) else "" for run in part.runs]
    made = table(
        "images in a batch",
        "batches in a run",
        "end to end",
        "kernels",
        "outside them",
        "share",
        "runs",
    )
    for run, mark in zip(part.runs, marks, strict=True):
        made.add_row(
            str(run.images),
            str(run.batches),
            f"{run.end_to_end * 1e6:,.1f}{mark}",
            f"{run.kernels * 1e6:,.1f}",
            f"{run.outside * 1e6:,.1f}",
            f"{run.share:.2%}",
            str(run.runs),
        )
    print_table(console, made, ("runs",))
    if any(marks):
        show_disturbed(console)
    show_note(
        console,
        "end to end: of plain runs. The others are of runs whose kernels were timed: these, and "
        "the rest of the same run.",
    )


def _show_peers(part: Peers, console: Console) -> None:
    result = part.comparison
    show_title(console, "Side by side, ms an image, Arrow in to Arrow out")
    _show_times(result, console)
    ours = list(dict.fromkeys(c.label for c in result.benchmarks if c.backend == "columnar"))
    peers = [record.label for record in result.backends if record.backend != "columnar"]
    samples = _samples(result)
    for label in ours:
        for name, seconds in (("medians", median), ("fastest runs", fastest)):
            show_title(console, f"How many times as long as {label} the others take: {name}")
            made = table("backend:configuration", *(f"{count:,}" for count in samples))
            for peer in peers:
                cells = [(_cell(result, peer, n), _cell(result, label, n)) for n in samples]
                made.add_row(escape(peer), *(ratio(*pair, seconds) for pair in cells))
            print_table(console, made)
    show_note(
        console,
        "Where the two differ, something else was running: it slows all runs, the fastest least.",
    )
    show_reasons(console, result)


def _show_batches(part: BatchSizes, console: Console) -> None:
    result = part.comparison
    labels = list(dict.fromkeys(cell.label for cell in result.benchmarks))
    show_title(console, f"By number of images: ms an image, its ratio to that of {_STEADY}; memory")
    headings = [heading for label in labels for heading in (label.partition("/")[2], "ratio")]
    made = table("images", *headings, "peak MiB", "grown by MiB")
    for memory in part.memory:
        row = [f"{memory.samples:,}"]
        for label in labels:
            cell, steady = _cell(result, label, memory.samples), _cell(result, label, _STEADY)
            row += [per_image(cell), ratio(cell, steady)]
        grown = memory.peak_bytes - memory.started_bytes
        made.add_row(*row, f"{memory.peak_bytes / _MIB:.1f}", f"{grown / _MIB:.1f}")
    print_table(console, made)
    show_note(
        console,
        "peak MiB: of a process of its own that streamed so many images; grown: since its first "
        "batch.",
    )
    show_reasons(console, result)


def _show_scaling(part: Scaling, console: Console) -> None:
    result = part.comparison
    show_title(console, "Threads: ms an image, speed-up over one thread")
    made = table("configuration", "images", "threads", "ms/image", "speed-up", "fastest", "ahead")
    labels = dict.fromkeys(cell.label for cell in result.benchmarks)
    peer = next((label for label in labels if label.startswith(f"{PEER}:")), None)
    for label in labels:
        backend, _, configuration = label.partition(":")
        for samples in _samples(result):
            one = _cell(result, label, samples, 1)
            for threads in part.threads:
                cell = _cell(result, label, samples, threads)
                others = _cell(result, peer, samples, threads) if peer else cell
                made.add_row(
                    configuration if backend == "columnar" else backend,
                    f"{samples:,}",
                    str(threads),
                    per_image(cell),
                    ratio(one, cell),
                    ratio(one, cell, fastest),
                    "-" if others is cell else ratio(others, cell, fastest),
                )
    print_table(console, made)
    show_note(
        console,
        "speed-up: by medians, then by fastest runs. ahead: how many times as long ONNX Runtime "
        "takes with as many threads, by fastest runs.",
    )
    show_reasons(console, result)


def _show_times(result: Result, console: Console) -> None:
    samples = _samples(result)
    made = table("backend:configuration", *(f"{count:,}" for count in samples))
    for record in result.backends:
        made.add_row(
            escape(record.label),
            *(per_image(_cell(result, record.label, count)) for count in samples),
        )
    print_table(console, made)
    show_note(
        console,
        "Columns: numbers of images. ±: half of the median's confidence interval, in % of it.",
    )


def _samples(result: Result) -> list[int]:
    return sorted({cell.samples for cell in result.benchmarks})


def _cell(result: Result, label: str, samples: int, threads: int | None = None) -> Benchmark:
    return next(
        cell
        for cell in result.benchmarks
        if (cell.label, cell.samples) == (label, samples) and threads in (None, cell.threads)
    )


_SHOW: Mapping[str, Callable[[Any, Console], None]] = {
    "roofline": _show_roofline,
    "layers": _show_layers,
    "steps": _show_steps,
    "ablation": _show_ablation,
    "overhead": _show_overhead,
    "latency": show_latency,
    "peers": _show_peers,
    "networks": show_networks,
    "operators": show_operators,
    "batches": _show_batches,
    "threads": _show_scaling,
    "coldstart": show_cold_starts,
}

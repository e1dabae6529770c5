"""Figures in the tables, from results whose numbers are known."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from bench.engine import networks, report
from bench.engine.cold_start import EMPTY, WARM, ColdStart, ColdStarts
from bench.engine.latency import Latency
from bench.engine.layers import LayersResult, LayerTimes, TimedLayer
from bench.engine.overhead import Overhead, OverheadResult
from bench.engine.peers import Peers
from bench.engine.run import EngineResult
from bench.engine.scaling import Scaling
from bench.results.result import BackendRecord, Benchmark, Result, Served
from bench.results.schema import SINGLE_STREAM
from bench.text.table_style import WIDTH
from bench.verdict.status import FAILED, NOT_RUN, PASSED
from bench.workers.selection import Selection

CONTEXT = {
    "machine": {"brand": None, "architecture": "riscv64"},
    "settings": {"cpus": [3]},
    "model": {"name": "plain9"},
    "data": {"name": "photo10"},
    "warnings": [],
}


def cell(
    backend: str, configuration: str, samples: int, seconds: float, threads: int = 1
) -> Benchmark:
    return Benchmark(
        backend,
        configuration,
        samples,
        min(samples, 128),
        threads,
        PASSED,
        times=(seconds,) * 2,
        median_s=seconds,
        ci_low_s=0.99 * seconds,
        ci_high_s=1.02 * seconds,
    )


def result_of(*cells: Benchmark) -> Result:
    records = dict.fromkeys((c.backend, c.configuration) for c in cells)
    return Result(
        context={"settings": {"budget_s": 20.0}},
        backends=tuple(BackendRecord(*record, threads=1, status=PASSED) for record in records),
        benchmarks=cells,
    )


def printed(name: str, part: object) -> list[str]:
    narrow, lines = (_printed(name, part, width) for width in (80, WIDTH))
    assert narrow[0] == lines[0]
    return lines


def _printed(name: str, part: object, width: int) -> list[str]:
    console = Console(width=width, force_terminal=False)
    with console.capture() as capture:
        report.show(EngineResult(CONTEXT, {name: part}, complete=True), console)
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= width
    return lines


def row(lines: list[str], *beginning: str) -> list[str]:
    (found,) = [
        line.split() for line in lines if tuple(line.split()[: len(beginning)]) == beginning
    ]
    return found[len(beginning) :]


def test_ratios_are_of_times_an_image() -> None:
    part = Peers(
        result_of(
            cell("columnar", "pipeline/auto", 1, 0.0004),
            cell("columnar", "pipeline/auto", 100, 0.04),
            replace(cell("onnxruntime", "default", 1, 0.0012), times=(0.0013, 0.00128)),
            cell("onnxruntime", "default", 100, 0.14),
        )
    )
    lines = printed("peers", part)
    assert row(lines, "columnar:pipeline/auto") == ["0.400", "±2%", "0.400", "±2%"]
    times, medians, fastest = [x.split()[1:] for x in lines if x.startswith("onnxruntime")]
    assert times == ["1.20", "±2%", "1.40", "±2%"]
    assert medians == ["3.00", "3.50"]
    assert fastest == ["3.20", "3.50"]


def test_what_did_not_run_or_pass_has_no_ratio_or_a_mark() -> None:
    missing = Benchmark("velox", "best", 1, 1, 1, NOT_RUN, "one run takes 60 s", predicted_s=60.0)
    wrong = cell("pytorch", "eager", 1, 0.002)
    wrong = Benchmark(**{**vars(wrong), "status": FAILED, "reason": "3 outside"})
    ended = Benchmark("openvino", "float32", 1, 1, 1, NOT_RUN, "the comparison ended before it")
    part = Peers(result_of(cell("columnar", "pipeline/auto", 1, 0.0004), missing, wrong, ended))
    lines = printed("peers", part)
    assert [line.split()[1:] for line in lines if line.startswith("velox:best ")] == [
        ["over", "budget"],
        ["-"],
        ["-"],
    ]
    assert row(lines, "openvino:float32", "not") == ["run"]
    assert "openvino:float32: not run: the comparison ended before it" in lines
    assert any(line.startswith("pytorch:eager") and line.endswith("±2%!") for line in lines)
    assert "pytorch:eager: failed: 3 outside" in lines
    assert "over budget: a single run would take longer than 20 s; --budget allows more" in lines
    assert not any("60 s" in line for line in lines)


def test_one_run_has_no_interval() -> None:
    once = replace(cell("columnar", "pipeline/auto", 1, 0.0004), times=(0.0004,))
    lines = printed("peers", Peers(result_of(once)))
    assert row(lines, "columnar:pipeline/auto") == ["0.400"]


def test_speed_up_and_how_far_ahead() -> None:
    part = Scaling(
        (1, 2),
        result_of(
            cell("columnar", "pipeline/auto", 32, 1.0),
            replace(cell("columnar", "pipeline/auto", 32, 0.625, threads=2), times=(0.5, 0.75)),
            cell("onnxruntime", "default", 32, 3.0),
            cell("onnxruntime", "default", 32, 1.5, threads=2),
        ),
    )
    lines = printed("threads", part)
    assert row(lines, "pipeline/auto", "32", "1")[-3:] == ["1.00", "1.00", "3.00"]
    assert row(lines, "pipeline/auto", "32", "2")[-3:] == ["1.60", "2.00", "3.00"]
    assert row(lines, "onnxruntime", "32", "2")[-3:] == ["2.00", "2.00", "-"]


def test_layers_show_work_over_time() -> None:
    def times(configuration: str, kernel: str, executed: int, nanoseconds: float) -> LayerTimes:
        layer = TimedLayer(
            "conv6+relu6", f"conv2d_{kernel}_3x3", (64, 20, 20), 9000, executed, 450, nanoseconds
        )
        return LayerTimes(configuration, (layer,), 1.25 * nanoseconds)

    part = LayersResult(
        40.0,
        128,
        128,
        (
            times("pipeline/direct", "direct", 9000, 300.0),
            times("pipeline/auto", "winograd_f5x5", 2700, 120.0),
        ),
    )
    lines = printed("layers", part)
    figures = row(lines, "conv6+relu6", "direct_3x3")
    assert figures == ["0.3", "100.0%", "30.0", "30.0", "75%", "0.5", "20.0"]
    figures = row(lines, "conv6+relu6", "winograd_f5x5_3x3")
    assert figures == ["0.1", "100.0%", "75.0", "22.5", "56%", "0.5", "6.0", "2.50"]
    assert sum("(+20.0%)" in line for line in lines) == 2


def test_overhead_is_a_share_of_its_own_run() -> None:
    run = Overhead(32, 4, runs=9, end_to_end=0.0125, kernels=0.0097, outside=0.0003)
    lines = printed("overhead", OverheadResult("pipeline/auto", (run,)))
    assert row(lines, "32", "4") == ["12,500.0", "9,700.0", "300.0", "3.00%", "9"]


def test_cold_starts_are_compared_by_wall_and_by_cpu_time() -> None:
    def kind(name: str, cache: str, *totals: float) -> ColdStart:
        starts = [
            {
                **dict.fromkeys(("process_s", "import_s", "build_s", "first_inference_s"), 0.1),
                "cold_start_s": total,
                "cpu_s": total / 2,
            }
            for total in totals
        ]
        return ColdStart(Selection(name, "default"), cache, tuple(starts))

    ours, theirs = kind("columnar", WARM, 0.4, 0.6, 0.7), kind("onnxruntime", "", 1.0, 0.8, 1.2)
    first = kind("columnar", EMPTY, 4.0, 5.0, 6.0)
    lines = printed("coldstart", ColdStarts((first, ours, theirs)))
    assert row(lines, "columnar,", "warm")[4:6] == ["0.600", "0.300"]
    assert row(lines, "wall", "time") == row(lines, "CPU", "time") == ["0.60", "0.50"]
    alone = printed("coldstart", ColdStarts((first, ours), "onnxruntime:default: not installed"))
    assert not any(line.startswith("wall time") for line in alone)
    assert "onnxruntime:default: not installed" in alone


def test_the_tail_is_that_of_the_queries() -> None:
    def served(name: str, configuration: str, milliseconds: float) -> Served:
        times = tuple(milliseconds / 1e3 * (1 + 2 * (index >= 980)) for index in range(1000))
        one = cell(name, configuration, 1, milliseconds / 1e3)
        return Served(replace(one, times=times), SINGLE_STREAM, None, None)

    ended = replace(cell("velox", "best", 1, 1.0), status=NOT_RUN, times=(), median_s=None)
    ended = replace(ended, reason="one run takes 60 s")
    part = Latency(
        replace(
            result_of(),
            served=(
                served("columnar", "pipeline/auto", 0.25),
                served("onnxruntime", "default", 0.75),
                Served(ended, SINGLE_STREAM, None, None),
            ),
        ),
        {"columnar:pipeline/auto": (0.25,) * 700, "onnxruntime:default": (0.75,) * 600},
    )
    lines = printed("latency", part)
    figures = row(lines, "columnar:pipeline/auto")
    assert figures == ["1,000", "0.250", "0.250", "0.750", "3.00", "1.00", "1.00", "1.00"]
    figures = row(lines, "onnxruntime:default")
    assert figures == ["1,000", "0.750", "0.750", "2.25", "3.00", "-", "3.00", "3.00"]
    assert row(lines, "velox:best") == ["not", "run", *["-"] * 7]
    assert "velox:best: not run: one run takes 60 s" in lines


def test_networks_are_compared_one_by_one() -> None:
    labels = (networks.OURS, *networks.PEERS)

    def compared(name: str, ours: float) -> Result:
        cells = [
            replace(cell(*label.split(":"), samples, seconds * samples), model=name)
            for samples in networks.SAMPLES
            for label, seconds in zip(labels, (ours, 0.06, 0.03), strict=True)
        ]
        return result_of(*cells)

    part = networks.Networks((compared("resnet50", 0.04), compared("unet", 0.06)))
    lines = printed("networks", part)
    resnet, unet = (
        [line.split()[2:] for line in lines if line.split()[:2] == [name, "8"]]
        for name in ("resnet50", "unet")
    )
    assert resnet == [
        ["40.0", "±2%", "60.0", "±2%", "30.0", "±2%"],
        ["1.50", "1.50", "0.75", "0.75"],
    ]
    assert unet[1] == ["1.00", "1.00", "0.50", "0.50"]
    assert EngineResult({}, {"networks": part}).exit_code() == 0

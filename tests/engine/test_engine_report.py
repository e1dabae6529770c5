"""Figures in the tables, from results whose numbers are known."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from bench.engine import report
from bench.engine.layers import LayersResult, LayerTimes, TimedLayer
from bench.engine.overhead import Overhead, OverheadResult
from bench.engine.peers import Peers
from bench.engine.run import EngineResult
from bench.engine.scaling import Scaling
from bench.results.result import BackendRecord, Benchmark, Result
from bench.text.table_style import WIDTH
from bench.verdict.status import FAILED, NOT_RUN, PASSED

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
    console = Console(width=WIDTH, force_terminal=False)
    with console.capture() as capture:
        report.show(EngineResult(CONTEXT, {name: part}, complete=True), console)
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= WIDTH
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


def test_speed_up_and_efficiency() -> None:
    part = Scaling(
        (1, 2),
        result_of(
            cell("columnar", "pipeline/auto", 32, 1.0),
            cell("columnar", "pipeline/auto", 32, 0.625, threads=2),
        ),
    )
    lines = printed("threads", part)
    assert row(lines, "pipeline/auto", "32", "1")[-2:] == ["1.00", "100%"]
    assert row(lines, "pipeline/auto", "32", "2")[-2:] == ["1.60", "80%"]


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

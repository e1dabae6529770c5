"""What the tables say of results made by hand."""

from __future__ import annotations

import dataclasses
import io
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from bench.compare import report
from bench.compare.ratio import ratio_text
from bench.results.result import BackendRecord, Benchmark, Result
from bench.text.table_style import WIDTH
from bench.verdict.precision import BFLOAT16
from bench.verdict.rule import RULE
from bench.verdict.status import CRASHED, FAILED, NOT_RUN, PASSED, SKIPPED

SAMPLES = (1, 10, 1000)


def context(samples: tuple[int, ...] = SAMPLES) -> dict[str, Any]:
    return {
        "model": {"name": "plain9", "parameters": 75907},
        "data": {"name": "photo10", "rows": 1000, "fingerprint": "none"},
        "settings": {
            "samples": list(samples),
            "batch_size": 128,
            "threads": 2,
            "cpus": [0, 1],
            "runs": 5,
            "min_time_s": 0.5,
            "budget_s": 3.0,
            "seed": 1,
            "algorithm": "auto",
        },
        "machine": {
            "brand": "A CPU",
            "architecture": "x86_64",
            "usable_cores": 2,
            "features": ["avx2"],
            "caches": {"L1": 2**15},
            "memory_bytes": 2**34,
            "kernel": "Linux",
        },
        "versions": {"python": "3.11"},
        "git_commit": "abc",
        "time": "now",
        "warnings": ["the machine is busy: load average 3.0 over the last minute"],
        "parity": {
            "rows": 1000,
            "failure": "",
            "tolerances": {"logits": {"atol": 2.5e-4, "rtol": 1e-4, "explicit": False}},
            "telling": {"logits": {"rows": 980, "columns": 10, "of_columns": 10}},
        },
    }


def cell(backend: str, configuration: str, samples: int, per_image: float) -> Benchmark:
    seconds = per_image * samples
    return Benchmark(
        backend,
        configuration,
        samples,
        min(samples, 128),
        2,
        PASSED,
        times=(seconds,) * 6,
        phases={"input": seconds * 0.1, "compute": seconds * 0.8, "output": seconds * 0.1},
        median_s=seconds,
        ci_low_s=seconds * 0.99,
        ci_high_s=seconds * 1.02,
        ci_confidence=0.97,
        images_per_second=samples / seconds,
        max_abs=1e-5,
        max_rel=2e-6,
        sqnr_db=110.0,
        top1_agreement=1.0,
        min_tolerance=3e-6,
        noise_ratio=2.5,
        parity_rows=samples,
        accuracy=0.75,
    )


def result(speeds: dict[tuple[str, str], float], samples: tuple[int, ...] = SAMPLES) -> Result:
    """A result in which each (backend, configuration) takes so many seconds an image."""
    records = tuple(
        BackendRecord(
            backend,
            configuration,
            2,
            PASSED,
            process_s=0.2,
            import_s=1.5,
            build_s=0.3,
            first_inference_s=0.02,
            cold_start_s=2.1,
            start_rss_bytes=50 * 2**20,
            peak_rss_bytes=350 * 2**20,
            description="as usual",
            notes=("bfloat16 inside",),
        )
        for backend, configuration in speeds
    )
    benchmarks = tuple(
        cell(backend, configuration, count, speed)
        for (backend, configuration), speed in speeds.items()
        for count in samples
    )
    return Result(context(samples), records, benchmarks)


def shown(outcome: Result, terminal: bool = False, width: int = WIDTH) -> str:
    output = io.StringIO()
    report.show(outcome, Console(file=output, width=width, force_terminal=terminal))
    return output.getvalue()


FOUR = {
    ("columnar", "pipeline"): 0.0002,
    ("onnxruntime", "default"): 0.0008,
    ("pytorch", "torchscript"): 0.001,
    ("pytorch", "eager"): 0.002,
}


def row(text: str, heading: str, label: str) -> list[str]:
    """Words of the row `label` in the table whose heading line holds `heading`."""
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if heading in line)
    return next(line for line in lines[start:] if line.startswith(label)).split()


def test_figures_are_where_they_belong() -> None:
    text = shown(result(FOUR))
    assert row(text, "1,000 images", "columnar")[1:] == [
        *("0.200", "±0.004"),
        *("2.00", "±0.04"),
        *("200", "±4"),
    ]
    assert row(text, "images/s", "pytorch:eager")[1:] == [
        *("1,000", "500", "2.00", "0.200", "1.60", "0.200"),
        *("10.00", "2.00"),
    ]
    assert row(text, "÷PyTorch", "columnar")[-2:] == ["1.00", "0.20"]
    assert row(text, "peak memory", "onnxruntime")[1:] == [
        *("0.20", "1.50", "0.30", "0.02", "2.10"),
        *("350", "300"),
    ]
    assert row(text, "SQNR", "columnar")[1:] == [
        *("1.0e-05", "2.0e-06", "2.5", "110", "3.0e-06"),
        *("100.00%", "75.0%", "PASSED"),
    ]
    assert "<= 0.00025 + 0.0001 |reference|" in text
    assert RULE in " ".join(text.split())
    assert "10 of 10 columns vary with the images, 980 of 1,000 images" in text
    assert "bfloat16 inside" in text
    assert "load average 3.0" in text
    assert "A CPU: 2 usable cores (pinned to CPU 0, 1), avx2; L1 32K; 16 GiB of memory" in text


def test_the_verdict_is_honest_both_ways() -> None:
    line = "columnar:pipeline is 4.00 (4.00) times as fast as onnxruntime:default"
    assert line in shown(result(FOUR))
    line = "columnar:pipeline takes 1.50 (1.50) times as long as onnxruntime:default"
    assert line in shown(result(FOUR | {("columnar", "pipeline"): 0.0012}))


@pytest.mark.parametrize(
    ("median", "fastest", "line"),
    [
        (2, 1.5, "A is 2.00 (1.50) times as fast as B"),
        (1, 0.999, "A is 1.00 (1.00) times as fast as B"),
        (0.5, 0.8, "A takes 2.00 (1.25) times as long as B"),
        (0.5, 1.001, "A takes 2.00 (1.00) times as long as B"),
        (
            *(0.7874, 1.176),
            "A and B: by medians it takes 1.27 times as long, but by fastest runs it is 1.18 times "
            "as fast",
        ),
        (
            *(1.27, 0.8),
            "A and B: by medians it is 1.27 times as fast, but by fastest runs it takes 1.25 times "
            "as long",
        ),
    ],
)
def test_a_ratio_never_contradicts_its_words(median: float, fastest: float, line: str) -> None:
    assert Text.from_markup(ratio_text("A", "B", median, fastest)).plain == line


def test_the_verdict_by_fastest_runs_is_of_these() -> None:
    outcome = result(FOUR)
    slow_once = tuple(
        dataclasses.replace(c, times=(0.5 * c.median_s, c.median_s, c.median_s))
        if c.backend == "columnar" and c.median_s
        else dataclasses.replace(c, times=(c.median_s,) * 3)
        for c in outcome.benchmarks
    )
    text = shown(dataclasses.replace(outcome, benchmarks=slow_once))
    assert "columnar:pipeline is 4.00 (8.00) times as fast as onnxruntime:default" in text


def disturbed(outcome: Result, backend: str, fastest: float | None) -> Result:
    """The same, but others took 45% of the backend's time; its fastest undisturbed run of 1."""
    return dataclasses.replace(
        outcome,
        benchmarks=tuple(
            dataclasses.replace(
                c,
                taken_share=0.45,
                undisturbed_s=fastest and fastest * c.samples,
                warning="disturbed: on purpose",
            )
            if c.backend == backend
            else c
            for c in outcome.benchmarks
        ),
    )


def test_a_disturbed_cell_is_marked_and_compared_by_its_fastest_runs_alone() -> None:
    text = shown(disturbed(result(FOUR), "onnxruntime", 0.0006))
    assert row(text, "1,000 images", "onnxruntime")[-1] == "±16*"
    assert "* disturbed: on purpose: onnxruntime:default on 1, 10, 1,000" in text
    line = "columnar:pipeline is (3.00) times as fast as onnxruntime:default; medians withheld: "
    assert line + "others took 45% of the time of onnxruntime:default" in " ".join(text.split())
    assert row(text, "÷fastest", "onnxruntime")[-2:] == ["-", "-"]
    assert row(text, "÷fastest", "pytorch:eager")[-2:] == ["10.00", "2.00"]


def test_a_disturbed_peer_does_not_hide_behind_a_slower_one() -> None:
    text = shown(disturbed(result(FOUR), "onnxruntime", 0.0009))
    assert "columnar:pipeline is (4.50) times as fast as onnxruntime:default" in text
    text = shown(disturbed(result(FOUR), "onnxruntime", 0.0011))
    assert "columnar:pipeline is 5.00 (5.00) times as fast as pytorch:torchscript" in text


def test_without_an_undisturbed_run_there_is_no_ratio() -> None:
    text = " ".join(shown(disturbed(result(FOUR), "columnar", None)).split())
    assert "times as fast" not in text
    line = "columnar:pipeline and onnxruntime:default; medians withheld: others took 45% of the "
    assert line + "time of columnar:pipeline, and left no run undisturbed" in text
    assert row(shown(disturbed(result(FOUR), "columnar", None)), "÷fastest", "pytorch:eager")[
        -2:
    ] == ["-", "2.00"]


def test_how_a_backend_itself_ended_is_said() -> None:
    outcome = result(FOUR)
    first, *rest = outcome.backends
    records = (dataclasses.replace(first, status=CRASHED, reason="killed by SIGKILL"), *rest)
    text = shown(dataclasses.replace(outcome, backends=records))
    assert "columnar:pipeline: CRASHED killed by SIGKILL" in text


def test_the_check_counts_where_it_is_worse() -> None:
    outcome = result(FOUR)
    checked = {
        "status": PASSED,
        "max_abs": 5e-5,
        "max_rel": 9e-6,
        "noise_ratio": 12.0,
        "sqnr_db": 90.0,
        "min_tolerance": 8e-6,
        "top1_agreement": 1.0,
        "parity_rows": 32,
    }
    first, *rest = outcome.backends
    records = (dataclasses.replace(first, checked=checked), *rest)
    text = shown(dataclasses.replace(outcome, backends=records))
    assert row(text, "SQNR", "columnar")[1:4] == ["5.0e-05", "9.0e-06", "12.0"]


def test_a_tolerance_of_the_user_stands_alone() -> None:
    outcome = result(FOUR)
    parity = outcome.context["parity"] | {
        "tolerances": {"logits": {"atol": 0.1, "rtol": 0.0, "explicit": True}}
    }
    text = shown(dataclasses.replace(outcome, context={**outcome.context, "parity": parity}))
    assert "logits passes if everywhere |output - reference| <= 0.1 + 0 |reference|." in text
    assert RULE not in " ".join(text.split())


def test_a_wrong_output_wins_nothing() -> None:
    outcome = result(FOUR)
    failed = tuple(
        dataclasses.replace(c, status=FAILED, reason="3 of 10 elements outside the tolerance")
        if c.backend == "columnar"
        else c
        for c in outcome.benchmarks
    )
    text = shown(dataclasses.replace(outcome, benchmarks=failed))
    assert "times as fast" not in text
    assert row(text, "÷fastest", "onnxruntime")[-2:] == ["1.00", "0.80"]
    assert row(text, "1,000 images", "columnar")[-1] == "±4!"
    assert "columnar:pipeline: FAILED 3 of 10 elements" in text


def test_cells_without_times_say_why_and_print_no_time() -> None:
    outcome = result({("velox", "default"): 0.1, ("tensorflow", "default"): 0.001})
    untimed = {"times": (), "median_s": None, "images_per_second": None, "parity_rows": 0}
    endings: dict[tuple[str, int], dict[str, Any]] = {
        ("velox", 1000): {"status": NOT_RUN, "reason": "too long", "predicted_s": 101.3},
        ("velox", 10): {"status": CRASHED, "reason": "killed by SIGSEGV"},
        ("velox", 1): {"status": NOT_RUN, "reason": "the comparison ended before it"},
        **{
            ("tensorflow", count): {"status": SKIPPED, "reason": "tensorflow is not installed"}
            for count in SAMPLES
        },
    }
    benchmarks = tuple(
        dataclasses.replace(b, **untimed, **endings[b.backend, b.samples])
        if (b.backend, b.samples) in endings
        else b
        for b in outcome.benchmarks
    )
    text = shown(dataclasses.replace(outcome, benchmarks=benchmarks))
    words = row(text, "1,000 images", "velox")
    assert words[1:] == ["not", "run", "crashed", "not", "run", "(~101", "s)"]
    assert "velox:default on 1: NOT RUN the comparison ended before it" in text
    assert "velox:default on 10: CRASHED killed by SIGSEGV" in text
    assert "not run (~): a run would take about that long" in text
    assert "tensorflow:default: SKIPPED tensorflow is not installed" in text
    assert "--budget is 3 s" in text
    assert row(text, "1,000 images", "tensorflow")[1:] == ["skipped"] * 3


def test_one_run_has_no_interval() -> None:
    outcome = result(FOUR)
    once = tuple(
        dataclasses.replace(b, times=b.times[:1], ci_confidence=0.0)
        if (b.backend, b.samples) == ("columnar", 10)
        else b
        for b in outcome.benchmarks
    )
    text = shown(dataclasses.replace(outcome, benchmarks=once))
    assert row(text, "1,000 images", "columnar")[1:] == ["0.200", "±0.004", "2.00", "200", "±4"]
    assert "of one run there is none" in " ".join(text.split())


@pytest.mark.parametrize("samples", [SAMPLES, (1, 2, 5, 10, 50, 100, 500, 1000, 5000, 100_000)])
@pytest.mark.parametrize("width", [WIDTH, 80])
def test_lines_fit_the_width_and_nothing_is_cut(samples: tuple[int, ...], width: int) -> None:
    outcome = result(FOUR | {("onnxruntime", "unfused-threads"): 1.5}, samples)
    text = shown(outcome, width=width)
    assert max(map(len, text.splitlines())) <= width
    assert "…" not in text
    for count in samples:
        assert f"{count:,} image" in text


def test_a_table_wider_than_the_width_is_still_whole() -> None:
    label = "a_package.with_a_long_name.Backend"
    text = shown(result(FOUR | {(label, "and-a-configuration-of-many-words"): 0.5}))
    assert "…" not in text
    assert row(text, "images/s", label)[1:] == ["2", "500", "400"]
    assert row(text, "÷PyTorch", label)[-1] == "500.00"
    assert "in JSON: output, input, images" in text


def test_colour_is_for_terminals() -> None:
    assert "\x1b[" not in shown(result(FOUR))
    assert "\x1b[" in shown(result(FOUR), terminal=True)


def test_what_computes_in_bfloat16_is_marked_and_has_its_own_rule() -> None:
    outcome = result(FOUR, (1, 10))
    records = tuple(
        dataclasses.replace(
            record, precision="bfloat16" if record.configuration == "eager" else "float32"
        )
        for record in outcome.backends
    )
    text = shown(dataclasses.replace(outcome, backends=records))
    assert row(text, "SQNR", "pytorch:eager")[-3:] == ["PASSED", "in", "bfloat16"]
    assert row(text, "SQNR", "columnar")[-1] == "PASSED"
    words = " ".join(text.split())
    assert "computed in bfloat16, not in float32: pytorch:eager" in words
    assert f"What computes in bfloat16 passes if {BFLOAT16.rule}" in words
    assert "bfloat16 passes if" not in shown(outcome)

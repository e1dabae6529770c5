"""A comparison's result as tables; nothing here measures or decides."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.compare import latency_report, query_report
from bench.compare.ratio import compared
from bench.results.result import BackendRecord, Benchmark, Result, best
from bench.results.schema import OFFLINE
from bench.text.caveats import show_caveats, show_narrow
from bench.text.figures import about, counted, milliseconds
from bench.text.table_style import print_table, show_note, show_title, table
from bench.verdict.precision import BFLOAT16
from bench.verdict.rule import RULE
from bench.verdict.status import NOT_RUN, PASSED, UNSUCCESSFUL, worst

_STYLES = {PASSED: "green", NOT_RUN: "dim"} | dict.fromkeys(UNSUCCESSFUL, "bold red")
_MIB = 2**20


def show(result: Result, console: Console) -> None:
    """Prints all of the result: times, ratios, cold starts, parity, and what was compared."""
    records = _by_speed(result)
    if result.in_sql:
        query_report.show_query(result, console)
    else:
        _show_heading(result, console)
    if result.traffic.scenario == OFFLINE:
        _show_times(result, records, console)
    else:
        latency_report.show(result, [record.label for record in records], console)
    tied = bool(result.context["settings"].get("batch_note"))
    first = "the first" if result.in_sql else "the first batch's" if tied else "one image's"
    show_title(console, f"Cold start in s, from process start to {first} result; memory in MiB")
    ran = "1st run" if result.in_sql else "1st image"
    print_table(console, _cold_start_table(records, ran), ("process", "of engine"))
    if result.in_sql:
        query_report.show_rows(result, console)
    else:
        _show_parity(result, records, console)
    _show_endings(result, console)
    _show_configurations(records, console)
    _show_machine(result, console)


def _show_heading(result: Result, console: Console) -> None:
    context = result.context
    settings, model, data = context["settings"], context["model"], context["data"]
    console.print(
        f"[bold]{escape(model['name'])}[/] ({model['parameters']:,} parameters) on "
        f"[bold]{escape(data['name'])}[/] ({counted(data['rows'], 'image')}), in batches of up to "
        f"{settings['batch_size']}, {counted(settings['threads'], 'thread')}",
        highlight=False,
    )
    show_caveats(console, context)


def _show_times(result: Result, records: Sequence[BackendRecord], console: Console) -> None:
    show_title(console, "Time in ms, median ± half of its confidence interval")
    print_table(console, _time_table(result, records))
    _show_footnotes(result, console)
    show_narrow(console, [(record.label, record.precision) for record in records])
    _show_verdicts(result, console)
    if result.in_sql:
        query_report.show_parts(result, [record.label for record in records], console)
        return
    show_title(console, "Throughput at the most images each backend ran")
    print_table(console, _throughput_table(result, records), ("output", "input", "images"))
    show_note(
        console,
        "input, compute, output: ms/image in each phase. ÷fastest, ÷PyTorch: its time over the "
        "fastest's and PyTorch's best on as many images.",
    )


def _time_table(result: Result, records: Sequence[BackendRecord]) -> Table:
    samples = result.context["settings"]["samples"]
    made = table("backend:configuration", *(counted(count, "image") for count in samples))
    for record in records:
        cells = {c.samples: c for c in result.benchmarks if c.label == record.label}
        texts = (_time_text(result, cells.get(count)) for count in samples)
        made.add_row(escape(record.label), *texts)
    return made


def _time_text(result: Result, cell: Benchmark | None) -> str:
    if cell is None:  # the command was killed before it
        return "-"
    if cell.median_s is None:
        guess = f" (~{about(cell.predicted_s)})" if cell.predicted_s is not None else ""
        return f"[{_STYLES.get(cell.status, 'yellow')}]{cell.status.lower()}{guess}[/]"
    text = f"{milliseconds(cell.median_s)}{_half_interval(cell)}"
    if cell.warning:
        text += "*"
    if cell.status != PASSED:
        return f"[{_STYLES.get(cell.status, 'yellow')}]{text}![/]"
    return f"[bold green]{text}[/]" if cell == _fastest(result, cell.samples) else text


def _show_footnotes(result: Result, console: Console) -> None:
    measured = [cell for cell in result.benchmarks if cell.times]
    if any(cell.ci_confidence is not None and cell.ci_confidence < 0.9 for cell in measured):
        fewest = min(len(cell.times) for cell in measured)
        show_note(
            console,
            f"The interval holds the true median with 95% confidence; of fewer than 6 runs (here "
            f"{fewest} at least) it is their whole range, and less sure; of one run there is none.",
        )
    for warning in sorted({w for cell in measured for w in cell.warning.split("; ") if w}):
        where = _places(cell for cell in measured if warning in cell.warning.split("; "))
        show_note(console, f"* {warning}: {where}")
    if any(cell.status != PASSED for cell in measured):
        show_note(console, "! its output did not pass: see below")
    if any(cell.predicted_s is not None for cell in result.benchmarks):
        budget = result.context["settings"]["budget_s"]
        show_note(
            console,
            f"not run (~): a run would take about that long, judged by one or by fewer images; "
            f"--budget is {budget:g} s",
        )


def _show_verdicts(result: Result, console: Console) -> None:
    """One line for each number of samples: how the columnar engine compares with its best peer."""
    lines = []
    for samples in result.context["settings"]["samples"]:
        ours = best(result.benchmarks, samples, lambda cell: cell.backend == "columnar")
        peer = best(
            result.benchmarks, samples, lambda cell: cell.backend not in ("columnar", "reference")
        )
        if ours is not None and peer is not None:
            lines.append(f"{counted(samples, 'image'):>14}: {compared(ours, peer)}")
    if lines:
        show_title(
            console, "The columnar engine and its fastest peer, by medians (by fastest runs)"
        )
        console.print("\n".join(lines), highlight=False)


def _throughput_table(result: Result, records: Sequence[BackendRecord]) -> Table:
    made = table(
        "backend:configuration",
        "images",
        "images/s",
        "ms/image",
        "input",
        "compute",
        "output",
        "÷fastest",
        "÷PyTorch",
    )
    for record in records:
        measured = [c for c in result.benchmarks if c.label == record.label and c.median_s]
        if not measured:
            continue
        cell = max(measured, key=lambda cell: cell.samples)
        pytorch = best(result.benchmarks, cell.samples, lambda other: other.backend == "pytorch")
        assert cell.median_s is not None
        made.add_row(
            escape(record.label),
            f"{cell.samples:,}",
            f"{cell.images_per_second:,.0f}",
            milliseconds(cell.median_s / cell.samples),
            *(
                milliseconds(cell.phases.get(phase, 0.0) / cell.samples)
                for phase in ("input", "compute", "output")
            ),
            _ratio(cell, _fastest(result, cell.samples)),
            _ratio(cell, pytorch),
        )
    return made


def _cold_start_table(records: Sequence[BackendRecord], first: str) -> Table:
    made = table(
        "backend:configuration",
        "process",
        "import",
        "build",
        first,
        "total",
        "peak memory",
        "of engine",
    )
    for record in records:
        if record.cold_start_s is None:
            continue
        seconds = (
            record.process_s,
            record.import_s,
            record.build_s,
            record.first_inference_s,
            record.cold_start_s,
        )
        peak, start = record.peak_rss_bytes or 0, record.start_rss_bytes or 0
        made.add_row(
            escape(record.label),
            *(f"{value:.2f}" for value in seconds if value is not None),
            f"{peak / _MIB:,.0f}",
            f"{(peak - start) / _MIB:,.0f}",
        )
    return made


def _show_parity(result: Result, records: Sequence[BackendRecord], console: Console) -> None:
    parity = result.context["parity"]
    if not parity["rows"]:
        show_title(console, f"No outputs could be compared: {parity['failure']}")
        return
    show_title(
        console,
        f"Outputs against the reference on {counted(parity['rows'], 'image')}, each one's worst "
        "run",
    )
    print_table(console, _parity_table(result, records), ("min tol", "max abs"))
    for name, tolerance in parity["tolerances"].items():
        whole = f"everywhere |output - reference| <= {tolerance['atol']:.2g} + "
        whole += f"{tolerance['rtol']:g} |reference|"
        rule = f"{RULE}, {whole} or so many times that error, and its top-1 is the "
        rule += "reference's but for near-ties"
        show_note(
            console,
            f"{escape(name)} passes if {whole if tolerance.get('explicit') else rule}.",
        )
    if any(map(_is_narrow, records)):
        show_note(
            console,
            f"What computes in bfloat16 passes if {BFLOAT16.rule}, everywhere |output - "
            f"reference| <= {BFLOAT16.relative_atol:g} of the largest |reference| or so many times "
            "that error, and its top-1 is the reference's but for near-ties, which are wider then.",
        )
    for name, telling in parity.get("telling", {}).items():
        console.print(_telling_text(name, parity["rows"], telling), highlight=False)
    show_note(
        console,
        "÷noise: the largest error of a column or row over float32's own there, or bfloat16's. max "
        "rel: max abs over the largest |reference|. min tol: the least t that would pass as both. "
        "top-1: rows with the reference's class. accuracy: rows with the label's, of the most "
        "images it ran; behind it those that have it among their five most likely.",
    )


def _telling_text(name: str, rows: int, telling: Mapping[str, int]) -> str:
    """How much of an output depends on the images, and so can tell right from wrong."""
    columns, of_columns = telling["columns"], telling["of_columns"]
    text = (
        f"{escape(name)}: {columns:,} of {counted(of_columns, 'column')} vary with the images, "
        f"{telling['rows']:,} of {counted(rows, 'image')} with their brightness; the rest says "
        "nothing."
    )
    if columns == of_columns and telling["rows"] == rows:
        return f"[dim]{text.removesuffix('; the rest says nothing.')}.[/]"
    return text if columns and telling["rows"] else f"[yellow]{text}[/]"


def _parity_table(result: Result, records: Sequence[BackendRecord]) -> Table:
    made = table(
        "backend:configuration",
        "max abs",
        "max rel",
        "÷noise",
        "SQNR dB",
        "min tol",
        "top-1",
        "accuracy",
        "status",
    )
    for record in records:
        cells = [c for c in result.cells if c.label == record.label and c.parity_rows]
        if not cells:
            made.add_row(escape(record.label), *["-"] * 7, _status(record.status))
            continue
        status = worst(cell.status for cell in cells)
        runs: list[Mapping[str, Any]] = [vars(cell) for cell in cells if cell.status == status]
        if record.checked.get("status") == status:
            runs.append(record.checked)
        run = max(runs, key=lambda run: (run["max_rel"] or 0.0, run["parity_rows"]))
        largest = max(cells, key=lambda cell: cell.samples)
        made.add_row(
            escape(record.label),
            _figure(run["max_abs"], "{:.1e}"),
            _figure(run["max_rel"], "{:.1e}"),
            _figure(run["noise_ratio"], "{:,.1f}"),
            _figure(run["sqnr_db"], "{:.0f}", "exact" if run["max_abs"] == 0 else "-"),
            _figure(run["min_tolerance"], "{:.1e}"),
            _figure(run["top1_agreement"], "{:.2%}"),
            _accuracy(largest),
            _status(status) + (" in bfloat16" if _is_narrow(record) else ""),
        )
    return made


def _accuracy(cell: Benchmark) -> str:
    """Share of images whose class was found, and of those that had it among the first five."""
    first = _figure(cell.accuracy, "{:.1%}")
    return first if cell.top5_accuracy is None else f"{first}/{cell.top5_accuracy:.1%}"


def _show_endings(result: Result, console: Console) -> None:
    """Why something did not pass, once for all the cells of a backend that share the reason.

    Then how a backend itself ended, if not as one of its cells.
    """
    for record in result.backends:
        cells = [cell for cell in result.cells if cell.label == record.label]
        troubled = [cell for cell in cells if cell.reason and cell.predicted_s is None]
        for status, reason in dict.fromkeys((cell.status, cell.reason) for cell in troubled):
            alike = [cell for cell in troubled if (cell.status, cell.reason) == (status, reason)]
            where = record.label if alike == cells else _places(alike)
            console.print(f"{escape(where)}: {_status(status)} {escape(reason)}", highlight=False)
        if record.reason and record.reason not in {cell.reason for cell in troubled}:
            ending = f"{_status(record.status)} {escape(record.reason)}"
            console.print(f"{escape(record.label)}: {ending}", highlight=False)


def _is_narrow(record: BackendRecord) -> bool:
    return record.precision == BFLOAT16.name


def _places(cells: Iterable[Benchmark]) -> str:
    """Cells in words: each backend once, with its numbers of images."""
    counts: dict[str, list[str]] = {}
    for cell in cells:
        counts.setdefault(cell.label, []).append(f"{cell.samples:,}")
    return "; ".join(f"{label} on {', '.join(numbers)}" for label, numbers in counts.items())


def _show_configurations(records: Sequence[BackendRecord], console: Console) -> None:
    console.print("\n[bold]What each of them is[/]")
    for record in records:
        if not record.description:
            continue  # its adapter could not even be imported
        facts = [record.description, record.precision, record.layout, record.algorithm]
        facts.append(f"denormals {record.denormals}" if record.denormals else "")
        facts.append(", ".join(f"{name} {version}" for name, version in record.versions.items()))
        console.print(
            f"[bold]{escape(record.label)}[/]: {escape('; '.join(filter(None, facts)))}",
            highlight=False,
        )
        for note in record.notes:
            console.print(f"    {escape(note)}", highlight=False)


def _show_machine(result: Result, console: Console) -> None:
    context = result.context
    what = "runs" if result.traffic.scenario == OFFLINE else "queries"
    machine, settings = context["machine"], context["settings"]
    caches = ", ".join(f"{n} {size >> 10}K" for n, size in (machine["caches"] or {}).items())
    memory = machine["memory_bytes"]
    facts = [
        f"{machine['usable_cores'] or len(settings['cpus'])} usable cores (pinned to CPU "
        f"{', '.join(map(str, settings['cpus']))}), {', '.join(machine['features'] or ())}",
        caches,
        f"{memory / 2**30:.0f} GiB of memory" if memory else "",
        machine["kernel"] or "",
    ]
    versions = ", ".join(f"{name} {version}" for name, version in context["versions"].items())
    lines = [
        f"{machine['brand'] or machine['architecture']}: {'; '.join(filter(None, facts))}",
        versions + (f"; commit {context['git_commit']}" if context["git_commit"] else ""),
        f"at least {settings['runs']} {what} and {settings['min_time_s']:g} s a cell within "
        f"{settings['budget_s']:g} s; random order from seed {settings.get('seed')}; "
        f"columnar algorithm {settings['algorithm']}; {context['time']}",
    ]
    console.print("\n[bold]Machine, versions, settings[/]")
    for line in lines:
        console.print(escape(line), highlight=False)


def _by_speed(result: Result) -> list[BackendRecord]:
    """Backends from the fastest to the slowest an image at the most images each ran.

    Those that run a query's relational part alone come last.
    """

    def speed(record: BackendRecord) -> tuple[bool, float]:
        cells = [cell for cell in result.cells if cell.label == record.label]
        rates = [cell.images_per_second or 0.0 for cell in cells]
        return not any(cell.relational for cell in cells), max(rates, default=0.0)

    return sorted(result.backends, key=speed, reverse=True)


def _fastest(result: Result, samples: int) -> Benchmark | None:
    return best(result.benchmarks, samples)


def _ratio(cell: Benchmark, other: Benchmark | None) -> str:
    if other is None or other.median_s is None or cell.median_s is None:
        return "-"
    if cell.disturbed or other.disturbed:
        return "-"
    return f"{cell.median_s / other.median_s:,.2f}"


def _half_interval(cell: Benchmark) -> str:
    """±, and half the confidence interval in ms, with as many decimals as its median has.

    Empty for a single run: from that no interval is known.
    """
    if len(cell.times) < 2:
        return ""
    assert cell.median_s is not None
    assert cell.ci_low_s is not None
    assert cell.ci_high_s is not None
    half = max(cell.ci_high_s - cell.median_s, cell.median_s - cell.ci_low_s)
    decimals = len(milliseconds(cell.median_s).partition(".")[2])
    return f" ±{half * 1e3:,.{decimals}f}"


def _figure(value: float | None, form: str, absent: str = "-") -> str:
    return form.format(value) if value is not None and math.isfinite(value) else absent


def _status(status: str) -> str:
    return f"[{_STYLES.get(status, 'yellow')}]{status}[/]"

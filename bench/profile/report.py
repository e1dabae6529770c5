"""A profile as tables; nothing here measures."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from bench.profile.result import BackendProfile, ProfiledRun, ProfileResult
from bench.profile.rows import row_name, row_time
from bench.text.caveats import show_caveats, show_disturbed, show_narrow
from bench.text.figures import counted
from bench.text.table_style import print_table, show_note, show_title, table
from bench.verdict.status import PASSED

OWN_WORK = "the engine's own"
_FOOT = (
    "sum of the rows",
    "whole run, profiled",
    "outside the rows",
    "whole run, as it is",
    "cost of profiling",
)


def show(result: ProfileResult, rows: Sequence[tuple[str, ...]], console: Console) -> None:
    """Prints the layers side by side, and below them what else there is to say."""
    _show_head(result, console)
    shown = [backend for backend in result.backends if backend.plain]
    if shown:
        show_title(console, "Microseconds an image")
        print_table(console, _table(result, shown, rows))
        if any(backend.disturbed for backend in shown):
            show_disturbed(console)
    if any(backend.profiled for backend in shown):
        _show_notes(result, console)
    _show_endings(result, console)
    _show_counters(result, console)


def _show_head(result: ProfileResult, console: Console) -> None:
    context = result.context
    machine, settings = context["machine"], context["settings"]
    console.print(
        f"[bold]{escape(context['model']['name'])}[/] on {result.samples:,} image(s) of "
        f"{escape(context['data']['name'])} in batches of {settings['batch_size']:,}, "
        f"{counted(len(settings['cpus']), 'thread')}\n"
        f"{escape(machine['brand'] or machine['architecture'])}",
        highlight=False,
    )
    show_caveats(console, context)


def _table(
    result: ProfileResult, backends: Sequence[BackendProfile], rows: Sequence[tuple[str, ...]]
) -> Table:
    made = table("layer", *map(_heading, backends))
    runs = [backend.median_run for backend in backends]
    for nodes in rows:
        made.add_row(escape(row_name(nodes)), *(_cell(run, nodes, result.samples) for run in runs))
    made.add_row(OWN_WORK, *(_cell(run, (), result.samples) for run in runs), end_section=True)
    columns = [_foot(backend, result.samples) for backend in backends]
    for index, name in enumerate(_FOOT):
        made.add_row(name, *(column[index] for column in columns))
    return made


def _heading(backend: BackendProfile) -> str:
    mark = "*" if backend.disturbed else ""
    return escape(f"{backend.backend}\n{backend.configuration}{mark}")


def _cell(run: ProfiledRun | None, nodes: Sequence[str], samples: int) -> str:
    found = row_time(run.operators, nodes) if run is not None else None
    if found is None:
        return "-"
    return ("f " if found.fused else "") + _microseconds(found.seconds / samples)


def _foot(backend: BackendProfile, samples: int) -> list[str]:
    """The figures of _FOOT."""
    run, plain = backend.median_run, backend.plain_seconds
    assert plain is not None
    if run is None:
        return ["-", "-", "-", _microseconds(plain / samples), "-"]
    total = sum(operator.seconds for operator in run.operators)
    outside = run.seconds - total
    return [
        _microseconds(total / samples),
        _microseconds(run.seconds / samples),
        # Clocks of several threads add up to more than the time that passes.
        f"{outside / run.seconds:.1%}" if outside >= 0 else "-",
        _microseconds(plain / samples),
        f"{backend.profiling_cost:+.1%}",
    ]


def _show_notes(result: ProfileResult, console: Console) -> None:
    show_note(
        console,
        "Rows and whole run, profiled, are of the profiled run of median time; whole run, as it "
        "is: the median with all operator clocks off; cost of profiling: of the fastest run. f: "
        "an operator of the engine computes several nodes of the row; other figures are sums of "
        f"separate operators. {OWN_WORK}: operators for no node, such as converting pixels. "
        "outside the rows: executor, Python, conversions to and from Arrow, copies between Velox's "
        "tasks; - where clocks of several threads add up to more than the run.",
    )
    show_narrow(console, [(b.label, b.description.get("precision")) for b in result.backends])


def _show_endings(result: ProfileResult, console: Console) -> None:
    show_title(console, "Whose clock")
    for backend in result.backends:
        if backend.status != PASSED:
            text = f"[yellow]{backend.status}[/] {escape(backend.reason)}"
        elif backend.unavailable:
            text = f"operator times: not available ({escape(backend.unavailable)})"
        else:
            text = f"{escape(backend.source)} ({counted(len(backend.profiled), 'run')})"
        console.print(f"[bold]{escape(backend.label)}[/]: {text}", highlight=False)


def _show_counters(result: ProfileResult, console: Console) -> None:
    counted = [backend for backend in result.backends if backend.counts]
    if not counted:
        reasons = [b.counters_unavailable for b in result.backends if b.counters_unavailable]
        reason = reasons[0] if reasons else "no engine ran"
        console.print(f"hardware counters: not available ({escape(reason)})", highlight=False)
        return
    show_title(console, "Hardware counters of a run, user code, an image")
    made = table("engine", "cycles", "instructions", "a cycle", "cache misses")
    for backend in counted:
        cycles, instructions, misses = (
            backend.counts[name] for name in ("cycles", "instructions", "cache_misses")
        )
        made.add_row(
            escape(backend.label),
            f"{cycles / result.samples:,.0f}",
            f"{instructions / result.samples:,.0f}",
            f"{instructions / cycles:.2f}" if cycles else "-",
            f"{misses / result.samples:,.0f}",
        )
    print_table(console, made)


def _microseconds(seconds: float) -> str:
    value = seconds * 1e6
    return f"{value:,.0f}" if value >= 1e5 else f"{value:,.1f}"

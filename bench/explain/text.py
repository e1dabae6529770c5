"""Plans and what they cost, as text: a plan as Velox prints it, and tables of its kernels."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable, Iterator, Sequence

from bench.explain.columnar import PROFILING_ROUNDS, Analysis, Rates, num_drivers, rates
from bench.profile.rows import row_name
from bench.text.table_style import WIDTH
from columnar_nn.exec.executable import Executable
from columnar_nn.exec.stats_text import nanos_text, plan_with_stats
from columnar_nn.exec.step_stats import StepStats
from columnar_nn.plan.plan_node import nodes
from columnar_nn.plan.text import to_text

_NOTES = (
    "us/image: wall time, summed over threads. share: of all operators. GFLOP/s: operations of the "
    "layer's definition; Winograd executes fewer and may exceed the peak. roofline: least time for "
    "the multiply-adds that are executed (of Winograd: its products) or for the bytes, those that "
    "a cache cannot hold at the bandwidth of the next, as a share of the time taken."
)


def text(executable: Executable, analysis: Analysis | None, width: int | None) -> str:
    """The plan, and tables of its kernels, in `width` columns if that is known."""
    if analysis is None:
        plan, steps = to_text(executable.plan), executable.steps
        return f"{fit(plan, width)}\n{_work(executable, steps, width)}"
    plan, steps = plan_with_stats(executable.plan, analysis.stats), analysis.stats.steps
    return "\n".join(
        [
            fit(plan, width),
            _work(executable, steps, width),
            "",
            _time_table(executable, analysis),
            _paragraph(_NOTES, width),
            "",
            *(_paragraph(line, width) for line in _totals(analysis)),
        ]
    )


def _totals(analysis: Analysis) -> Iterator[str]:
    stats, peak = analysis.stats, analysis.peak
    kernels = nanos_text(sum(step.nanoseconds for step in stats.steps))
    yield (
        f"whole run of {images_text(analysis.images)}: {nanos_text(stats.wall_nanos)}; over all "
        f"threads {nanos_text(analysis.operator_nanos)} in operators, {kernels} in kernels"
    )
    cost = f"{analysis.profiling_cost:+.1%}"
    plain, drivers = analysis.plain_drivers, num_drivers(stats)
    reason = f": {drivers} drivers instead of {plain}" if drivers != plain else ""
    yield f"profiling changed the fastest of {PROFILING_ROUNDS} runs by {cost}{reason}"
    levels = ", ".join(f"{n} {lv.gigabytes_per_second:.1f}" for n, lv in peak.levels.items())
    yield f"peak of a core, measured: {peak.gflops:.1f} GFLOP/s; GB/s: {levels}"


_COLUMNS = ("step", "kernel", "output", "MFLOP", "kB in", "weights", "out", "FLOP/B", "error")
_LONGEST_NAME = 24
_ERROR_NOTE = (
    "error: most that rounding can change an output by, as a share of the largest pixel that it "
    "depends on: with direct convolution those it sees, with Winograd all that its tile of outputs "
    "sees. Where pixels are so large that Winograd might overflow, a batch is convolved directly."
)


def _names(step: StepStats) -> tuple[str, str]:
    """The nodes and the kernel of a step, short enough for a table; JSON has them in full."""
    return row_name(step.label.split("+"), _LONGEST_NAME), step.kernel.removeprefix("conv2d_")


def _work(executable: Executable, steps: Sequence[StepStats], width: int | None) -> str:
    """A line a kernel step: what it does and moves for one image; then the memory they share."""
    work = table(
        _COLUMNS,
        [
            (
                *_names(step),
                "x".join(map(str, step.output_shape)),
                f"{step.operations / 1e6:.3f}",
                f"{step.input_bytes / 1e3:.1f}",
                f"{step.weight_bytes / 1e3:.1f}",
                f"{step.output_bytes / 1e3:.1f}",
                f"{step.intensity:.1f}",
                f"{step.error_bound:.1e}" if step.error_bound else "",
            )
            for step in steps
        ],
        num_texts=3,
        width=width,
        spare=("FLOP/B", "weights"),
    )
    placements = executable.placements
    placed = sum(placement.num_bytes for placement in placements) / 1e3
    least = sum(placement.least_bytes for placement in placements) / 1e3
    unshared = sum(placement.unshared_bytes for placement in placements) / 1e3
    notes = _paragraph(_ERROR_NOTE, width) if any(step.error_bound for step in steps) else ""
    memory = (
        f"peak activation memory of an image: {placed:.1f} kB; least possible {least:.1f} kB; none "
        f"shared {unshared:.1f} kB"
    )
    groups = [_paragraph(line, width) for line in _groups(executable)]
    return "\n".join([f"{work}\n{notes}\n", *groups, _paragraph(memory, width)])


def _groups(executable: Executable) -> Iterator[str]:
    """A sentence for each program of which groups of images go through some steps."""
    for program in executable.programs:
        grouped = program.steps[program.regions.first_grouped :]
        if grouped:
            name, _ = _names(grouped[0])
            yield (
                f"image by image before {name}; from there on groups of up to "
                f"{program.regions.images} images go through a step before the next, whose weights "
                f"are read once for all; activation memory of a group: "
                f"{program.group_bytes / 1e3:.1f} kB"
            )


_TIMED_COLUMNS = ("operator, step", "kernel", "us/image", "share", "GFLOP/s", "roofline")


def _time_table(executable: Executable, analysis: Analysis) -> str:
    """A line an operator and, below it, a line each of its kernels."""
    stats = analysis.stats.plan_node_stats()
    rows: list[tuple[str, ...]] = []
    for node in nodes(executable.plan):
        if node.id not in stats:
            continue
        wall, steps = stats[node.id].wall_nanos, stats[node.id].steps
        found = rates(analysis, steps, wall)
        rows.append((f"{node.name}[{node.id}]", "", *_figures(analysis, wall, found, bool(steps))))
        for step in steps:
            found = rates(analysis, [step], step.nanoseconds)
            figures = _figures(analysis, step.nanoseconds, found, True)
            label, kernel = _names(step)
            rows.append((f"  {label}", kernel, *figures))
        if steps:
            rest = wall - sum(step.nanoseconds for step in steps)
            figures = _figures(analysis, rest, rates(analysis, [], rest), False)
            rows.append(("  outside kernels", "", *figures))
    total = analysis.operator_nanos
    rows.append(("all operators", "", f"{total / analysis.images / 1e3:.1f}", "100.0%", "", ""))
    return table(_TIMED_COLUMNS, rows, num_texts=2)


def _figures(analysis: Analysis, nanoseconds: int, found: Rates, works: bool) -> tuple[str, ...]:
    return (
        f"{nanoseconds / analysis.images / 1e3:.1f}",
        f"{found.share:.1%}",
        f"{found.gflops:.1f}" if works else "",
        f"{found.roofline:.0%}" if works else "",
    )


def images_text(count: int) -> str:
    """A number of images, in words."""
    return f"{count:,} image{'' if count == 1 else 's'}"


def _paragraph(text: str, width: int | None) -> str:
    return textwrap.fill(text, min(width or WIDTH, WIDTH), break_on_hyphens=False)


def table(
    heading: Sequence[str],
    rows: Iterable[Sequence[str]],
    num_texts: int,
    width: int | None = None,
    spare: Sequence[str] = (),
) -> str:
    """Columns two spaces apart, the first `num_texts` of them aligned left, figures right.

    Those headed `spare`, which are figures, are left out, in this order, as far as the table does
    not fit `width`, and named below it.
    """
    columns = list(zip(heading, *rows, strict=True))
    left_out: list[str] = []
    for name in spare:
        needed = sum(max(map(len, column)) for column in columns) + 2 * (len(columns) - 1)
        if width is None or needed <= width:
            break
        left_out.append(name)
        columns = [column for column in columns if column[0] != name]
    widths = [max(map(len, column)) for column in columns]
    lines = zip(*columns, strict=True)
    below = f"\nleft out for want of columns, in JSON: {', '.join(left_out)}" if left_out else ""
    return (
        "\n".join(
            "  ".join(
                cell.ljust(width) if index < num_texts else cell.rjust(width)
                for index, (cell, width) in enumerate(zip(line, widths, strict=True))
            ).rstrip()
            for line in lines
        )
        + below
    )


def fit(plan: str, width: int | None) -> str:
    """A plan's text with lines broken at `width` columns, what is left indented below its node.

    Nothing is broken without a width.
    """
    if width is None:
        return plan
    return "\n".join(part for line in plan.split("\n") for part in _broken(line, width))


_BREAKS = (re.compile(r"\),(?! ?\d)"), re.compile(r",(?! ?\d)"), re.compile(r"\("))
"""Where a line may be broken: after a call, else after an argument, else before a call's own.
A comma before a digit is most likely inside of a shape."""


def _broken(line: str, width: int) -> list[str]:
    indent = " " * (len(line) - len(line.lstrip()) + 5)
    parts: list[str] = []
    while len(line) > width > 2 * len(indent):
        cut = _cut(line, len(indent), width)
        parts.append(line[:cut].rstrip())
        line = indent + line[cut:].lstrip()
    parts.append(line)
    return parts


def _cut(line: str, start: int, width: int) -> int:
    """Where to break `line`, of which at least `start` characters must stay."""
    for pattern in _BREAKS:
        ends = [match.end() for match in pattern.finditer(line, start, width)]
        if ends:
            return ends[-1]
    return width

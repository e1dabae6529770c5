"""What is shown of each kind of object: `html` knows them all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import singledispatch

from columnar_nn.data.arrow_source import ArrowSource
from columnar_nn.display.html import (
    Html,
    bar,
    element,
    folded,
    indented,
    note,
    page,
    table,
    tree,
)
from columnar_nn.errors import CnnBenchError, InvalidPlanError
from columnar_nn.exec.executable import Executable
from columnar_nn.exec.stats import PlanNodeStats, TaskStats
from columnar_nn.exec.stats_text import bytes_text, nanos_text
from columnar_nn.exec.step_stats import StepStats
from columnar_nn.exec.task import Task
from columnar_nn.expressions.types import row_type_text, type_name
from columnar_nn.model.graph import Graph
from columnar_nn.model.layer_table import Layer, layers
from columnar_nn.model.node import shape_text
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.plan_node import PlanNode

SHORT = 100
"""Characters of a plan node's line; of a longer one the rest is folded."""


@singledispatch
def html(shown: object) -> str:
    """The HTML of an object of the library."""
    raise AssertionError(f"no page for {type(shown).__name__}")


@html.register
def _graph(graph: Graph) -> str:
    title = f"{graph.name}: {len(graph.nodes)} layers, {graph.num_parameters():,} parameters"
    specs = [
        note(f"{what} {spec.name}: {spec.dtype} {shape_text(spec.shape)}")
        for what, given in (("input", graph.inputs), ("output", graph.outputs))
        for spec in given
    ]
    try:
        return page(title, *specs, _layers(layers(graph)))
    except CnnBenchError as error:  # an operator, or operands, that nothing here computes
        rows = [(node.name, node.op_type, ", ".join(node.outputs)) for node in graph.nodes]
        return page(title, *specs, note(str(error)), table(("layer", "operator", "makes"), rows, 3))


def _layers(found: Sequence[Layer]) -> Html:
    total = sum(layer.macs for layer in found)
    rows = [
        (
            layer.name,
            layer.op_type,
            shape_text(layer.output_shape),
            _window(layer),
            f"{layer.parameters:,}" if layer.parameters else "",
            bar(f"{layer.macs:,}" if layer.macs else "", layer.macs / max(1, total)),
        )
        for layer in found
    ]
    heading = ("layer", "operator", "output", "window", "parameters", "multiply-adds an image")
    return table(heading, rows, 4)


def _window(layer: Layer) -> str:
    if not layer.kernel:
        return ""
    words = ["x".join(map(str, layer.kernel))]
    if any(stride != 1 for stride in layer.strides):
        words.append(f"stride {'x'.join(map(str, layer.strides))}")
    if any(layer.pads):
        words.append(f"pads {', '.join(map(str, layer.pads))}")
    return ", ".join(words)


@html.register
def _plan(plan: PlanNode) -> str:
    return page("Plan", _tree(plan))


@html.register
def _builder(builder: PlanBuilder) -> str:
    try:
        return page("Plan so far", _tree(builder.plan()))
    except InvalidPlanError as error:  # nothing is scanned yet
        return page("Plan so far", note(str(error)))


@html.register
def _executable(executable: Executable) -> str:
    threads = f"{executable.threads} thread{'' if executable.threads == 1 else 's'}"
    if not executable.rules:
        return page(f"Executable on {threads}", _tree(executable.plan))
    return page(
        f"Executable on {threads}",
        note(f"rewritten by {', '.join(executable.rules)}"),
        _tree(executable.plan),
        folded("the plan as it was given", _tree(executable.given)),
    )


def _tree(plan: PlanNode) -> Html:
    return tree(plan, _node, lambda node: node.sources)


def _node(node: PlanNode) -> Html:
    name, columns = f"{node.name}[{node.id}]", row_type_text(node.output_type)
    text = f"{node.details} -> {columns}"
    if len(text) <= SHORT:
        return element("span", element("b", name), " ", element("code", text))
    summary = element("span", element("b", name), " ", element("code", f"{text[:SHORT]} ..."))
    return folded(summary, element("code", text))


@html.register
def _task(task: Task) -> str:
    stats = task.stats()
    if not stats.operators:
        return page(f"Task, {task.state}", _tree(task.plan))
    by_node = stats.plan_node_stats()
    lines = [(f"{n.name}[{n.id}]", depth, by_node.get(n.id)) for n, depth in _walk(task.plan, 0)]
    return page(f"Task, {task.state}: {nanos_text(stats.wall_nanos)}", *_measured(stats, lines))


@html.register
def _stats(stats: TaskStats) -> str:
    lines = [
        (f"{' + '.join(found.operator_types)}[{node_id}]", 0, found)
        for node_id, found in stats.plan_node_stats().items()
    ]
    return page(f"Statistics of a task: {nanos_text(stats.wall_nanos)}", *_measured(stats, lines))


def _walk(node: PlanNode, depth: int) -> Iterator[tuple[PlanNode, int]]:
    yield node, depth
    for source in node.sources:
        yield from _walk(source, depth + 1)


def _measured(
    stats: TaskStats, lines: Sequence[tuple[str, int, PlanNodeStats | None]]
) -> Iterator[Html]:
    """A line a plan node, then a line a kernel."""
    profiled = any(operator.cpu_nanos for operator in stats.operators)
    heading = ["operator", "rows in", "rows out", "batches", "bytes out", "wall time"]
    heading += ["CPU time"] * profiled + ["blocked", "peak memory", "threads"]
    total = sum(operator.wall_nanos for operator in stats.operators)
    rows = []
    for name, depth, found in lines:
        if found is None:
            rows.append([indented(name, depth), *[""] * (len(heading) - 1)])
            continue
        cells = [
            indented(name, depth),
            f"{found.input_rows:,}",
            f"{found.output_rows:,}",
            f"{found.output_batches:,}",
            bytes_text(found.output_bytes),
            bar(nanos_text(found.wall_nanos), found.wall_nanos / max(1, total)),
            *([nanos_text(found.cpu_nanos)] if profiled else []),
            nanos_text(found.blocked_nanos),
            bytes_text(found.peak_memory_bytes),
            str(found.num_drivers),
        ]
        rows.append(cells)
    yield table(heading, rows, 1)
    if stats.steps:
        yield _kernels(stats.steps)
        if not profiled:
            yield note("run(profile=True) times the kernels")


def _kernels(steps: Sequence[StepStats]) -> Html:
    total = sum(step.nanoseconds for step in steps)
    rows = [
        (
            step.label,
            step.kernel,
            shape_text(step.output_shape),
            f"{step.operations / 1e6:,.3f}",
            *(
                (
                    bar(nanos_text(step.nanoseconds), step.nanoseconds / total),
                    f"{step.gflops:.1f}",
                )
                if total
                else ()
            ),
        )
        for step in steps
    ]
    heading = ("layer", "kernel", "output", "MFLOP a row", *(("time", "GFLOP/s") if total else ()))
    return table(heading, rows, 3)


@html.register
def _source(source: ArrowSource) -> str:
    rows = [(field.name, type_name(field.type), str(field.type)) for field in source.schema]
    return page(f"Table {source.name}", table(("column", "type", "in Arrow"), rows, 3))

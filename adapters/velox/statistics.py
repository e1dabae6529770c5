"""Velox's own statistics of a task, read from its text into this project's operator records."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from columnar_nn.exec.stats import CpuWallTiming, OperatorStats

NODE = re.compile(
    r"^(?P<indent> *)-- (?P<name>\w+)\[(?P<id>[^\]]*)\](\[(?P<details>.*)\] -> (?P<type>.*))?"
)
COUNTS = re.compile(r"(\w+): (\d+) rows \(([\d.]+\w+), (\d+) batches\)")
BREAKDOWN = re.compile(r"CPU breakdown: B/I/O/F \(([^/]*)/([^/]*)/([^/]*)/([^)]*)\)")
WALL = re.compile(r"^ *running(AddInput|GetOutput|Finish)WallNanos +sum: ([^,]+),")
OPERATOR = re.compile(r"^ *(?P<operator>\w+): Input: ")
TIMING_FIELDS = {"AddInput": "add_input", "GetOutput": "get_output", "Finish": "finish"}
NANOSECONDS = {"ns": 1, "us": 1e3, "ms": 1e6, "s": 1e9, "m": 60e9, "h": 3600e9, "d": 86400e9}
BYTES = {"B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "TB": 2**40}


@dataclass
class NodeStats:
    """A plan node of a text with its sources and its operators, one in all but joins.

    `details` is what Velox prints in brackets after the id, `output_type` its columns as
    name:TYPE.
    """

    node_id: str
    name: str
    details: str = ""
    output_type: str = ""
    operators: list[OperatorStats] = field(default_factory=list)
    sources: list[NodeStats] = field(default_factory=list)


def parse(text: str) -> NodeStats:
    """The root of the plan printed by `LocalRunner.print_plan_with_stats`.

    Numbers are as precise as the text, three digits or more. Velox prints no numbers of calls
    (`count` stays 0), nor of pipelines and operators (both 0). A node that prints no input has
    its sources' output for input; one operator's type is its node's name.
    """
    root: NodeStats | None = None
    path: list[tuple[int, NodeStats]] = []
    for line in text.splitlines():
        if match := NODE.match(line):
            node = NodeStats(
                match["id"], match["name"], match["details"] or "", match["type"] or ""
            )
            while path and path[-1][0] >= len(match["indent"]):
                path.pop()
            if path:
                path[-1][1].sources.append(node)
            root = root or node
            path.append((len(match["indent"]), node))
        elif path:
            _read_line(path[-1][1], line)
    if root is None:
        raise ValueError("no plan node in the text")
    _fill_inputs(root)
    return root


def operators(node: NodeStats) -> Iterator[OperatorStats]:
    """The operators of a plan, sources first, as data flows."""
    for source in node.sources:
        yield from operators(source)
    yield from node.operators


def _read_line(node: NodeStats, line: str) -> None:
    if match := OPERATOR.match(line):
        if node.operators and node.operators[0].operator_type == node.name:
            node.operators.clear()  # the line before was the sum of the node's operators
        node.operators.append(_operator(node.node_id, match["operator"], line))
    elif "Cpu time:" in line and "Output:" in line:
        node.operators.append(_operator(node.node_id, node.name, line))
    elif node.operators and (match := WALL.match(line)):
        timing = getattr(node.operators[-1], TIMING_FIELDS[match[1]])
        timing.wall_nanos = _nanoseconds(match[2])


def _operator(node_id: str, operator_type: str, line: str) -> OperatorStats:
    stats = OperatorStats(node_id, operator_type, pipeline_id=0, operator_id=0)
    for direction, rows, size, batches in COUNTS.findall(line):
        prefix = direction.lower()
        setattr(stats, f"{prefix}_rows", int(rows))
        setattr(stats, f"{prefix}_bytes", _bytes(size))
        setattr(stats, f"{prefix}_batches", int(batches))
    stats.blocked_nanos = _nanoseconds(_value(line, "Blocked wall time"))
    stats.peak_memory_bytes = _bytes(_value(line, "Peak memory"))
    stats.num_drivers = int(_value(line, "Threads", "1"))
    if match := BREAKDOWN.search(line):
        _, add_input, get_output, finish = map(_nanoseconds, match.groups())
        stats.add_input = CpuWallTiming(cpu_nanos=add_input)
        stats.get_output = CpuWallTiming(cpu_nanos=get_output)
        stats.finish = CpuWallTiming(cpu_nanos=finish)
    return stats


def _fill_inputs(node: NodeStats) -> None:
    for source in node.sources:
        _fill_inputs(source)
    if len(node.operators) == 1 and node.sources and not node.operators[0].input_batches:
        operator = node.operators[0]
        for name in ("rows", "batches", "bytes"):
            made = [getattr(s.operators[-1], f"output_{name}") for s in node.sources if s.operators]
            setattr(operator, f"input_{name}", sum(made))


def _value(line: str, name: str, default: str = "0") -> str:
    match = re.search(rf"{name}: ([^,]+)", line)
    return match[1] if match else default


def _nanoseconds(text: str) -> int:
    """1.5us, 820ns, 1m 3s ... in nanoseconds."""
    parts = re.findall(r"([\d.]+)([a-z]+)", text)
    return round(sum(float(number) * NANOSECONDS[unit] for number, unit in parts))


def _bytes(text: str) -> int:
    """0B, 383.62KB, 1.5MB ... in bytes."""
    parts = re.findall(r"([\d.]+)([KMGT]?B)", text)
    return round(sum(float(number) * BYTES[unit] for number, unit in parts))

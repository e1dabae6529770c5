"""Rows of the side by side table: sets of nodes that every backend's operators respect."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import takewhile

from adapters.operator_profile import OperatorProfile
from bench.profile.result import ProfileResult
from columnar_nn.model.graph import Graph

MAX_NAME = 30


@dataclass(frozen=True)
class RowTime:
    """A backend's operators in a row: seconds in all; `fused` if one computes several nodes."""

    seconds: float
    fused: bool


def layer_rows(graph: Graph, result: ProfileResult) -> list[tuple[str, ...]]:
    """The smallest sets of nodes such that no operator of any backend is in two of them.

    In graph order, each set too; nodes for which no backend runs anything are left out.
    """
    names = [node.name for node in graph.nodes]
    return joined_rows(names, (operator.nodes for operator in _operators(result)))


def joined_rows(names: Iterable[str], operators: Iterable[Sequence[str]]) -> list[tuple[str, ...]]:
    """Likewise, of nodes in this order and the nodes of each operator."""
    groups: dict[str, set[str]] = {}
    for nodes in operators:
        joined = set(nodes).union(*(groups.get(name, ()) for name in nodes))
        groups |= dict.fromkeys(joined, joined)
    order = list(dict.fromkeys(names))
    rows: dict[tuple[str, ...], None] = {}
    for name in order:
        if name in groups:
            rows[tuple(other for other in order if other in groups[name])] = None
    return list(rows)


def row_time(operators: Iterable[OperatorProfile], nodes: Sequence[str]) -> RowTime | None:
    """What a backend did in a row; without `nodes`, for no node at all. None if nothing."""
    mine = [
        operator
        for operator in operators
        if (operator.nodes[0] in nodes if operator.nodes else not nodes)
    ]
    if not mine:
        return None
    fused = any(len(operator.nodes) > 1 for operator in mine)
    return RowTime(sum(operator.seconds for operator in mine), fused)


def row_name(nodes: Sequence[str], longest: int = MAX_NAME) -> str:
    """The nodes joined by +, what all names begin with up to a dot said once; cut to `longest`."""
    first, *others = nodes
    prefix = ".".join(
        part[0]
        for part in takewhile(
            lambda part: len(set(part)) == 1,
            zip(*(name.split(".")[:-1] for name in nodes), strict=False),
        )
    )
    tails = [name.removeprefix(f"{prefix}.") for name in others] if prefix else others
    text = "+".join([first, *tails])
    if len(text) <= longest:
        return text
    ending = f".. ({len(nodes)})" if len(nodes) > 1 else ".."
    return text[: longest - len(ending)] + ending


def _operators(result: ProfileResult) -> Iterable[OperatorProfile]:
    for backend in result.backends:
        for run in backend.profiled:
            yield from run.operators

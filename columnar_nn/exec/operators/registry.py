"""Which operator runs a plan node: each module of this package registers its own.

It is imported when a plan first has such a node: what a plan lacks does not delay its start.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import TypeVar

from columnar_nn.exec.operators.base import Operator, SinkOperator
from columnar_nn.plan.plan_node import PlanNode

OperatorType = TypeVar("OperatorType", bound=type[Operator])
SinkType = TypeVar("SinkType", bound=type[SinkOperator])

MODULES = {
    "Aggregation": "aggregation",
    "Filter": "filter_project",
    "HashJoin": "hash_join",
    "Limit": "limit",
    "LocalPartition": "local_exchange",
    "NestedLoopJoin": "nested_loop_join",
    "OrderBy": "order_by",
    "Project": "filter_project",
    "TableScan": "table_scan",
    "TopN": "top_n",
    "Unnest": "unnest",
    "Values": "table_scan",
}
"""The module of each node's operators, by the node's name."""

_RUN_BY: dict[type[PlanNode], type[Operator]] = {}
_FED_BY: dict[type[PlanNode], type[SinkOperator]] = {}


def runs(*nodes: type[PlanNode]) -> Callable[[OperatorType], OperatorType]:
    """Registers an operator class, made of a node and a DriverContext, as what runs such nodes."""

    def register(operator: OperatorType) -> OperatorType:
        _RUN_BY.update(dict.fromkeys(nodes, operator))
        return operator

    return register


def feeds(node: type[PlanNode]) -> Callable[[SinkType], SinkType]:
    """Registers what ends a pipeline that feeds such a node, as HashBuild does HashJoin's."""

    def register(operator: SinkType) -> SinkType:
        _FED_BY[node] = operator
        return operator

    return register


def operator_class(node: PlanNode) -> type[Operator]:
    """The operator that runs a node in its own pipeline."""
    _register(node)
    return _RUN_BY[type(node)]


def sink_class(node: PlanNode) -> type[SinkOperator]:
    """The operator at the end of a pipeline that feeds a node of another."""
    _register(node)
    return _FED_BY[type(node)]


def _register(node: PlanNode) -> None:
    """Imports the module of a node's operators, unless they are registered."""
    if type(node) not in _RUN_BY:
        importlib.import_module(f"{__package__}.{MODULES[node.name]}")

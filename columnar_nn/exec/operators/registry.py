"""Which operator runs a plan node: each module of this package registers its own."""

from __future__ import annotations

import functools
import importlib
import pkgutil
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from columnar_nn.exec.operators.base import Operator, SinkOperator
from columnar_nn.plan.plan_node import PlanNode

OperatorType = TypeVar("OperatorType", bound=type[Operator])
SinkType = TypeVar("SinkType", bound=type[SinkOperator])

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
    _register_all()
    return _RUN_BY[type(node)]


def sink_class(node: PlanNode) -> type[SinkOperator]:
    """The operator at the end of a pipeline that feeds a node of another."""
    _register_all()
    return _FED_BY[type(node)]


@functools.cache
def _register_all() -> None:
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        importlib.import_module(f"{__package__}.{module.name}")

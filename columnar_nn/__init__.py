"""A columnar engine for convolutional networks: plans over Arrow, vector functions, kernels.

A network over an Arrow table, in three lines, and what each kernel cost, in three more:

>>> import numpy as np, pyarrow as pa
>>> import columnar_nn as cnn
>>> pixels = np.random.default_rng(0).integers(0, 256, (8, 3, 32, 32), dtype=np.uint8)
>>> table = pa.table({"id": range(8), "image": cnn.from_numpy(pixels)})

>>> logits = cnn.network(cnn.load_network("plain9"), "image")
>>> plan = cnn.PlanBuilder().table_scan(table).project({"id": "id", "logits": logits}).plan()
>>> result = cnn.prepare(plan, threads=1).run().to_table()

>>> task = cnn.prepare(plan).run(profile=True)
>>> result = task.to_table()
>>> layers = task.stats().steps_table().select(["label", "kernel", "nanoseconds"])

The names below are all that is public, and those of `integrations`; each is imported when first
used, so that importing a module of this package does not import the others. docs/library.md is a
walk through them.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from columnar_nn import integrations
    from columnar_nn.data.arrow_source import ArrowSource, open_source
    from columnar_nn.data.numpy_column import to_numpy
    from columnar_nn.data.tensor_column import from_numpy
    from columnar_nn.errors import (
        CnnBenchError,
        InvalidDataError,
        InvalidModelError,
        InvalidPlanError,
        MissingPackageError,
        UnsupportedOperatorError,
        UsageError,
    )
    from columnar_nn.exec.executable import Executable, prepare
    from columnar_nn.exec.stats import OperatorStats, PlanNodeStats, TaskStats
    from columnar_nn.exec.step_stats import StepStats
    from columnar_nn.exec.task import Task
    from columnar_nn.expressions.expression import argmax, call, column, softmax
    from columnar_nn.functions.declared import vector_function
    from columnar_nn.functions.declared_scalar import scalar_function
    from columnar_nn.kernels.primitives import clamp, fma, where
    from columnar_nn.lowering.network import network, network_outputs
    from columnar_nn.model.graph import Graph, Node, TensorSpec
    from columnar_nn.model.zoo import resolve as load_network
    from columnar_nn.plan.builder import PlanBuilder
    from columnar_nn.plan.plan_node import PlanNode
    from columnar_nn.plan.text import to_text
    from columnar_nn.queries.query import sql, sql_plan

_MODULES = {
    "data.arrow_source": ("ArrowSource", "open_source"),
    "errors": (
        "CnnBenchError",
        "InvalidDataError",
        "InvalidModelError",
        "InvalidPlanError",
        "MissingPackageError",
        "UnsupportedOperatorError",
        "UsageError",
    ),
    "expressions.expression": ("argmax", "call", "column", "softmax"),
    "functions.declared": ("vector_function",),
    "functions.declared_scalar": ("scalar_function",),
    "kernels.primitives": ("clamp", "fma", "where"),
    "model.graph": ("Graph", "Node", "TensorSpec"),
    "model.zoo": ("load_network",),
    "lowering.network": ("network", "network_outputs"),
    "plan.builder": ("PlanBuilder",),
    "plan.plan_node": ("PlanNode",),
    "plan.text": ("to_text",),
    "exec.executable": ("Executable", "prepare"),
    "exec.stats": ("OperatorStats", "PlanNodeStats", "TaskStats"),
    "exec.step_stats": ("StepStats",),
    "exec.task": ("Task",),
    "queries.query": ("sql", "sql_plan"),
    "data.numpy_column": ("to_numpy",),
    "data.tensor_column": ("from_numpy",),
}
_ORIGINAL_NAMES = {"load_network": "resolve"}

__all__ = [
    "ArrowSource",
    "CnnBenchError",
    "Executable",
    "Graph",
    "InvalidDataError",
    "InvalidModelError",
    "InvalidPlanError",
    "MissingPackageError",
    "Node",
    "OperatorStats",
    "PlanBuilder",
    "PlanNode",
    "PlanNodeStats",
    "StepStats",
    "Task",
    "TaskStats",
    "TensorSpec",
    "UnsupportedOperatorError",
    "UsageError",
    "argmax",
    "call",
    "clamp",
    "column",
    "fma",
    "from_numpy",
    "integrations",
    "load_network",
    "network",
    "network_outputs",
    "open_source",
    "prepare",
    "scalar_function",
    "softmax",
    "sql",
    "sql_plan",
    "to_numpy",
    "to_text",
    "vector_function",
    "where",
]


def __getattr__(name: str) -> Any:
    if name == "integrations":
        return import_module("columnar_nn.integrations")
    for module, names in _MODULES.items():
        if name in names:
            found = getattr(import_module(f"columnar_nn.{module}"), _ORIGINAL_NAMES.get(name, name))
            globals()[name] = found
            return found
    raise AttributeError(f"module 'columnar_nn' has no public name {name!r}")


def __dir__() -> list[str]:
    return __all__

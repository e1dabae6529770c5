"""Functions declared as a user declares them; what they compute is known to NumPy."""

from __future__ import annotations

import math
from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from adapters import declared_functions
from columnar_nn.functions.declared import DECLARED
from columnar_nn.functions.registry import VECTOR_FUNCTIONS
from columnar_nn.functions.scalar_registry import SCALAR_FUNCTIONS
from columnar_nn.model.operators import OPERATORS
from reference.operators import OPERATORS as REFERENCE


@contextmanager
def own_tables() -> Iterator[None]:
    """What is declared inside is gone after it."""
    tables: list[MutableMapping[Any, Any]] = [
        *(DECLARED, VECTOR_FUNCTIONS, OPERATORS, REFERENCE),
        SCALAR_FUNCTIONS,
    ]
    before, loaded = [dict(table) for table in tables], [*declared_functions.LOADED]
    try:
        yield
    finally:
        declared_functions.LOADED[:] = loaded
        for table, content in zip(tables, before, strict=True):
            for name in table.keys() - content:
                del table[name]
            table.update(content)


def lisht(x: float) -> float:
    """Types on blocks."""
    return x * math.tanh(x)


def hard_shrink(x: float, lambd: float) -> float:
    """Branches, so does not."""
    if x > lambd or x < -lambd:
        return x
    return 0.0


def l2_normalize(x: Any, out: Any) -> None:
    """Of features."""
    total = 0.0
    for i in range(x.shape[0]):
        total += x[i] * x[i]
    for i in range(len(x)):
        out[i] = x[i] / math.sqrt(total)


def channel_sums(x: Any, out: Any, power: int, factor: float) -> None:
    """Of images."""
    for c in range(x.shape[0]):
        for i in range(x.shape[1]):
            for j in range(x.shape[2]):
                out[c] += factor * x[c, i, j] ** power


def beyond(x: Any, out: Any, first: int, count: int) -> None:
    """Reads and writes the items from `first` on, inside of the row or not."""
    for i in range(first, first + count):
        out[i] = x[i]


def custom_file(folder: Path, size: int = 8, **attributes: float) -> Path:
    """A convolution, then HardShrink and Sums of the domain my.ops."""
    shapes = (["N", 3, size, size], ["N", 20])
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip(("image", "y"), shapes, strict=True)
    ]
    nodes = [
        helper.make_node("Conv", ["image", "w"], ["c"], "conv"),
        helper.make_node("HardShrink", ["c"], ["s"], "shrink", domain="my.ops", **attributes),
        helper.make_node("Sums", ["s"], ["y"], "sums", domain="my.ops"),
    ]
    filters = np.random.default_rng(1).normal(size=(20, 3, 3, 3)).astype(np.float32)
    weights = [numpy_helper.from_array(filters, "w")]
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("my.ops", 1)]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:], weights)
    path = folder / "custom.onnx"
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=10), path)
    return path

"""A network prepared once a thread, for as long as that lives, and what it gives.

Workers of other engines call a function again for each part of their data. To prepare a network
takes longer than to run it on some thousand small images, and an executable runs one task at a
time: so each thread has its own.
"""

from __future__ import annotations

import functools
import math
import os
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa

from columnar_nn.data import tensor_column
from columnar_nn.data.arrow_source import from_batches
from columnar_nn.errors import InvalidModelError, UsageError
from columnar_nn.exec.executable import Executable, prepare
from columnar_nn.expressions.expression import Expression, argmax, softmax
from columnar_nn.expressions.types import tensor_shape
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph, TensorSpec
from columnar_nn.model.shapes import infer_shapes
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.plan_node import PlanNode

NetworkSource = str | os.PathLike[str] | bytes
"""A built-in network's name, the path of an ONNX file, or what such a file holds."""

NUM_KEPT = 4 * (os.cpu_count() or 1)
"""Networks that all threads keep together: of more, the one used longest ago goes."""

IMAGE, SCAN = "image", "0"
"""The column that an executable reads, and the plan's node that reads it."""

LOGITS, PROBABILITIES, PREDICTED = "logits", "probabilities", "predicted"
"""Outputs that every classifier has, whatever its tensors are called."""


class PreparedNetwork:
    """A network and what is wanted of it, as one thread keeps it.

    `outputs` are LOGITS, PROBABILITIES, PREDICTED, or names of tensors. Raises as `zoo.resolve`
    does, UsageError for an output that it does not have, and InvalidModelError for a network that
    does not take one image at a time.
    """

    def __init__(self, source: str | bytes, outputs: tuple[str, ...]) -> None:
        graph = zoo.from_bytes(source) if isinstance(source, bytes) else zoo.resolve(source)
        self.image_shape = _image_shape(graph)
        self._expressions = _expressions(graph, outputs)
        self._executables: dict[str, Executable] = {}

    @functools.cached_property
    def output_schema(self) -> pa.Schema:
        """The outputs' names and types: a tensor is the list of its values, row-major."""
        types = self._plan("uint8").output_type
        return pa.schema([(field.name, _as_list(field.type)) for field in types])

    @functools.cached_property
    def values_a_row(self) -> int:
        """Numbers in an image and in all outputs of it."""
        types = self._plan("uint8").output_type
        shapes = [self.image_shape, *(tensor_shape(field.type) or () for field in types)]
        return sum(map(math.prod, shapes))

    def executable(self, dtype: str) -> Executable:
        """It over a column IMAGE of that dtype, prepared when it is first asked for."""
        if dtype not in self._executables:
            self._executables[dtype] = prepare(self._plan(dtype))
        return self._executables[dtype]

    def _plan(self, dtype: str) -> PlanNode:
        image = tensor_column.tensor_type(dtype, self.image_shape)
        source = from_batches(pa.schema([pa.field(IMAGE, image)]), ())
        return PlanBuilder().table_scan(source).project(self._expressions).plan()


def prepared(source: NetworkSource, outputs: Sequence[str]) -> PreparedNetwork:
    """This thread's network, from its cache; a file that has changed since is read again."""
    if isinstance(source, Graph):
        raise UsageError(
            f"the graph {source.name} is known to this process only: give its name, or the path or "
            "the bytes of its ONNX file"
        )
    if isinstance(source, bytes):
        return _kept.network(threading.get_native_id(), source, tuple(outputs), None)
    name = os.fspath(source)
    return _kept.network(threading.get_native_id(), name, tuple(outputs), _version(name))


class _Kept:
    """What threads keep, by their number in the system.

    threading.local does not do: to Python a thread of DuckDB's is a new one at every call.
    """

    def __init__(self) -> None:
        self.network: Callable[..., PreparedNetwork] = functools.lru_cache(NUM_KEPT)(
            lambda thread, source, outputs, version: PreparedNetwork(source, outputs)
        )


_kept = _Kept()


def _forget() -> None:
    """The child of a fork can use nothing of its parent's."""
    global _kept  # noqa: PLW0603 - one for the process, which is another now
    _kept = _Kept()


os.register_at_fork(after_in_child=_forget)


def _version(name: str) -> tuple[int, ...] | None:
    """What tells two contents of a model's file apart; None of what is no file."""
    path = Path(name)
    if not (zoo.is_file(name) and path.is_file()):
        return None
    status = path.stat()
    return status.st_mtime_ns, status.st_size, status.st_ino


def _image_shape(graph: Graph) -> tuple[int, ...]:
    """The shape of an image, C x H x W; raises InvalidModelError where it is not one alone."""
    shapes = [spec.shape for spec in graph.inputs]
    if len(shapes) != 1 or not all(shapes[0][1:]):
        raise InvalidModelError(
            f"{graph.name} takes {shapes}, not one image of a fixed size: export it with one input"
        )
    if graph.batch is not None:
        raise InvalidModelError(
            f"{graph.name} takes batches of {graph.batch} images only: export it with a symbolic "
            "batch dimension"
        )
    return tuple(size for size in shapes[0][1:] if size is not None)


def _expressions(graph: Graph, outputs: Sequence[str]) -> Mapping[str, Expression]:
    """Each output over the column IMAGE. A network that ends in Softmax gives probabilities."""
    last = graph.outputs[0].name
    end = graph.producer(last)
    ends_in_softmax = end is not None and end.op_type == "Softmax"
    logits = end.inputs[0] if end is not None and ends_in_softmax else last
    tensors = {LOGITS: logits, PROBABILITIES: last, PREDICTED: logits}
    shapes = infer_shapes(graph)
    known = {tensor for node in graph.nodes for tensor in node.outputs}
    names = {output: tensors.get(output, output) for output in outputs}
    if not outputs or not known.issuperset(names.values()):
        wrong = [output for output, name in names.items() if name not in known]
        raise UsageError(
            f"{graph.name} has no output {', '.join(wrong) or 'without a name'}: use "
            f"{', '.join(tensors)} or the name of a tensor (cnn-bench model show)"
        )
    specs = [TensorSpec(name, shapes[name]) for name in dict.fromkeys(names.values())]
    made = network_outputs(graph.with_outputs(specs), IMAGE)
    expressions = {output: made[name] for output, name in names.items()}
    if PREDICTED in expressions:
        expressions[PREDICTED] = argmax(expressions[PREDICTED])
    if PROBABILITIES in expressions and not ends_in_softmax:
        expressions[PROBABILITIES] = softmax(expressions[PROBABILITIES])
    return expressions


def _as_list(data_type: Any) -> pa.DataType:
    is_tensor = isinstance(data_type, pa.FixedShapeTensorType)
    return pa.list_(data_type.value_type) if is_tensor else data_type

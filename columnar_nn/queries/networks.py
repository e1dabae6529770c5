"""Networks as functions of SQL: plain9(image) is the network's first output for each image."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from columnar_nn.errors import InvalidPlanError, UsageError
from columnar_nn.expressions.expression import Call, Expression
from columnar_nn.functions.network_images import as_tensors
from columnar_nn.functions.registry import VECTOR_FUNCTIONS
from columnar_nn.functions.scalar_registry import SCALAR_FUNCTIONS
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph, Shape
from columnar_nn.model.network_source import NetworkSource, graph_of
from columnar_nn.plan.aggregation import AGGREGATES


class Networks:
    """Networks by the names of their functions, read when they are first called.

    The built-in ones are there without being named. Raises UsageError for a name that SQL cannot
    call, or that another function has.
    """

    def __init__(self, sources: Mapping[str, NetworkSource]) -> None:
        for name in sources:
            if name.lower() in {*VECTOR_FUNCTIONS, *SCALAR_FUNCTIONS, *AGGREGATES}:
                raise UsageError(f"network {name!r}: there is a function of that name, rename it")
            if not isinstance(sources[name], Graph | str | os.PathLike):
                kind = type(sources[name]).__name__
                raise UsageError(f"network {name!r} is {kind}: give a graph, a name or a path")
            if not name.isidentifier():
                raise UsageError(f"network {name!r}: use letters, digits and _")
        self._sources: dict[str, NetworkSource] = {name: name for name in zoo.BUILDERS}
        self._sources |= {name.lower(): source for name, source in sources.items()}
        self._graphs: dict[str, Graph] = {}
        self._outputs: dict[tuple[str, tuple[int, ...]], Mapping[str, Expression]] = {}

    @property
    def names(self) -> list[str]:
        """Of all functions, in lower case."""
        return list(self._sources)

    def _graph(self, name: str) -> Graph:
        if name not in self._graphs:
            graph = graph_of(self._sources[name])
            if graph.batch is not None:
                raise InvalidPlanError(
                    f"{name} takes batches of {graph.batch} images only: export it with a symbolic "
                    "batch dimension"
                )
            self._graphs[name] = graph
        return self._graphs[name]

    def call(
        self,
        name: str,
        inputs: Sequence[Expression],
        attributes: Mapping[str, Any],
        typed: Callable[[Expression], Expression],
    ) -> Expression:
        """An output of the network over images; those of other types are made tensors first.

        `typed` gives an expression its type. Raises InvalidPlanError for arguments that are no
        such images.
        """
        graph = self._graph(name)
        wanted = [spec.name for spec in graph.inputs]
        if len(inputs) != len(wanted):
            raise InvalidPlanError(
                f"{name} takes {len(wanted)} argument(s), {', '.join(wanted)}, not {len(inputs)}"
            )
        outputs = [spec.name for spec in graph.outputs]
        output = attributes.get("output", outputs[0])
        if output not in outputs or attributes.keys() - {"output"}:
            known = " or ".join(f"'{each}'" for each in outputs)
            raise InvalidPlanError(f"{name} has one attribute, output => {known}")
        images = [
            _as_images(name, given, spec.shape, typed)
            for given, spec in zip(inputs, graph.inputs, strict=True)
        ]
        key = name, tuple(map(id, images))
        if key not in self._outputs:
            columns = dict(zip(wanted, images, strict=True))
            self._outputs[key] = network_outputs(graph, columns)
        return self._outputs[key][output]


def _as_images(
    name: str,
    given: Expression,
    shape: Shape,
    typed: Callable[[Expression], Expression],
) -> Expression:
    """The argument as tensors of the network's shape, typed."""
    sizes = tuple(size for size in shape[1:] if size is not None)
    if len(sizes) != len(shape) - 1:
        raise InvalidPlanError(f"{name} takes images of any size: export it for one size")
    if isinstance(given, Call) and given.function == "decode_image":
        given = Call(given.function, given.inputs, {"shape": sizes, **given.attributes})
    return typed(as_tensors(name, typed(given), sizes))

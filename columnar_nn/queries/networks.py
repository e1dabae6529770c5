"""Networks as functions of SQL: plain9(image) is the network's first output for each image."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pyarrow as pa

from columnar_nn.data import image_column
from columnar_nn.errors import InvalidDataError, InvalidPlanError, UsageError
from columnar_nn.expressions.expression import Call, Expression
from columnar_nn.functions.registry import VECTOR_FUNCTIONS
from columnar_nn.functions.scalar import SCALAR_FUNCTIONS
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph, Shape
from columnar_nn.plan.builder import AGGREGATES

NetworkSource = Graph | str | os.PathLike[str]
"""A graph, a built-in network's name or the path of an ONNX file."""


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
            source = self._sources[name]
            graph = source if isinstance(source, Graph) else zoo.resolve(os.fspath(source))
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
    text = "x".join(map(str, sizes))
    if isinstance(given, Call) and given.function == "decode_image":
        given = Call(given.function, given.inputs, {"shape": sizes, **given.attributes})
    image = typed(given)
    is_tensor = isinstance(image.type, pa.FixedShapeTensorType)
    if is_tensor and tuple(image.type.shape) != sizes:
        held = "x".join(map(str, image.type.shape))
        raise InvalidPlanError(f"{name} takes images of {text}, not of {held}")
    if is_tensor and image.type.value_type in (pa.uint8(), pa.float32()):
        return image
    try:
        image_column.pixel_dtype(image.type, "given", "uint8", sizes)
    except InvalidDataError:
        raise InvalidPlanError(
            f"{name} takes images of {text}, not {image.type}: tensors, lists or bytes of uint8 or "
            "float32, or decode_image(...) of PNG and JPEG files"
        ) from None
    return typed(Call("to_tensor", (given,), {"shape": sizes}))

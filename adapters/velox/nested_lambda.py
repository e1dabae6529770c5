"""The network as one plan of nested lambdas: one row an image, its planes in one ARRAY(REAL).

The closest that stock Velox comes to a plan of vector functions: a ProjectNode for each layer,
whose expression is a whole convolution. Nothing is joined, shuffled or copied between layers.
A task is one image: it already makes tens of thousands of elements to a call, and 8 took 2.5 times
as long an image, as the sums left the L2 cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from adapters.velox.expressions import literal, relu
from adapters.velox.layers import Convolution, Dense, Network, VeloxLayer
from adapters.velox.task import VeloxTask
from adapters.velox.vectors import constant_list, lists, row_vector
from columnar_nn.data import tensor_column
from columnar_nn.errors import UnsupportedOperatorError

SCALE = f"transform(x, p -> cast(bitwise_and(cast(p as integer), 255) as real) / {literal(255)})"


class NestedLambda:
    """Chains of valid convolutions of stride 1 and dense layers, each perhaps with ReLU.

    Raises UnsupportedOperatorError listing every other layer.
    """

    def __init__(self, network: Network) -> None:
        refuse_all_but_chains(network)
        self._network = network
        self._prepared: dict[np.dtype, tuple[np.ndarray, Any]] = {}
        self._outputs: list[np.ndarray] = []

    def prepare(self, images: int) -> None:
        """Makes the plan for one uint8 image; `images` does not matter to it."""
        self._plan(np.dtype(np.uint8))

    def run(self, images: np.ndarray) -> list[tuple[str, VeloxTask]]:
        """Computes the network for images [N, C, H, W] (uint8 or float32); see `outputs`."""
        row, plan = self._plan(images.dtype)
        tasks, results = [], []
        for image in images:
            row.view(images.dtype)[:] = image.reshape(-1)
            task = VeloxTask(plan)
            results += [_values(vector) for vector in task.batches()]
            tasks.append(("network", task))
        shape = self._network.shape(self._network.outputs[0])
        self._outputs = [np.concatenate(results).reshape(len(images), *shape)]
        return tasks

    def _plan(self, dtype: np.dtype) -> tuple[np.ndarray, Any]:
        """The buffer from which the plan reads its image, and the plan, made once for a type."""
        if dtype not in self._prepared:
            self._prepared[dtype] = self._new_plan(dtype)
        return self._prepared[dtype]

    def _new_plan(self, dtype: np.dtype) -> tuple[np.ndarray, Any]:
        from pyvelox import plan_builder

        is_bytes = dtype == np.uint8
        projections: list[tuple[str, list[str]]] = [(SCALE, [])] if is_bytes else []
        constants: dict[str, tuple[Sequence, pa.DataType]] = {}
        plane = _Plane(self._network.image_shape)
        for index, layer in enumerate(self._network.layers):
            names = [f"f{index}", f"b{index}", f"o{index}"]
            expression, values = plane.apply(layer, *names)
            constants.update(values)
            projections.append((expression, list(values)))
        expression = plane.compact()
        if expression != "x":
            projections.append((expression, []))

        size = int(np.prod(self._network.image_shape))
        row = np.zeros(size, np.int8 if is_bytes else np.float32)
        columns = {name: constant_list(v, t, 1) for name, (v, t) in constants.items()}
        vector = row_vector({"x": lists(row[None]), **columns})
        builder = plan_builder.PlanBuilder().values([vector])
        waiting = list(constants)
        for expression, used in projections:
            waiting = [name for name in waiting if name not in used]
            builder.project([f"{expression} as x", *waiting])
        return row, builder.get_plan_node()

    def close(self) -> None:
        """Releases vectors and plans."""
        self._prepared.clear()

    def outputs(self) -> list[np.ndarray]:
        """Results of the last run: [N, ...]."""
        return self._outputs


def refuse_all_but_chains(network: Network) -> None:
    """Raises UnsupportedOperatorError listing what one plan of arrays cannot say."""
    refused = [
        (layer.name, layer.operator, reason)
        for layer in network.layers
        if (reason := _objection(layer)) is not None
    ]
    if refused:
        raise UnsupportedOperatorError("velox in a configuration of one plan", refused)


def _objection(layer: VeloxLayer) -> str | None:
    if isinstance(layer, Dense):
        return None
    if not isinstance(layer, Convolution) or len(layer.inputs) > 1:
        return "only convolution and dense layers, each perhaps with ReLU"
    if layer.window.strides != (1, 1) or any(layer.window.pads):
        return "only convolutions of stride 1 without padding"
    return None


class _Plane:
    """Where the pixels of the array x are: a convolution leaves gaps between rows behind.

    Channel c, row y, column x is element c * `channel` + y * `pitch` + x.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.channels, self.height, self.width = shape
        self.pitch, self.channel = self.width, self.height * self.width

    def apply(
        self, layer: VeloxLayer, filters: str, bias: str, offsets: str
    ) -> tuple[str, dict[str, tuple[Sequence, pa.DataType]]]:
        """The layer as an expression of x and of the constants that it needs, also returned."""
        if isinstance(layer, Convolution):
            return self._convolution(layer, filters, bias, offsets)
        assert isinstance(layer, Dense)
        products = f"zip_with({self.compact()}, g, (p, q) -> p * q)"
        value = f"cast(array_sum({products}) as real) + c"  # array_sum() gives a DOUBLE
        self.channels, self.height, self.width = len(layer.weights), 1, 1
        self.pitch, self.channel = 1, 1
        value = relu(value) if layer.relu else value
        return f"zip_with({filters}, {bias}, (g, c) -> {value})", {
            filters: (layer.weights.tolist(), pa.list_(pa.list_(pa.float32()))),
            bias: (layer.bias.tolist(), pa.list_(pa.float32())),
        }

    def _convolution(
        self, layer: Convolution, filters: str, bias: str, offsets: str
    ) -> tuple[str, dict[str, tuple[Sequence, pa.DataType]]]:
        """For each filter g with bias c: from c on, add one shifted, weighted slice a tap."""
        window = layer.window
        taps = [
            c * self.channel + y * window.dilations[0] * self.pitch + x * window.dilations[1] + 1
            for c in range(self.channels)
            for y in range(window.kernel_shape[0])
            for x in range(window.kernel_shape[1])
        ]
        self.channels, self.height, self.width = layer.shape
        self.channel = length = (self.height - 1) * self.pitch + self.width
        last = f"transform(s, v -> {relu('v')})" if layer.relu else "s"
        add = f"zip_with(s, slice(x, {offsets}[j], {length}), (p, q) -> p + q * g[j])"
        start = f"repeat(c, cast({length} as integer))"
        steps = f"sequence(1, {len(taps)})"
        expression = (
            f"flatten(zip_with({filters}, {bias}, (g, c) -> "
            f"reduce({steps}, {start}, (s, j) -> {add}, s -> {last})))"
        )
        return expression, {
            filters: (
                layer.filters.reshape(len(layer.filters), -1).tolist(),
                pa.list_(pa.list_(pa.float32())),
            ),
            bias: (layer.bias.tolist(), pa.list_(pa.float32())),
            offsets: (taps, pa.list_(pa.int64())),
        }

    def compact(self) -> str:
        """x without gaps: the flattened tensor."""
        if self.pitch == self.width and self.channel == self.height * self.width:
            return "x"
        start = f"(j / {self.height}) * {self.channel} + (j % {self.height}) * {self.pitch} + 1"
        rows = self.channels * self.height
        return f"flatten(transform(sequence(0, {rows - 1}), j -> slice(x, {start}, {self.width})))"


def _values(vector: object) -> np.ndarray:
    """The elements of a vector's only column, an ARRAY(REAL), copied out."""
    from pyvelox import arrow

    elements = tensor_column.numbers(arrow.to_arrow(vector).field(0).flatten())
    return elements.copy()

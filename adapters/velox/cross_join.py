"""The network as one relational plan: pixels cross-joined with a table of weights, aggregated.

Both tables are Parquet files that Velox scans. A layer is: UnnestNode, from arrays of pixels to
one row a pixel and one column a neighbour; NestedLoopJoinNode with the layer's weights, whose
output repeats every pixel vector without a copy beside weights that are constant; ProjectNode,
sum of t_i * w_i; AggregationNode, back to one array of pixels. Dense layers are expressions over
the rows that are left, one a chunk of images.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from adapters.velox import table
from adapters.velox.expressions import literal, relu
from adapters.velox.layers import Convolution, Dense, Network
from adapters.velox.nested_lambda import refuse_all_but_chains
from adapters.velox.plan_json import (
    BIGINT,
    BOOLEAN,
    INTEGER,
    REAL,
    TINYINT,
    Json,
    PlanWriter,
    array,
    call,
    cast,
    constant,
    field,
    total,
)
from adapters.velox.task import VeloxError, VeloxTask, reason
from adapters.velox.vectors import lists
from columnar_nn.data import tensor_column
from columnar_nn.errors import UnsupportedOperatorError

IMAGES_PER_CHUNK = 8
"""Images whose pixels make one vector: about 7,000 rows, see MAX_ROWS in stage.py."""

IMAGES_PER_TASK = 32
"""The join keeps every layer's pixels in memory until the task ends: 4 MB an image of plain9."""

SETTINGS = {
    "max_output_batch_rows": "10000",
    "preferred_output_batch_rows": "10000",
    "debug_disable_expression_with_peeling": "true",
}
"""Makes UnnestNode put out one vector a chunk: of several, the join copies none."""

FIRST_ID = 100
"""Node id of the scan of images; the plan builder numbers its own nodes from 0."""

CHUNK = {"chunk": BIGINT, "n": BIGINT}
"""Number of a chunk of images and how many images it has; every table but weights has them."""

KEPT = {**CHUNK, "kept": BOOLEAN}
"""The same of a row a pixel, and whether it is one of the output."""

VALUES = array(REAL)


class CrossJoin:
    """Chains of valid convolutions of stride 1 and dense layers, each perhaps with ReLU.

    Raises UnsupportedOperatorError listing every other layer.
    """

    def __init__(self, network: Network) -> None:
        refuse_all_but_chains(network)
        _refuse_a_chain_without_convolution(network)
        table.prepare_scans()
        self._network = network
        self._folder = tempfile.TemporaryDirectory(prefix="cnn-bench-velox-")
        self._plans: dict[np.dtype, tuple[Any, dict[str, Any]]] = {}
        self._outputs: list[np.ndarray] = []
        self._numbers = count()

    def run(self, images: np.ndarray) -> list[tuple[str, VeloxTask]]:
        """Computes the network for images [N, C, H, W] (uint8 or float32); see `outputs`."""
        tasks, results = [], []
        for part in np.split(images, range(IMAGES_PER_TASK, len(images), IMAGES_PER_TASK)):
            task, values = self._run(part)
            tasks.append(("network", task))
            results.append(values)
        shape = self._network.shape(self._network.outputs[0])
        self._outputs = [np.concatenate(results).reshape(len(images), *shape)]
        return tasks

    def prepare(self, images: int) -> None:
        """Makes the plan for uint8 images; `images` does not matter to it."""
        self._plan_for(np.dtype(np.uint8))

    def outputs(self) -> list[np.ndarray]:
        """Results of the last run: [N, ...]."""
        return self._outputs

    def close(self) -> None:
        """Removes the tables."""
        self._folder.cleanup()

    def _run(self, images: np.ndarray) -> tuple[VeloxTask, np.ndarray]:
        plan, files = self._plan_for(images.dtype)
        rows = np.ascontiguousarray(images).reshape(len(images), -1)
        rows = rows.view(np.int8) if rows.dtype == np.uint8 else rows
        columns = {"id": pa.array(np.arange(len(rows), dtype=np.int64)), "image": lists(rows)}
        # Velox keeps files open by name: another batch is another file.
        path = Path(self._folder.name, f"images{next(self._numbers)}.parquet")
        images_file = table.write(path, pa.table(columns))
        task = VeloxTask(plan, SETTINGS)
        for node_id, file in {str(FIRST_ID): images_file, **files}.items():
            task.scan(file, node_id)
        values = np.concatenate([_values(vector) for vector in task.batches()])
        path.unlink()
        return task, values

    def _plan_for(self, dtype: np.dtype) -> tuple[Any, dict[str, Any]]:
        if dtype not in self._plans:
            self._plans[dtype] = self._plan(TINYINT if dtype == np.uint8 else REAL)
        return self._plans[dtype]

    def _plan(self, pixel: Json) -> tuple[Any, dict[str, Any]]:
        """The plan for images of TINYINT or REAL pixels; weight files by scan node id."""
        from pyvelox import plan_builder

        writer = _ConvolutionWriter(self._network, pixel, Path(self._folder.name))
        try:
            node = plan_builder.deserialize_plan(json.dumps(writer.node))
        except RuntimeError as error:
            raise VeloxError(f"Velox: {reason(error)}") from None
        # A deserialized node cannot be run by itself in pyvelox 0.2.0: the builder adds the root.
        builder = plan_builder.PlanBuilder().sorted_merge(["chunk"], [node])
        dense = [_dense(layer) for layer in self._network.layers if isinstance(layer, Dense)]
        for expression in [writer.features(), *dense]:
            builder.project(["chunk", "n", f"{expression} as x"])
        return builder.order_by(["chunk"]).get_plan_node(), writer.files


def _refuse_a_chain_without_convolution(network: Network) -> None:
    """Raises UnsupportedOperatorError if nothing turns the scanned images into planes."""
    if not any(isinstance(layer, Convolution) for layer in network.layers):
        refused = [
            (layer.name, layer.operator, "no convolution before it") for layer in network.layers
        ]
        raise UnsupportedOperatorError("velox:cross_join", refused)


def _dense(layer: Dense) -> str:
    """For each image, whose features are a slice of x: products summed in DOUBLE, then REAL."""
    num_features = layer.weights.shape[1]
    weights = ", ".join(_real_array(row) for row in layer.weights)
    features = f"slice(x, i * {num_features} + 1, {num_features})"
    products = f"zip_with({features}, g, (p, q) -> p * q)"
    value = f"cast(array_sum({products}) as real) + c"
    value = relu(value) if layer.relu else value
    outputs = f"zip_with(array[{weights}], {_real_array(layer.bias)}, (g, c) -> {value})"
    return f"flatten(transform(sequence(0, n - 1), i -> {outputs}))"


def _real_array(values: np.ndarray) -> str:
    return f"array[{', '.join(literal(value) for value in values.tolist())}]"


def _values(vector: Any) -> np.ndarray:
    """The elements of column x, an ARRAY(REAL), copied out."""
    from pyvelox import arrow

    elements = tensor_column.numbers(arrow.to_arrow(vector).field("x").flatten())
    return elements.copy()


class _ConvolutionWriter:
    """Writes the plan up to the last convolution: `node`, and the weights tables `files`.

    Each aggregation has a row a chunk: its CHUNK columns and `v`, all pixels of its images as
    VALUES [channel, image, y, x].

    pyvelox reads plans nested at most 100 deep, two for a node, so that nodes are few.
    """

    def __init__(self, network: Network, pixel: Json, folder: Path) -> None:
        self.files: dict[str, Any] = {}
        self._folder, self._plan = folder, PlanWriter(FIRST_ID)
        self._channels, self._height, self._width = network.image_shape
        self._pixel = pixel
        self.node = self._images()
        for layer in network.layers:
            if isinstance(layer, Convolution):
                self._convolution(layer)

    def features(self) -> str:
        """v as [image, channel, y, x], as text."""
        if self._channels == 1:
            return "v"
        size = self._height * self._width
        plane = (
            f"slice(v, ((j % {self._channels}) * n + j / {self._channels}) * {size} + 1, {size})"
        )
        return f"flatten(transform(sequence(0, n * {self._channels} - 1), j -> {plane}))"

    def _images(self) -> Json:
        """A row a chunk of images: q0, q1 ... hold each channel's planes, not yet joined."""
        planes = {f"q{c}": array(self._pixel) for c in range(self._channels)}
        size = self._height * self._width
        node = self._plan.scan({"id": BIGINT, "image": array(self._pixel)})
        chunk = call("divide", BIGINT, field("id", BIGINT), _bigint(IMAGES_PER_CHUNK))
        slices = {
            name: _slice(field("image", of), _bigint(c * size + 1), _bigint(size))
            for c, (name, of) in enumerate(planes.items())
        }
        node = self._plan.project(node, {"chunk": chunk, **slices})
        collected = {
            name: call("array_agg", array(of), field(name, of)) for name, of in planes.items()
        }
        counted = {"n": call("count", BIGINT)}
        return self._plan.aggregate(node, {"chunk": BIGINT}, {**counted, **collected})

    def _convolution(self, layer: Convolution) -> None:
        window, plan = layer.window, self._plan
        taps = [
            y * window.dilations[0] * self._width + x * window.dilations[1]
            for y in range(window.kernel_shape[0])
            for x in range(window.kernel_shape[1])
        ]
        images = "q0" in self.node["aggregateNames"]  # of the first layer only
        shifted: dict[str, Json] = {}
        for channel in range(self._channels):
            for offset in taps:
                shifted[f"t{len(shifted)}"] = self._shifted(channel, offset, taps[-1], images)
        node = plan.project(self.node, {**_passed(CHUNK), **shifted})
        arrays = {name: value["type"] for name, value in shifted.items()}
        node = plan.unnest(node, CHUNK, arrays, ordinality="place")
        pixel = self._pixel if images else REAL
        flat_columns = {name: _flattened(field(name, pixel)) for name in arrays}
        node = plan.project(node, {**_passed(CHUNK), "kept": self._kept(layer), **flat_columns})
        node = self._weighted(node, layer)
        # One driver keeps the join's order: filter after filter, each all its pixels.
        collected = call("array_agg", VALUES, field("y", REAL))
        self.node = plan.aggregate(node, CHUNK, {"v": collected}, mask="kept")
        self._channels, self._height, self._width = layer.shape

    def _kept(self, layer: Convolution) -> Json:
        """Whether a row stands for an output pixel: its window crosses no edge of an image."""
        _, height, width = layer.shape
        place = call("minus", BIGINT, field("place", BIGINT), _bigint(1))
        x = call("mod", BIGINT, place, _bigint(self._width))
        y = call("mod", BIGINT, place, _bigint(self._height * self._width))
        return call(
            "and",
            BOOLEAN,
            call("lt", BOOLEAN, x, _bigint(width)),
            call("lt", BOOLEAN, y, _bigint(height * self._width)),
        )

    def _shifted(self, channel: int, offset: int, last: int, images: bool) -> Json:
        """The channel's pixels from `offset` on; `last` is the largest of all offsets."""
        size = self._height * self._width
        length = call("multiply", BIGINT, field("n", BIGINT), _bigint(size))
        length = call("minus", BIGINT, length, _bigint(last))
        if images:
            planes = field(f"q{channel}", array(array(self._pixel)))
            joined = call("flatten", array(self._pixel), planes)
            return _slice(joined, _bigint(offset + 1), length)
        start = call("multiply", BIGINT, field("n", BIGINT), _bigint(channel * size))
        start = call("plus", BIGINT, start, _bigint(offset + 1))
        return _slice(field("v", VALUES), start, length)

    def _weighted(self, node: Json, layer: Convolution) -> Json:
        """`node`, with columns t0, t1 ..., joined with the layer's weights: KEPT and y.

        Every row of the weights table, one a filter, meets every row of `node`.
        """
        weights = layer.filters.reshape(len(layer.filters), -1)
        rows = np.ascontiguousarray(np.hstack([weights, layer.bias[:, None]]), np.float32)
        scan = self._plan.scan({"w": VALUES})
        path = self._folder / f"weights{scan['id']}.parquet"
        self.files[scan["id"]] = table.write(path, pa.table({"w": lists(rows)}))
        values = {
            f"w{i}": call("subscript", REAL, field("w", VALUES), _bigint(i + 1))
            for i in range(rows.shape[1])
        }
        scan = self._plan.project(scan, values)
        terms = {f"t{i}": REAL for i in range(weights.shape[1])}
        columns = {**KEPT, **terms, **dict.fromkeys(values, REAL)}
        node = self._plan.cross_join(scan, node, columns)
        products = [
            call("multiply", REAL, field(f"t{i}", REAL), field(f"w{i}", REAL))
            for i in range(len(terms))
        ]
        value = total([*products, field(f"w{len(terms)}", REAL)])
        if layer.relu:
            value = call("greatest", REAL, value, constant(0.0, REAL))
        return self._plan.project(node, {**_passed(KEPT), "y": value})


def _flattened(value: Json) -> Json:
    """An unnested pixel as REAL, scaled if it is a byte of the image.

    Unnested columns are dictionaries, on which arithmetic is five times as slow; the result of
    any arithmetic is flat, if Velox may not peel the dictionary off and put it back on.
    """
    if value["type"] is REAL:
        return call("multiply", REAL, value, constant(1.0, REAL))
    byte = call("bitwise_and", BIGINT, cast(value, INTEGER), constant(255, INTEGER))
    return call("divide", REAL, cast(byte, REAL), constant(255.0, REAL))


def _passed(columns: Mapping[str, Json]) -> dict[str, Json]:
    return {name: field(name, of) for name, of in columns.items()}


def _bigint(value: int) -> Json:
    return constant(value, BIGINT)


def _slice(values: Json, start: Json, length: Json) -> Json:
    return call("slice", values["type"], values, start, length)

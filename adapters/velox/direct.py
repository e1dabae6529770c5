"""Direct convolution, pooling and dense layers as wide projections with constant weights.

One row a pixel. Each column is one neighbour (a shifted view of a channel) or one weight (a
constant); a batch for each output channel brings that channel's weights, so that a single small
expression, sum of t_i * w_i, is compiled once for the whole layer.
"""

from __future__ import annotations

from collections.abc import Sequence

from adapters.velox.expressions import dot, literal, relu, total
from adapters.velox.feature_map import FeatureMap, Geometry, copies
from adapters.velox.layers import Affine, Convolution, Dense, Elementwise, MaxPool
from adapters.velox.stage import Batch, Stage, row_ranges
from adapters.velox.vectors import borrowed, constants, numbered, row_vector


def window_geometry(layer: Convolution | MaxPool, height: int, width: int) -> Geometry:
    """The layout in which the layer reads an input of that size: phases are its strides."""
    window = layer.window
    (top, left, bottom, right), phases = window.pads, window.strides[0]
    return Geometry(height, width, phases, (top, left), (bottom, right))


def addend_geometry(layer: Convolution, source: Geometry, phases: int) -> Geometry:
    """The layout of the tensor added to a convolution: row by row the convolution's output."""
    _, height, width = layer.shape
    rows = -(-height // phases)
    after = (phases * rows - height, phases * source.grid[1] - width)
    return Geometry(height, width, phases, after=after)


def convolution_stage(
    layer: Convolution,
    source: FeatureMap,
    addend: FeatureMap | None,
    targets: Sequence[FeatureMap],
) -> Stage:
    """All of a convolution with its bias, addend and ReLU; float32 throughout."""
    images, (num_filters, height, _) = source.images, layer.shape
    width = source.geometry.grid[1]
    taps = _taps(layer, source.channels)
    batches = []
    for rows in row_ranges(height, width * images):
        size = len(rows) * width * images
        neighbours = [borrowed(source.view(c, y, x, rows.start, len(rows))) for c, y, x in taps]
        for k in range(num_filters):
            columns = {
                **numbered("t", neighbours),
                **numbered("w", constants(layer.filters[k], size)),
                "b": constants(layer.bias[k], size)[0],
            }
            if addend is not None:
                columns["a"] = borrowed(addend.view(k, 0, 0, rows.start, len(rows)))
            stored = [copy for target in targets for copy in copies(target, k, (0, 0), 1, rows)]
            batches.append(Batch(row_vector(columns), (len(rows), width, images), [stored]))
    terms = [dot(_names("t", len(taps)), _names("w", len(taps))), "b"]
    value = total(terms + ["a"] * (addend is not None))
    return Stage(layer.name, batches, [[f"{relu(value) if layer.relu else value} as y"]])


def max_pool_stage(layer: MaxPool, source: FeatureMap, targets: Sequence[FeatureMap]) -> Stage:
    """The largest of each window's columns."""
    images, (channels, height, _) = source.images, layer.shape
    width = source.geometry.grid[1]
    taps = _taps(layer, 1)
    batches = []
    for rows in row_ranges(height, width * images):
        for c in range(channels):
            views = [borrowed(source.view(c, y, x, rows.start, len(rows))) for _, y, x in taps]
            stored = [copy for target in targets for copy in copies(target, c, (0, 0), 1, rows)]
            vector = row_vector(numbered("t", views))
            batches.append(Batch(vector, (len(rows), width, images), [stored]))
    return Stage(layer.name, batches, [[f"greatest({', '.join(_names('t', len(taps)))}) as y"]])


def dense_stage(layer: Dense, source: FeatureMap, targets: Sequence[FeatureMap]) -> Stage:
    """One row an image, one column a feature; a batch for each output."""
    inputs = [borrowed(feature) for feature in source.features()]
    batches = []
    for k, (weights, bias) in enumerate(zip(layer.weights, layer.bias, strict=True)):
        columns = {
            **numbered("t", inputs),
            **numbered("w", constants(weights, source.images)),
            "b": constants(bias, source.images)[0],
        }
        batches.append(_feature_batch(columns, source.images, targets, [k]))
    value = total([dot(_names("t", len(inputs)), _names("w", len(inputs))), "b"])
    return Stage(layer.name, batches, [[f"{relu(value) if layer.relu else value} as y"]])


def global_average_stage(name: str, source: FeatureMap, targets: Sequence[FeatureMap]) -> Stage:
    """One row an image, one column a pixel; a batch for each channel."""
    batches = []
    for c in range(source.channels):
        pixels = [borrowed(pixel) for pixel in source.pixels(c)]
        batches.append(_feature_batch(numbered("t", pixels), source.images, targets, [c]))
    value = total(_names("t", len(pixels)))
    return Stage(name, batches, [[f"{value} / {literal(len(pixels))} as y"]])


def softmax_stage(name: str, source: FeatureMap, targets: Sequence[FeatureMap]) -> Stage:
    """One row an image: exp(x - max) and then its share of the sum."""
    features = [borrowed(feature) for feature in source.features()]
    names = _names("t", len(features))
    largest = f"greatest({', '.join(names)})" if len(names) > 1 else names[0]
    # exp() exists for DOUBLE only; its result is rounded to REAL at once.
    powers = [f"cast(exp(cast({n} - {largest} as double)) as real) as {n}" for n in names]
    shares = [f"{n} / {total(names)} as y{i}" for i, n in enumerate(names)]
    columns = numbered("t", features)
    batch = _feature_batch(columns, source.images, targets, range(len(names)))
    return Stage(name, [batch], [powers, shares])


def elementwise_stage(
    layer: Elementwise, sources: Sequence[FeatureMap], targets: Sequence[FeatureMap]
) -> Stage:
    """The sum of the inputs, plane by plane, then perhaps ReLU."""
    images = sources[0].images
    height, width = sources[0].geometry.grid
    batches = []
    for rows in row_ranges(height, width * images):
        for c in range(sources[0].channels):
            views = [borrowed(source.view(c, 0, 0, rows.start, len(rows))) for source in sources]
            stored = [copy for target in targets for copy in copies(target, c, (0, 0), 1, rows)]
            vector = row_vector(numbered("t", views))
            batches.append(Batch(vector, (len(rows), width, images), [stored]))
    value = total(_names("t", len(sources)))
    return Stage(layer.name, batches, [[f"{relu(value) if layer.relu else value} as y"]])


def affine_stage(layer: Affine, source: FeatureMap, targets: Sequence[FeatureMap]) -> Stage:
    """Each plane times its scale plus its offset, then perhaps ReLU."""
    images = source.images
    height, width = source.geometry.grid
    batches = []
    for rows in row_ranges(height, width * images):
        for c in range(source.channels):
            size = len(rows) * width * images
            columns = {
                "t": borrowed(source.view(c, 0, 0, rows.start, len(rows))),
                "s": constants(layer.scale[c], size)[0],
                "o": constants(layer.offset[c], size)[0],
            }
            stored = [copy for target in targets for copy in copies(target, c, (0, 0), 1, rows)]
            batches.append(Batch(row_vector(columns), (len(rows), width, images), [stored]))
    value = "t * s + o"
    return Stage(layer.name, batches, [[f"{relu(value) if layer.relu else value} as y"]])


def _taps(layer: Convolution | MaxPool, channels: int) -> list[tuple[int, int, int]]:
    """(channel, y, x) of each element of the window, in the order of ONNX's filters."""
    window = layer.window
    ys, xs = (
        [dilation * index for index in range(size)]
        for dilation, size in zip(window.dilations, window.kernel_shape, strict=True)
    )
    return [(c, y, x) for c in range(channels) for y in ys for x in xs]


def _feature_batch(
    columns: dict, images: int, targets: Sequence[FeatureMap], outputs: Sequence[int]
) -> Batch:
    """A batch of one row an image whose output columns are features of the targets."""
    stored = [
        [copy for target in targets for copy in _feature_copies(target, index)] for index in outputs
    ]
    return Batch(row_vector(columns), (1, 1, images), stored)


def _feature_copies(target: FeatureMap, index: int) -> list:
    return copies(target, index, (0, 0), 1, range(1))


def _names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}{index}" for index in range(count)]

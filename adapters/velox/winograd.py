"""3x3 convolution by Winograd's minimal filtering, its three steps said as projections.

One row a tile of 2 x 2 output pixels. Input transform: a batch for each channel, 16 pixel
columns. Products: a batch for each position of the transformed tile and each few filters, a
column for each channel. Output transform: a batch for each filter, with bias, addend and ReLU.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from adapters.velox.expressions import dot, linear_map, relu, total
from adapters.velox.feature_map import Copy, FeatureMap, Geometry, copies
from adapters.velox.layers import Convolution
from adapters.velox.stage import Batch, Stage, row_ranges
from adapters.velox.vectors import borrowed, constants, numbered, row_vector
from columnar_nn.kernels import toom_cook

OUTPUTS = 2
"""Side of an output tile, F(2x2, 3x3). Larger tiles multiply less but have more positions, hence
more calls on fewer rows: in batches of 32, F(3x3) took 1.4 and F(4x4) 1.7 times as long, and in
batches of 128 no more than 8% less."""

MIN_IMAGES = 32
"""Smaller batches are faster direct: a batch of one took 513 ms, 296 direct."""

FILTERS_PER_BATCH = 4
"""Filters computed by one batch of products. More save batches, each of which costs about 2 us a
column; fewer keep the expression small, which Velox compiles for every run."""


def applies(layer: Convolution) -> bool:
    """Whether the layer is a dense 3x3 convolution of stride 1 worth transforming."""
    window = layer.window
    return (
        window.kernel_shape == (3, 3)
        and window.strides == (1, 1)
        and window.dilations == (1, 1)
        and min(layer.filters.shape[:2]) >= 4
    )


def _tiles(layer: Convolution) -> tuple[int, int]:
    """Rows and columns of tiles that cover the layer's output."""
    _, height, width = layer.shape
    return -(-height // OUTPUTS), -(-width // OUTPUTS)


def winograd_geometry(layer: Convolution, height: int, width: int) -> Geometry:
    """The layout of the input: phases of OUTPUTS, padded so that the last tiles are whole."""
    top, left, _, _ = layer.window.pads
    down, across = _tiles(layer)
    after = (OUTPUTS * down + 2 - height - top, OUTPUTS * across + 2 - width - left)
    return Geometry(height, width, OUTPUTS, (top, left), (max(0, after[0]), max(0, after[1])))


def workspace_shapes(layer: Convolution, source: FeatureMap) -> list[tuple[int, ...]]:
    """Shapes of the transformed input and of the products: position, channel, grid, image."""
    grid = (_tiles(layer)[0], source.geometry.grid[1], source.images)
    return [((OUTPUTS + 2) ** 2, channels, *grid) for channels in (source.channels, layer.shape[0])]


def winograd_stages(
    layer: Convolution,
    source: FeatureMap,
    addend: FeatureMap | None,
    targets: Sequence[FeatureMap],
    workspace: Sequence[np.ndarray],
) -> list[Stage]:
    """The three tasks of a convolution whose input is laid out by `winograd_geometry`.

    `workspace` holds two flat arrays for what lies between them, see `workspace_shapes`; what is
    in them is of use until the next convolution only.
    """
    matrices = toom_cook.transform(OUTPUTS, float)
    data, filter_transform, inverse = (
        np.array(matrix, float) for matrix in (matrices.inputs, matrices.filters, matrices.outputs)
    )
    num_filters, channels = layer.filters.shape[:2]
    weights = np.einsum("ia,kcab,jb->ijkc", filter_transform, layer.filters, filter_transform)
    weights = weights.reshape(-1, num_filters, channels).astype(np.float32)
    transformed, products = (
        array[: prod(shape)].reshape(shape)
        for array, shape in zip(workspace, workspace_shapes(layer, source), strict=True)
    )
    return [
        _input_stage(f"{layer.name} input transform", source, data, transformed),
        _product_stage(f"{layer.name} products", weights, transformed, products),
        _output_stage(layer, inverse, products, addend, targets),
    ]


def _input_stage(name: str, source: FeatureMap, data: np.ndarray, transformed: np.ndarray) -> Stage:
    size = len(data)
    height, width, images = transformed.shape[2:]
    batches = []
    for rows in row_ranges(height, width * images):
        for c in range(source.channels):
            views = [
                borrowed(source.view(c, y, x, rows.start, len(rows)))
                for y in range(size)
                for x in range(size)
            ]
            stored = [_whole(transformed[p, c], rows) for p in range(size * size)]
            vector = row_vector(numbered("d", views))
            batches.append(Batch(vector, (len(rows), width, images), stored))
    return Stage(name, batches, _separable(data, data, "d", "v"))


def _product_stage(
    name: str, weights: np.ndarray, transformed: np.ndarray, products: np.ndarray
) -> Stage:
    positions, num_filters, channels = weights.shape
    height, width, images = transformed.shape[2:]
    group = FILTERS_PER_BATCH if num_filters % FILTERS_PER_BATCH == 0 else 1
    batches = []
    for rows in row_ranges(height, width * images):
        size = len(rows) * width * images
        for p in range(positions):
            inputs = [
                borrowed(transformed[p, c, rows.start : rows.stop].reshape(-1))
                for c in range(channels)
            ]
            for k in range(0, num_filters, group):
                columns = {
                    **numbered("v", inputs),
                    **numbered("w", constants(weights[p, k : k + group], size)),
                }
                stored = [_whole(products[p, k + g], rows) for g in range(group)]
                batches.append(Batch(row_vector(columns), (len(rows), width, images), stored))
    names = [f"v{c}" for c in range(channels)]
    sums = [
        f"{dot(names, [f'w{g * channels + c}' for c in range(channels)])} as m{g}"
        for g in range(group)
    ]
    return Stage(name, batches, [sums])


def _output_stage(
    layer: Convolution,
    inverse: np.ndarray,
    products: np.ndarray,
    addend: FeatureMap | None,
    targets: Sequence[FeatureMap],
) -> Stage:
    height, width, images = products.shape[2:]
    phases = [(y, x) for y in range(OUTPUTS) for x in range(OUTPUTS)]
    batches = []
    for rows in row_ranges(height, width * images):
        for k in range(products.shape[1]):
            inputs = [borrowed(m[k, rows.start : rows.stop].reshape(-1)) for m in products]
            columns = numbered("d", inputs)
            columns["b"] = constants(layer.bias[k], len(inputs[0]))[0]
            if addend is not None:
                views = [borrowed(addend.view(k, y, x, rows.start, len(rows))) for y, x in phases]
                columns.update(numbered("a", views))
            stored = [
                [c for target in targets for c in copies(target, k, phase, OUTPUTS, rows)]
                for phase in phases
            ]
            batches.append(Batch(row_vector(columns), (len(rows), width, images), stored))
    passed = ["b", *(f"a{i}" for i in range(len(phases)) if addend is not None)]
    steps = _separable(inverse, inverse, "d", "y", passed)
    sums = [[f"y{i}", "b", *([f"a{i}"] if addend is not None else [])] for i in range(len(phases))]
    final = [total(terms) for terms in sums]
    if layer.relu:
        final = [relu(value) for value in final]
    return Stage(
        f"{layer.name} output transform",
        batches,
        [*steps, [f"{value} as y{i}" for i, value in enumerate(final)]],
    )


def _separable(
    left: np.ndarray, right: np.ndarray, source: str, target: str, passed: Sequence[str] = ()
) -> list[list[str]]:
    """Two projections that compute left X right^T for a matrix X of columns, row-major."""
    size = left.shape[1]
    half: list[list[str]] = []  # half[i][j] = (left X)[i, j]
    by_column = [
        linear_map(left, [f"{source}{i * size + j}" for i in range(size)]) for j in range(size)
    ]
    half = [[by_column[j][i] for j in range(size)] for i in range(len(left))]
    first = [f"{half[i][j]} as h{i * size + j}" for i in range(len(left)) for j in range(size)]
    second = []
    for i in range(len(left)):
        row = linear_map(right, [f"h{i * size + j}" for j in range(size)])
        second += [f"{value} as {target}{i * len(right) + j}" for j, value in enumerate(row)]
    return [[*first, *passed], [*second, *passed]]


def _whole(target: np.ndarray, rows: range) -> list[Copy]:
    """Everything goes to the grid rows `rows` of a buffer of the same grid."""
    return [Copy((slice(None), slice(None)), target[rows.start : rows.stop])]

"""resize: ONNX Resize of the height and width of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.expressions.expression import Call
from columnar_nn.expressions.types import row_size, tensor_shape
from columnar_nn.functions.assembly import Assembly, Value
from columnar_nn.functions.vector_function import VectorFunction, elements
from columnar_nn.kernels.resize import OUTSIDE, copies, resize
from columnar_nn.model.graph import Shape
from columnar_nn.model.operators import OPERATORS
from columnar_nn.model.shape_rules.operands import Operands
from columnar_nn.model.shape_rules.resize import Resized, Taps, check_modes, taps

DEFAULTS = {
    **{
        name: value
        for name, value in OPERATORS["Resize"].defaults.items()
        if name != "keep_aspect_ratio_policy"
    },
    "roi": (0.0, 0.0, 1.0, 1.0),
}


def shape(operands: Operands) -> tuple[Shape, ...]:
    """[N, C, H, W] with `sizes` for its height and width; `scales` are how they came about.

    `roi` is the region of interest, beginnings then ends, as ONNX has it.
    """
    source, given = operands.shape(0), operands.node.attributes
    sizes, scales = given["sizes"], given["scales"]
    check_modes(given)
    fits = len(source) == 4 and len(sizes) == len(scales) == 2 and len(given["roi"]) == 4
    if not fits or min(sizes) < 1 or min(scales) <= 0:
        raise InvalidModelError(
            f"{source} to sizes {sizes} by scales {scales}: images and two each"
        )
    return ((*source[:2], *sizes),)


def _taps(call: Call) -> list[Taps]:
    given = {**DEFAULTS, **call.attributes}
    source = tensor_shape(call.inputs[0].type)
    assert source is not None
    return [
        taps(
            Resized(
                source[1 + axis],
                given["sizes"][axis],
                given["scales"][axis],
                given["roi"][axis],
                given["roi"][axis + 2],
            ),
            given,
        )
        for axis in range(2)
    ]


def assemble(assembly: Assembly, call: Call, values: Sequence[Value]) -> Value:
    """One kernel, over blocks of channels, or over planes if they lie so and pixels are copied."""
    rows, columns = map(_sources_and_weights, _taps(call))
    is_planar = values[0].layout.kind == "planar" and copies(rows, columns)
    source = assembly.planar(values[0]) if is_planar else assembly.blocked(values[0])
    fill = _fill(call.attributes)
    return assembly.apply(resize(source.layout, rows, columns, fill), source)


def _sources_and_weights(axis: Taps) -> tuple[np.ndarray, np.ndarray]:
    """Of each tap; one that would have no weight, and make NaN of an infinity, halves another's."""
    sources = np.where(axis.outside[:, np.newaxis], OUTSIDE, axis.sources)
    weights = axis.weights.astype(np.float32)
    for tap in range(weights.shape[1]):
        unseen = np.flatnonzero(weights[:, tap] == 0)
        largest = np.abs(weights[unseen]).argmax(axis=1)
        weights[unseen, largest] /= 2
        weights[unseen, tap] = weights[unseen, largest]
        sources[unseen, tap] = sources[unseen, largest]
    return sources, weights


def _fill(attributes: Mapping[str, Any]) -> float:
    return float({**DEFAULTS, **attributes}["extrapolation_value"])


def _operations(call: Call) -> int:
    """Two for each pixel of a sum, down and across; none where pixels are copied."""
    down, across = (axis.sources.shape[1] for axis in _taps(call))
    if down == across == 1:
        return 0
    source = tensor_shape(call.inputs[0].type)
    assert source is not None
    lines = elements(call) // row_size(call.attributes["sizes"][1:])
    return int(2 * (down * lines * source[2] + across * elements(call)))


FUNCTIONS = (VectorFunction("resize", shape, assemble, _operations, DEFAULTS),)

"""What the PyTorch and TensorFlow builders both work out before any tensor exists.

Shapes are known but for the batch, so that pads, axes and divisors are constants at build time.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import reduce

import numpy as np

from columnar_nn.errors import UnsupportedOperatorError
from columnar_nn.model.graph import Graph, Shape
from columnar_nn.model.shape_rules.operands import Operands, normalized_axes
from columnar_nn.model.shape_rules.resize import Resized, taps
from columnar_nn.model.shape_rules.window import Window
from columnar_nn.model.shapes import infer_shapes, operands_of, output_shapes


def network_nodes(
    graph: Graph,
    backend: str,
    operators: Collection[str],
    unsupported_reason: Callable[[Operands], str | None],
) -> list[Operands]:
    """The nodes of a graph, in order, with their shapes and constant operands.

    Raises UnsupportedOperatorError listing every node whose operator is not among `operators`
    or that `unsupported_reason` objects to.
    """
    missing = [
        (node.name, node.op_type, "no such operator in this backend")
        for node in graph.nodes
        if node.op_type not in operators
    ]
    if missing:
        raise UnsupportedOperatorError(backend, missing)
    shapes = infer_shapes(graph)
    nodes = [operands_of(node, shapes, graph.weights) for node in graph.nodes]
    objections = [
        (operands.node.name, operands.node.op_type, reason)
        for operands in nodes
        if (reason := unsupported_reason(operands)) is not None
    ]
    if objections:
        raise UnsupportedOperatorError(backend, objections)
    return nodes


def output_shape(operands: Operands) -> Shape:
    """Shape of the node's output, None for the batch."""
    return output_shapes(operands)[0]


def overhang(window: Window, spatial: Shape) -> list[int]:
    """How far the last window of each dimension reaches beyond the padding, as ceil_mode lets it.

    Negative where the last elements are seen by no window.
    """
    rank = len(window.output)
    return [
        (window.output[i] - 1) * window.strides[i]
        + (window.kernel_shape[i] - 1) * window.dilations[i]
        + 1
        - (int(spatial[i] or 0) + window.pads[i] + window.pads[i + rank])
        for i in range(rank)
    ]


def padding(window: Window, spatial: Shape) -> list[tuple[int, int]]:
    """(before, after) of each dimension such that every window lies inside."""
    rank = len(window.output)
    return [
        (window.pads[i], window.pads[i + rank] + max(0, beyond))
        for i, beyond in enumerate(overhang(window, spatial))
    ]


def strides_to_one_column(operands: Operands, window: Window) -> bool:
    """Whether a convolution of one channel has a single column of output and a stride to it.

    oneDNN 3, in TensorFlow 2.21 and OpenVINO 2026.4, computes other outputs then; without the
    stride, on no more columns than the window sees, it computes these.
    """
    return operands.shape(0)[1] == 1 and window.output[-1] == 1 and window.strides[-1] > 1


def average_divisors(window: Window, spatial: Shape, include_pad: bool) -> np.ndarray:
    """How many elements each window of an AveragePool counts: float32, of the output's shape.

    Those of the image, with `include_pad` those of the padding too, but never what lies beyond.
    """
    rank = len(window.output)
    counts = []
    for i in range(rank):
        before, after = (window.pads[i], window.pads[i + rank]) if include_pad else (0, 0)
        starts = np.arange(window.output[i])[:, None] * window.strides[i] - window.pads[i]
        places = starts + np.arange(window.kernel_shape[i]) * window.dilations[i]
        counted = (places >= -before) & (places < int(spatial[i] or 0) + after)
        counts.append(counted.sum(axis=1))
    divisors: np.ndarray = reduce(np.multiply.outer, counts).astype(np.float32)
    return divisors


def pad_widths(operands: Operands) -> dict[int, tuple[int, int]]:
    """(before, after) of every axis that a Pad node changes; negative entries crop."""
    rank = len(operands.shape(0))
    pads = operands.integer_input(1, "pads") or []
    axes = operands.integer_input(3, "axes")
    axes = normalized_axes(range(rank) if axes is None else axes, rank)
    widths = zip(axes, pads[: len(axes)], pads[len(axes) :], strict=True)
    return {axis: (before, after) for axis, before, after in widths if before or after}


def pad_sources(size: int, before: int, after: int, mode: str) -> np.ndarray:
    """Which element of an axis of `size` stands at each place after a Pad of mode `mode`.

    Crops first. The modes are those that copy: reflect, edge, wrap.
    """
    kept = np.arange(size)[max(0, -before) : size - max(0, -after)]
    sources: np.ndarray = np.pad(kept, (max(0, before), max(0, after)), mode=mode)  # type: ignore[call-overload]
    return sources


def reduced_axes(operands: Operands) -> list[int]:
    """The axes that a reduction takes; none if it computes with each element by itself."""
    axes = operands.integer_input(1, "axes")
    rank = len(operands.shape(0))
    if not axes:
        return [] if operands.attribute("noop_with_empty_axes") else list(range(rank))
    return normalized_axes(axes, rank)


def same_taps(
    operands: Operands, resized: Mapping[int, Resized], form: Mapping[str, object]
) -> bool:
    """Whether a Resize node does what it would do with other attributes, of sizes alone.

    A framework's own operator, which `form` describes, then does the same.
    """
    given = operands.node.attributes
    if (given["mode"] == "nearest") != (form["mode"] == "nearest"):
        return False
    return all(
        taps(axis, given).same(
            taps(Resized(axis.size, axis.count, axis.count / axis.size), {**given, **form})
        )
        for axis in resized.values()
    )

"""A graph in the forms of ONNX operators that OpenVINO computes as ONNX says (2026.4)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from adapters.network_nodes import overhang, padding, reduced_axes, strides_to_one_column
from columnar_nn.errors import UnsupportedOperatorError
from columnar_nn.model.graph import Graph, Node
from columnar_nn.model.shape_rules.operands import Operands, fixed
from columnar_nn.model.shape_rules.window import conv_window, pool_window
from columnar_nn.model.shapes import infer_shapes, operands_of


def network(graph: Graph) -> Graph:
    """The same network in other nodes; what computes a node has its name.

    Raises UnsupportedOperatorError listing every node that OpenVINO refuses, or computes
    otherwise in every form.
    """
    shapes = infer_shapes(graph)
    nodes = [operands_of(node, shapes, graph.weights) for node in graph.nodes]
    refused = [
        (operands.node.name, operands.node.op_type, why)
        for operands in nodes
        if (why := _refused(operands))
    ]
    if refused:
        raise UnsupportedOperatorError("openvino", refused)
    weights = dict(graph.weights)
    rewritten: list[Node] = []
    for operands in nodes:
        rewrite = _REWRITES.get(operands.node.op_type)
        rewritten += rewrite(operands, weights) if rewrite else [operands.node]
    return replace(graph, nodes=tuple(rewritten), weights=weights)


def _refused(operands: Operands) -> str:
    """What OpenVINO refuses of a node, or computes otherwise than ONNX says; empty if nothing."""
    node = operands.node
    if node.op_type == "LRN" and operands.attribute("size") % 2 == 0:
        return "windows of even size"
    if node.op_type == "Pad" and operands.attribute("mode") == "wrap":
        return "wrap mode"
    if node.op_type == "Resize":
        coordinates = operands.attribute("coordinate_transformation_mode")
        if coordinates in ("half_pixel_symmetric", "tf_crop_and_resize"):
            return f"coordinates {coordinates}"
        if operands.attribute("antialias") or operands.attribute("exclude_outside"):
            return "antialias and exclude_outside, which it leaves out"
        if operands.attribute("keep_aspect_ratio_policy") != "stretch":
            return "keep_aspect_ratio_policy, which it leaves out"
    return ""


def _conv(operands: Operands, weights: dict[str, np.ndarray]) -> list[Node]:
    """A convolution of one channel to a single column as one without a stride across.

    With it oneDNN 3 gives other outputs.
    """
    node, shape = operands.node, operands.shape(0)
    window, last = conv_window(operands), len(shape) - 3
    if len(shape) < 4 or not strides_to_one_column(operands, window):
        return [node]
    size, before = fixed(shape[-1], "width"), window.pads[last]
    extent = (window.kernel_shape[last] - 1) * window.dilations[last] + 1
    seen = min(size, extent - before)
    names = [f"{node.name}/{what}" for what in ("start", "end", "axis")]
    for name, value in zip(names, (0, seen, len(shape) - 1), strict=True):
        weights[name] = np.array([value], np.int64)
    columns, pads = f"{node.outputs[0]}/columns", [*window.pads[:-1], extent - before - seen]
    attributes = {**node.attributes, "strides": [*window.strides[:-1], 1], "pads": pads}
    return [
        Node(f"{node.name}/slice", "Slice", (node.inputs[0], *names), (columns,), {}),
        replace(node, inputs=(columns, *node.inputs[1:]), attributes=attributes),
    ]


def _pool(operands: Operands, weights: dict[str, np.ndarray]) -> list[Node]:
    """A pool with ceil_mode as one with wider padding at the ends, where it overhangs.

    OpenVINO's own keeps a last window that starts in the padding, and counts what overhangs in
    averages that count padding: theirs becomes part of the image.
    """
    node, spatial = operands.node, operands.shape(0)[2:]
    if not operands.attribute("ceil_mode"):
        return [node]
    window = pool_window(operands)
    wide = padding(window, spatial)
    attributes = {**node.attributes, "ceil_mode": 0}
    counted = attributes.get("count_include_pad") and max(overhang(window, spatial)) > 0
    if not counted:
        attributes["pads"] = [before for before, _ in wide] + [after for _, after in wide]
        return [replace(node, attributes=attributes)]
    rank = len(spatial)
    ends = window.pads[rank:]
    attributes["count_include_pad"] = 0
    beyond = [after - end for (_, after), end in zip(wide, ends, strict=True)]
    attributes["pads"] = [0] * rank + beyond
    padded, pads = f"{node.outputs[0]}/padded", f"{node.name}/pads"
    weights[pads] = np.array([0, 0, *window.pads[:rank], 0, 0, *ends], np.int64)
    pad = Node(f"{node.name}/pad", "Pad", (node.inputs[0], pads), (padded,), {"mode": "constant"})
    return [pad, replace(node, inputs=(padded,), attributes=attributes)]


def _prelu(operands: Operands, weights: dict[str, np.ndarray]) -> list[Node]:
    """PRelu with a slope of the input's rank: of rank 1 it would be taken for the channels'."""
    node, slope = operands.node, operands.constants[1]
    missing = len(operands.shape(0)) - len(operands.shape(1))
    if slope is None or not missing:
        return [node]
    name = f"{node.name}/slope"
    weights[name] = slope.reshape((1,) * missing + slope.shape)
    return [replace(node, inputs=(node.inputs[0], name))]


def _mean(operands: Operands, weights: dict[str, np.ndarray]) -> list[Node]:
    """A mean over the last of three dimensions that drops it and puts it back.

    Else what follows, one value a channel, would be fused into it with the channels mixed up.
    """
    node, rank = operands.node, len(operands.shape(0))
    of_images = node.op_type == "GlobalAveragePool"
    axes, keepdims = (
        ([2], 1) if of_images else (reduced_axes(operands), node.attributes["keepdims"])
    )
    if rank != 3 or axes != [2] or not keepdims:
        return [node]
    axis, dropped = f"{node.name}/axis", f"{node.outputs[0]}/dropped"
    weights[axis] = np.array([2], np.int64)
    mean = {"keepdims": 0, "noop_with_empty_axes": 0}
    return [
        Node(node.name, "ReduceMean", (node.inputs[0], axis), (dropped,), mean),
        Node(f"{node.name}/kept", "Unsqueeze", (dropped, axis), node.outputs, {}),
    ]


def _over_no_axes(operands: Operands, weights: dict[str, np.ndarray]) -> list[Node]:
    """A norm, or a sum of squares, of each element by itself, which OpenVINO would copy."""
    node, x = operands.node, operands.node.inputs[0]
    if reduced_axes(operands):
        return [node]
    squares = node.op_type == "ReduceSumSquare"
    op_type, inputs = ("Mul", (x, x)) if squares else ("Abs", (x,))
    return [replace(node, op_type=op_type, inputs=inputs, attributes={})]


def _lp_normalization(operands: Operands, weights: dict[str, np.ndarray]) -> list[Node]:
    """The norm, then what is over it; its own adds a millionth to the norm's square."""
    node, x = operands.node, operands.node.inputs[0]
    axes, least = f"{node.name}/axes", f"{node.name}/least"
    weights[axes] = np.array([node.attributes["axis"]], np.int64)
    weights[least] = np.array(np.finfo(np.float32).tiny)  # 0 over 0 is 0
    norm, positive = f"{node.outputs[0]}/norm", f"{node.outputs[0]}/positive"
    kept = {"keepdims": 1, "noop_with_empty_axes": 0}
    return [
        Node(f"{node.name}/norm", f"ReduceL{node.attributes['p']}", (x, axes), (norm,), kept),
        Node(f"{node.name}/positive", "Max", (norm, least), (positive,), {}),
        replace(node, op_type="Div", inputs=(x, positive), attributes={}),
    ]


def _tile(operands: Operands, weights: dict[str, np.ndarray]) -> list[Node]:
    """One axis after the other: several at once come out in another order where the first is 1."""
    node, (tensor, _) = operands.node, operands.node.inputs
    repeats = operands.integer_input(1, "the repeats") or []
    axes = [axis for axis, count in enumerate(repeats) if count > 1]
    if len(axes) < 2:
        return [node]
    nodes = []
    for axis in axes:
        name, tiled = f"{node.name}/axis{axis}", f"{node.outputs[0]}/tiled{axis}"
        weights[name] = np.where(np.arange(len(repeats)) == axis, repeats, 1)
        nodes.append(replace(node, name=name, inputs=(tensor, name), outputs=(tiled,)))
        tensor = tiled
    return [*nodes[:-1], replace(nodes[-1], name=node.name, outputs=node.outputs)]


_REWRITES: dict[str, Callable[[Operands, dict[str, np.ndarray]], Sequence[Node]]] = {
    "AveragePool": _pool,
    "Conv": _conv,
    "GlobalAveragePool": _mean,
    "LpNormalization": _lp_normalization,
    "MaxPool": _pool,
    "PRelu": _prelu,
    "ReduceMean": _mean,
    "Tile": _tile,
    **dict.fromkeys(("ReduceL1", "ReduceL2", "ReduceSumSquare"), _over_no_axes),
}

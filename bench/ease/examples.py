"""A small network for every operator of ONNX that this project knows, and one that is wrong."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.model.operators import OPERATORS, REDUCTIONS, UNARY
from columnar_nn.model.shape_rules.window import plain_window
from columnar_nn.model.shapes import infer_shapes

IMAGE = (4, 6, 6)
"""Channels, height, width."""

FEATURES = (24,)

INPUT, MASK, OUTPUT = "image", "mask", "output"

_WINDOW = {"kernel_shape": [3, 3], **plain_window(2)}

_UNPADDED = {"dilations": [1, 1], "output_padding": [0, 0], "pads": [0] * 4}


def operator_networks() -> Iterator[Graph]:
    """Of each operator a network of it alone, named after it, as convolutional networks have it.

    Truth values choose between the image and zero, and are themselves made of the image.

    Operands that networks compute are the image, those that they learn are weights.
    """
    for op_type in sorted({*UNARY, *_OPERANDS}):
        operands, attributes = _OPERANDS.get(op_type, ((INPUT,), {}))
        yield _network(op_type, operands, attributes, _SHAPES.get(op_type, IMAGE))


def wrong_network() -> Graph:
    """A convolution of float32 images with float64 filters, as NumPy makes them by default.

    A mistake of those who write a network by hand; the reader of ONNX files would refuse it, so
    that no backend would ever be asked.
    """
    node = Node("convolution", "Conv", (INPUT, "filters"), (OUTPUT,), _WINDOW)
    return Graph(
        "wrong",
        (node,),
        (TensorSpec(INPUT, (None, *IMAGE)),),
        (TensorSpec(OUTPUT, (None, 5, 4, 4)),),
        {"filters": _floats(5, IMAGE[0], 3, 3).astype(np.float64)},
    )


def _network(
    op_type: str, operands: tuple[Any, ...], attributes: Mapping[str, Any], shape: tuple[int, ...]
) -> Graph:
    names, weights = [], {}
    for place, operand in enumerate(operands):
        names.append(operand if isinstance(operand, str) else f"operand{place}")
        if not isinstance(operand, str):
            weights[names[-1]] = operand
    result = OPERATORS[op_type].result
    output = OUTPUT if result != "bool" else "chosen"
    nodes = [Node(op_type.lower(), op_type, tuple(names), (output,), attributes)]
    if MASK in names:
        nodes.insert(0, Node("mask", "Greater", (INPUT, "zero"), (MASK,), {}))
    if result == "bool":
        nodes.append(Node("choice", "Where", (output, INPUT, "zero"), (OUTPUT,), {}))
        weights["zero"], result = _ZERO, "float32"
    inputs = (TensorSpec(INPUT, (None, *shape)),)
    graph = Graph(op_type, tuple(nodes), inputs, (TensorSpec(OUTPUT, (None,)),), weights)
    return graph.with_outputs([TensorSpec(OUTPUT, infer_shapes(graph)[OUTPUT], result)])


def _floats(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(0.5, 2.0, shape).astype(np.float32)


def _whole(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


_ZERO = np.array(0, np.float32)
_CHANNELS = _floats(IMAGE[0], 1, 1)
_STATISTICS = tuple(_floats(IMAGE[0]) for _ in range(4))

_OPERANDS: Mapping[str, tuple[tuple[Any, ...], Mapping[str, Any]]] = {
    "Add": ((INPUT, INPUT), {}),
    **dict.fromkeys(("And", "Or"), ((MASK, MASK), {})),
    "Not": ((MASK,), {}),
    **dict.fromkeys(("Equal", "Greater", "GreaterOrEqual"), ((INPUT, _CHANNELS), {})),
    **dict.fromkeys(("Less", "LessOrEqual"), ((INPUT, _CHANNELS), {})),
    "ArgMax": ((INPUT,), {"axis": 1}),
    "ArgMin": ((INPUT,), {"axis": 1}),
    "AveragePool": ((INPUT,), _WINDOW),
    "BatchNormalization": ((INPUT, *_STATISTICS), {}),
    "Clip": ((INPUT, np.float32(0), np.float32(6)), {}),
    "Concat": ((INPUT, INPUT), {"axis": 1}),
    "Conv": ((INPUT, _floats(5, IMAGE[0], 3, 3), _floats(5)), _WINDOW),
    "ConvTranspose": (
        (INPUT, _floats(IMAGE[0], 5, 2, 2), _floats(5)),
        {"kernel_shape": [2, 2], "strides": [2, 2], **_UNPADDED},
    ),
    "Div": ((INPUT, _CHANNELS), {}),
    "Dropout": ((INPUT,), {}),
    "Expand": ((INPUT, _whole(1, 1, 1, IMAGE[2])), {}),
    "Flatten": ((INPUT,), {}),
    "Gather": ((INPUT, _whole(2, 0)), {"axis": 1}),
    "Gelu": ((INPUT,), {}),
    "Gemm": ((INPUT, _floats(10, *FEATURES), _floats(10)), {"transB": 1}),
    "GlobalAveragePool": ((INPUT,), {}),
    "GroupNormalization": ((INPUT, *_STATISTICS[:2]), {"num_groups": 2}),
    "Hardmax": ((INPUT,), {"axis": 1}),
    "Identity": ((INPUT,), {}),
    "InstanceNormalization": ((INPUT, *_STATISTICS[:2]), {}),
    "LRN": ((INPUT,), {"size": 5}),
    "LayerNormalization": ((INPUT, *(_floats(IMAGE[2]) for _ in range(2))), {}),
    "LogSoftmax": ((INPUT,), {"axis": 1}),
    "LpNormalization": ((INPUT,), {"axis": 1}),
    "MatMul": ((INPUT, _floats(*FEATURES, 5)), {}),
    "Max": ((INPUT, _CHANNELS), {}),
    "MaxPool": ((INPUT,), _WINDOW),
    "MeanVarianceNormalization": ((INPUT,), {"axes": [2, 3]}),
    "Min": ((INPUT, _CHANNELS), {}),
    "Mul": ((INPUT, _CHANNELS), {}),
    "PRelu": ((INPUT, _CHANNELS), {}),
    "Pow": ((INPUT, np.float32(2)), {}),
    "Pad": ((INPUT, _whole(0, 0, 1, 1, 0, 0, 1, 1)), {}),
    **{op_type: ((INPUT, _whole(2, 3)), {}) for op_type in REDUCTIONS},
    "Resize": (
        (INPUT, "", np.array([2, 2], np.float32)),
        {"axes": [2, 3], "mode": "linear"},
    ),
    "Reshape": ((INPUT, _whole(0, -1)), {}),
    "Slice": ((INPUT, _whole(1), _whole(3), _whole(1)), {}),
    "Softmax": ((INPUT,), {"axis": 1}),
    "Squeeze": ((INPUT, _whole(3)), {}),
    "Sub": ((INPUT, _CHANNELS), {}),
    "Tile": ((INPUT, _whole(1, 1, 1, 2)), {}),
    "Transpose": ((INPUT,), {"perm": [0, 2, 3, 1]}),
    "Unsqueeze": ((INPUT, _whole(2)), {}),
    "Where": ((_CHANNELS > 1, INPUT, np.float32(0)), {}),
}
"""Operands and attributes of the operators that are no function of each element alone."""

_SHAPES = {
    **dict.fromkeys(("Gemm", "LogSoftmax", "MatMul", "Softmax"), FEATURES),
    **dict.fromkeys(("Expand", "Squeeze"), (*IMAGE[:2], 1)),
}
"""Of the input, where it is no image."""

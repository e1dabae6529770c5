"""What each layer of a network is and costs: the table by which the study describes its network."""

from __future__ import annotations

import math
from dataclasses import dataclass

from columnar_nn.model.graph import Graph, Node, Shape
from columnar_nn.model.operators import OPERATORS, SUMMING
from columnar_nn.model.shapes import infer_shapes, operands_of


@dataclass(frozen=True)
class Layer:
    """One node: its output's shape, its sliding window, and its cost for one image.

    `parameters` counts the floating-point weights (tensors, not scalars) that no earlier layer
    has read, batch-norm statistics included; `macs` multiply-accumulates of convolutions and
    matrix products. `kernel`, `strides` and `pads` are empty where nothing slides.
    """

    name: str
    op_type: str
    output_shape: Shape
    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[int, ...]
    parameters: int
    macs: int


def layers(graph: Graph) -> list[Layer]:
    """The layers of `graph` in its order. Raises as `infer_shapes` does."""
    shapes = infer_shapes(graph)
    counted: set[str] = set()
    table = []
    for node in graph.nodes:
        new = set(node.inputs) & set(graph.weights) - counted
        counted |= new
        weights = [graph.weights[name] for name in new]
        window = OPERATORS[node.op_type].window
        slid = window(operands_of(node, shapes, graph.weights)) if window else None
        table.append(
            Layer(
                node.name,
                node.op_type,
                shapes[node.outputs[0]],
                slid.kernel_shape if slid else (),
                slid.strides if slid else (),
                slid.pads if slid else (),
                sum(w.size for w in weights if w.dtype.kind == "f" and w.ndim),
                _macs(node, shapes) // (graph.batch or 1),
            )
        )
    return table


def _macs(node: Node, shapes: dict[str, Shape]) -> int:
    """Multiply-accumulates of a batch; a symbolic one counts as one image."""
    if node.op_type not in SUMMING:
        return 0
    num_outputs = math.prod(d or 1 for d in shapes[node.outputs[0]])
    if node.op_type == "Conv":
        return num_outputs * math.prod(d or 1 for d in shapes[node.inputs[1]][1:])
    left = shapes[node.inputs[0]]
    if node.op_type == "ConvTranspose":
        filters = shapes[node.inputs[1]][1:]
        return math.prod(d or 1 for d in (*left, *filters))
    inner = left[0] if node.attributes.get("transA") else left[-1]
    return num_outputs * (inner or 1)

"""A rewrite of graphs: a product whose rows are told apart afterwards has them apart before.

PyTorch's MultiheadAttention merges the places of a sequence and the images behind them to the rows
of a matrix, [17, batch, 4, 8] becoming [17 * batch, 32], for its last product. Of matrices [17,
batch, 32] the images keep a dimension of their own.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from columnar_nn.model.graph import Graph, Node, Shape
from columnar_nn.model.names import FreshNames
from columnar_nn.model.shapes import infer_shapes


def reshape_before_products(graph: Graph) -> Graph:
    """The graph in which no Gemm stands alone between two Reshapes, of rows to a matrix and back.

    Its matrix and its addend, if it has one, must be constants.
    """
    tensors = {t for node in graph.nodes for t in (*node.inputs, *node.outputs)}
    tensor_names = FreshNames({*tensors, *graph.weights, *(spec.name for spec in graph.inputs)})
    names = FreshNames({node.name for node in graph.nodes})
    weights, nodes = dict(graph.weights), list(graph.nodes)

    def add_weight(role: str, array: np.ndarray) -> str:
        name = tensor_names.fresh(f"{gemm.name}.{role}")
        weights[name] = array
        return name

    for gemm, before, after, shape in _between_reshapes(graph):
        matrix, *addends = (weights[name] for name in gemm.inputs[1:])
        matrix = matrix.T if gemm.attributes["transB"] else matrix
        alpha, beta = (np.float32(gemm.attributes[name]) for name in ("alpha", "beta"))
        entries = [*(-1 if size is None else size for size in shape[:-1]), len(matrix)]
        target = add_weight("shape", np.array(entries, np.int64))
        factor = add_weight("matrix", np.ascontiguousarray(alpha * matrix))
        rows, product = (tensor_names.fresh(f"{gemm.name}.{role}") for role in ("rows", "product"))
        edges = ((before.inputs[0], target), (rows,))
        made = [Node(names.fresh(f"{gemm.name}.reshape"), "Reshape", *edges, {"allowzero": 0})]
        if addends:
            addend = add_weight("addend", beta * addends[0].reshape(-1))
            name = names.fresh(f"{gemm.name}.product")
            made.append(Node(name, "MatMul", (rows, factor), (product,)))
            made.append(Node(gemm.name, "Add", (product, addend), after.outputs))
        else:
            made.append(Node(gemm.name, "MatMul", (rows, factor), after.outputs))
        at = nodes.index(gemm)
        nodes[at : at + 1] = made
        nodes.remove(after)
    return replace(graph, nodes=tuple(nodes), weights=weights)


def _between_reshapes(graph: Graph) -> list[tuple[Node, Node, Node, Shape]]:
    """Each such Gemm, the Reshapes before and behind it and the shape that this one makes."""
    outputs = {spec.name for spec in graph.outputs}
    found = []
    for gemm in graph.nodes:
        if gemm.op_type != "Gemm" or gemm.attributes["transA"] or gemm.outputs[0] in outputs:
            continue
        before, readers = graph.producer(gemm.inputs[0]), graph.consumers(gemm.outputs[0])
        matrix, *addends = (graph.weights.get(name) for name in gemm.inputs[1:])
        if before is None or len(readers) != 1 or matrix is None:
            continue
        if before.op_type == readers[0].op_type == "Reshape" and all(map(_is_row, addends)):
            found.append((gemm, before, readers[0]))
    shapes = infer_shapes(graph) if found else {}
    apart = []
    for gemm, before, after in found:
        shape = shapes[after.outputs[0]]
        keeps_columns = shape[-1:] == shapes[gemm.outputs[0]][1:]
        if keeps_columns and len(shape) > 2 and shape[:-1].count(None) < 2:
            apart.append((gemm, before, after, shape))
    return apart


def _is_row(addend: np.ndarray | None) -> bool:
    """Whether it is a constant that all rows of a product have in common."""
    return addend is not None and addend.ndim > 0 and addend.size == addend.shape[-1]

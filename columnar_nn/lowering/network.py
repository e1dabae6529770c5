"""A network as expressions: every ONNX operator said in vector functions.

Conv is conv2d and vec_scal_add, Gemm is mat_mul and mat_add, and so on; an edge of the graph is
an edge between expressions, so that what two nodes read is computed once.
"""

from __future__ import annotations

from collections.abc import Mapping

from columnar_nn.errors import InvalidModelError, UnsupportedOperatorError
from columnar_nn.expressions.expression import Expression, FieldReference, call
from columnar_nn.lowering import (  # noqa: F401 - each registers its operators
    elementwise,
    matrix,
    movement,
    window,
)
from columnar_nn.lowering.registry import Gap, lowering_of
from columnar_nn.model.network_source import NetworkSource, graph_of
from columnar_nn.model.node import Shape
from columnar_nn.model.shape_rules.operands import Operands
from columnar_nn.model.shapes import infer_shapes, operands_of


def network(
    source: NetworkSource, columns: str | Mapping[str, str | Expression] = "image"
) -> Expression:
    """The network's first output as an expression over a column; see `network_outputs`."""
    graph = graph_of(source)
    return network_outputs(graph, columns)[graph.outputs[0].name]


def network_outputs(
    source: NetworkSource, columns: str | Mapping[str, str | Expression] = "image"
) -> dict[str, Expression]:
    """Each output of a network, by name, as an expression over columns of the batch.

    The network is a graph, or what `load_network` takes. `columns` is the column that its only
    input is read from, or a column, or an expression of tensors, for each input by name: tensors,
    lists or bytes, as SQL takes them. uint8 pixels become float32 pixel / 255 before anything reads
    them. Raises UnsupportedOperatorError listing every node that vector functions cannot say, and
    InvalidModelError for an input without a column.
    """
    graph = graph_of(source)
    if isinstance(columns, str):
        if len(graph.inputs) != 1:
            names = ", ".join(spec.name for spec in graph.inputs)
            raise InvalidModelError(f"the network has inputs {names}: name a column for each")
        columns = {graph.inputs[0].name: columns}
    if not isinstance(columns, Mapping):
        raise InvalidModelError(
            f"columns are a column's name, or a dict of one for each input, not {columns!r}"
        )
    values: dict[str, Expression] = {}
    for spec in graph.inputs:
        if spec.name not in columns:
            raise InvalidModelError(f"no column is named for the network's input {spec.name}")
        sizes = tuple(size for size in spec.shape[1:] if size is not None)
        known = {"shape": sizes} if sizes and len(sizes) == len(spec.shape) - 1 else {}
        values[spec.name] = call("pixels_to_float", columns[spec.name], **known)
    shapes = infer_shapes(graph)
    if any(None in shape[1:] for shape in shapes.values()):
        from columnar_nn.lowering.rows_first import rows_first  # few networks need it

        graph = rows_first(graph, shapes)
        shapes = infer_shapes(graph)
    gaps = []
    for node in graph.nodes:
        operands = operands_of(node, shapes, graph.weights)
        tensors = [t for t in node.inputs if t and t not in graph.weights]
        # what depends on a node that is missing cannot be made, but is no gap of its own
        inputs = [values.get(tensor, FieldReference(tensor)) for tensor in tensors]
        try:
            values[node.outputs[0]] = _lowered(operands, inputs, shapes[node.outputs[0]])
        except Gap as gap:
            gaps.append((node.name, node.op_type, str(gap)))
    for spec in graph.outputs:
        if spec.name in graph.weights:
            raise InvalidModelError(f"output {spec.name} is a constant: it has no rows")
        if spec.dtype == "bool":
            gaps.append((spec.name, "output", "a column of tensors holds no truth values"))
    if gaps:
        raise UnsupportedOperatorError("columnar", gaps, fix="another backend may run it")
    return {spec.name: values[spec.name] for spec in graph.outputs}


def _lowered(operands: Operands, inputs: list[Expression], result: Shape) -> Expression:
    """The expression of a node; raises Gap."""
    if any(None in shape[1:] for shape in (*operands.given_shapes(), result)):
        raise Gap("the images are not along the first axis, and it cannot have them there")
    return lowering_of(operands.node.op_type)(operands, inputs)

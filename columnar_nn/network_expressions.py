"""A network as expressions: every ONNX operator said in vector functions.

Conv is conv2d and vec_scal_add, Gemm is mat_mul and mat_add, and so on; an edge of the graph is
an edge between expressions, so that what two nodes read is computed once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from columnar_nn.errors import InvalidModelError, UnsupportedOperatorError
from columnar_nn.expressions import Call, Expression, FieldReference, Weight
from columnar_nn.graph import Graph
from columnar_nn.shape_rules.operands import Operands, normalized_axes, normalized_axis
from columnar_nn.shapes import RULES, infer_shapes, operands_of


def network(graph: Graph, columns: str | Mapping[str, str] = "image") -> Expression:
    """The graph's first output as an expression over a column; see `network_outputs`."""
    return network_outputs(graph, columns)[graph.outputs[0].name]


def network_outputs(
    graph: Graph, columns: str | Mapping[str, str] = "image"
) -> dict[str, Expression]:
    """Each output of the graph, by name, as an expression over columns of the batch.

    `columns` is the column that the graph's only input is read from, or a column for each input
    by name. Raises UnsupportedOperatorError listing every node that vector functions cannot
    say, and InvalidModelError for an input without a column.
    """
    if isinstance(columns, str):
        if len(graph.inputs) != 1:
            names = ", ".join(spec.name for spec in graph.inputs)
            raise InvalidModelError(f"the network has inputs {names}: name a column for each")
        columns = {graph.inputs[0].name: columns}
    values: dict[str, Expression] = {}
    for spec in graph.inputs:
        if spec.name not in columns:
            raise InvalidModelError(f"no column is named for the network's input {spec.name}")
        values[spec.name] = FieldReference(columns[spec.name])
    shapes = infer_shapes(graph)
    gaps = []
    for node in graph.nodes:
        operands = operands_of(node, shapes, graph.weights)
        tensors = [t for t in node.inputs if t and t not in graph.weights]
        # what depends on a node that is missing cannot be made, but is no gap of its own
        inputs = [values.get(tensor, FieldReference(tensor)) for tensor in tensors]
        try:
            if node.op_type not in RULES_BY_OPERATOR:
                raise Gap("no vector function computes it")
            (values[node.outputs[0]],) = [RULES_BY_OPERATOR[node.op_type](operands, inputs)]
        except Gap as gap:
            gaps.append((node.name, node.op_type, str(gap)))
    for spec in graph.outputs:
        if spec.name in graph.weights:
            raise InvalidModelError(f"output {spec.name} is a constant: it has no rows")
    if gaps:
        raise UnsupportedOperatorError("columnar", gaps)
    return {spec.name: values[spec.name] for spec in graph.outputs}


class Gap(Exception):  # noqa: N818 - what is missing, not what went wrong
    """Why an operator, with these operands, cannot be said in vector functions."""


def _call(
    operands: Operands,
    function: str,
    inputs: list[Expression],
    weights: Mapping[str, np.ndarray] | None = None,
    **attributes: Any,
) -> Call:
    """A call that computes the node; `weights` by what they are to it."""
    node = operands.node
    constants = [Weight(f"{node.name}.{role}", array) for role, array in (weights or {}).items()]
    return Call(function, (*inputs, *constants), attributes, (node.name,))


def _rank(operands: Operands, wanted: tuple[int, ...], what: str) -> None:
    rank = len(operands.shape(0))
    if rank not in wanted:
        raise Gap(f"{what} of rank {rank}; kernels take rank {' or '.join(map(str, wanted))}")


def _one_tensor(operands: Operands, inputs: list[Expression]) -> None:
    if len(inputs) != 1 or operands.constants[0] is not None:
        raise Gap("only its first input may be computed")


def _conv(operands: Operands, inputs: list[Expression]) -> Expression:
    _one_tensor(operands, inputs)
    _rank(operands, (4,), "an input")
    attributes = {
        name: operands.node.attributes[name]
        for name in ("strides", "pads", "dilations", "group")
        if name in operands.node.attributes
    }
    filters = operands.constant(1, "the filters")
    assert filters is not None
    result = _call(operands, "conv2d", inputs, {"weight": filters}, **attributes)
    bias = operands.constant(2, "the bias")
    if bias is None:
        return result
    return _call(operands, "vec_scal_add", [result], {"bias": bias})


def _gemm(operands: Operands, inputs: list[Expression]) -> Expression:
    _one_tensor(operands, inputs)
    if operands.attribute("transA", 0):
        raise Gap("transA would mix rows")
    matrix = operands.constant(1, "the matrix")
    assert matrix is not None
    rows = matrix if operands.attribute("transB", 0) else matrix.T
    alpha, beta = operands.attribute("alpha", 1.0), operands.attribute("beta", 1.0)
    scaled = np.ascontiguousarray(rows if alpha == 1.0 else rows * np.float32(alpha))
    result = _call(operands, "mat_mul", inputs, {"weight": scaled})
    offset = operands.constant(2, "C")
    if offset is None:
        return result
    if offset.size not in (1, len(rows)) or offset.shape[-1:] not in ((), (1,), (len(rows),)):
        raise Gap(f"C of shape {offset.shape} differs from row to row")
    offset = offset.reshape(-1) if beta == 1.0 else offset.reshape(-1) * np.float32(beta)
    return _call(operands, "mat_add", [result], {"bias": offset})


def _mat_mul(operands: Operands, inputs: list[Expression]) -> Expression:
    _one_tensor(operands, inputs)
    _rank(operands, (2,), "an input")
    matrix = operands.constant(1, "the matrix")
    if matrix is None or matrix.ndim != 2:
        raise Gap("the second input must be a constant matrix")
    return _call(operands, "mat_mul", inputs, {"weight": np.ascontiguousarray(matrix.T)})


def _batch_norm(operands: Operands, inputs: list[Expression]) -> Expression:
    _one_tensor(operands, inputs)
    weights = {}
    for index, role in enumerate(("scale", "bias", "mean", "variance"), start=1):
        value = operands.constant(index, role)
        assert value is not None
        weights[role] = value
    epsilon = operands.attribute("epsilon", 1e-5)
    return _call(operands, "batch_norm", inputs, weights, epsilon=epsilon)


def _unary(function: str, **defaults: float) -> Callable[[Operands, list[Expression]], Expression]:
    def rule(operands: Operands, inputs: list[Expression]) -> Expression:
        given = {name: operands.attribute(name, value) for name, value in defaults.items()}
        return _call(operands, function, inputs, **given)

    return rule


def _clip(operands: Operands, inputs: list[Expression]) -> Expression:
    _one_tensor(operands, inputs)
    bounds: dict[str, Any] = {}
    for index, name in ((1, "min"), (2, "max")):
        bound = operands.constant(index, name)
        if bound is not None:
            bounds[name] = float(bound.reshape(-1)[0])
    return _call(operands, "clip", inputs, **bounds)


def _by_channel(operands: Operands, constant: np.ndarray) -> np.ndarray:
    """A constant that broadcasts against the first input, as [1] or [C]; or a Gap."""
    if constant.size == 1:
        return constant.reshape(1)
    rank = len(operands.shape(operands.constants.index(None)))
    aligned = (1,) * (rank - constant.ndim) + constant.shape
    if len(aligned) > rank or rank < 2 or constant.size != aligned[1]:
        raise Gap(f"a constant of shape {constant.shape} is not one value a channel")
    return constant.reshape(-1)


def _prelu(operands: Operands, inputs: list[Expression]) -> Expression:
    _one_tensor(operands, inputs)
    slope = operands.constant(1, "the slope")
    assert slope is not None
    return _call(operands, "prelu", inputs, {"slope": _by_channel(operands, slope)})


def _arithmetic(operation: str) -> Callable[[Operands, list[Expression]], Expression]:
    def rule(operands: Operands, inputs: list[Expression]) -> Expression:
        if len(inputs) == 2:
            return _of_two_tensors(operation, operands, inputs)
        left, right = operands.constants
        constant = _by_channel(operands, right if left is None else left)  # type: ignore[arg-type]
        if operation == "div":
            if left is not None:
                raise Gap("a constant divided by a tensor")
            return _call(operands, "vec_scal_mul", inputs, {"scale": _reciprocal(constant)})
        if operation == "mul":
            return _call(operands, "vec_scal_mul", inputs, {"scale": constant})
        if operation == "sub" and left is not None:
            inputs = [
                _call(operands, "vec_scal_mul", inputs, {"sign": np.array([-1.0], np.float32)})
            ]
        elif operation == "sub":
            constant = -constant
        return _call(operands, "vec_scal_add", inputs, {"offset": constant})

    return rule


def _reciprocal(constant: np.ndarray) -> np.ndarray:
    """1 / constant where that loses nothing; otherwise the quotient would be rounded twice."""
    mantissas, _ = np.frexp(constant)
    if not np.all(np.abs(mantissas) == 0.5):
        raise Gap("division by a constant that is not a power of two")
    result: np.ndarray = np.float32(1) / constant
    return result


def _of_two_tensors(operation: str, operands: Operands, inputs: list[Expression]) -> Expression:
    first, second = operands.shape(0), operands.shape(1)
    per_channel = len(first) == 4 and second == (*first[:2], 1, 1)
    commutes = operation in ("add", "mul")
    if commutes and len(second) == 4 and first == (*second[:2], 1, 1) and first != second:
        inputs = inputs[::-1]
    elif first != second and not per_channel:
        raise Gap(f"broadcasting {second} against {first}")
    return _call(operands, f"vec_{operation}", inputs)


def _pool(function: str, *names: str) -> Callable[[Operands, list[Expression]], Expression]:
    def rule(operands: Operands, inputs: list[Expression]) -> Expression:
        _rank(operands, (4,), "an input")
        attributes = {
            name: operands.node.attributes[name]
            for name in ("kernel_shape", "strides", "pads", "ceil_mode", *names)
            if name in operands.node.attributes
        }
        if function == "avg_pool" and set(operands.attribute("dilations", [1])) != {1}:
            raise Gap("dilation of an average")
        return _call(operands, function, inputs, **attributes)

    return rule


def _global_average(operands: Operands, inputs: list[Expression]) -> Expression:
    _rank(operands, (4,), "an input")
    return _call(operands, "global_avg_pool", inputs)


def _reduce_mean(operands: Operands, inputs: list[Expression]) -> Expression:
    axes = operands.integer_input(1, "axes")
    shape = operands.shape(0)
    if not axes or len(shape) != 4 or sorted(normalized_axes(axes, 4)) != [2, 3]:
        raise Gap("only the mean over height and width")
    pooled = _call(operands, "global_avg_pool", inputs)
    if operands.attribute("keepdims", 1):
        return pooled
    return _call(operands, "flatten", [pooled])


def _softmax(function: str) -> Callable[[Operands, list[Expression]], Expression]:
    def rule(operands: Operands, inputs: list[Expression]) -> Expression:
        _rank(operands, (2,), "an input")
        if normalized_axis(operands.attribute("axis", -1), 2) != 1:
            raise Gap("axis 0 would mix rows")
        return _call(operands, function, inputs)

    return rule


def _reshape(operands: Operands, inputs: list[Expression]) -> Expression:
    """Flatten, Reshape, Squeeze and Unsqueeze, as long as a row stays a row."""
    _one_tensor(operands, inputs)
    (target,) = RULES[operands.node.op_type](operands)
    source = operands.shape(0)
    if not target or not source or target[0] != source[0] or None in target[1:]:
        raise Gap(f"{source} as {target} would mix rows")
    row = [dimension for dimension in target[1:] if dimension is not None]
    if len(row) == 1:
        return _call(operands, "flatten", inputs)
    return _call(operands, "reshape", inputs, shape=row)


def _identity(operands: Operands, inputs: list[Expression]) -> Expression:
    if not inputs:
        raise Gap("of a constant")
    return inputs[0]


def _concat(operands: Operands, inputs: list[Expression]) -> Expression:
    shape = operands.shape(0)
    if len(inputs) != len(operands.shapes):
        raise Gap("a constant among its inputs")
    if normalized_axis(operands.attribute("axis", 0), len(shape)) != 1:
        raise Gap("only channels or features are put side by side (axis 1)")
    return _call(operands, "concat", inputs)


RULES_BY_OPERATOR: dict[str, Callable[[Operands, list[Expression]], Expression]] = {
    "Conv": _conv,
    "Gemm": _gemm,
    "MatMul": _mat_mul,
    "BatchNormalization": _batch_norm,
    "Relu": _unary("relu"),
    "LeakyRelu": _unary("leaky_relu", alpha=0.01),
    "Sigmoid": _unary("sigmoid"),
    "Tanh": _unary("tanh"),
    "HardSigmoid": _unary("hard_sigmoid", alpha=0.2, beta=0.5),
    "HardSwish": _unary("hard_swish"),
    "Clip": _clip,
    "PRelu": _prelu,
    "Add": _arithmetic("add"),
    "Sub": _arithmetic("sub"),
    "Mul": _arithmetic("mul"),
    "Div": _arithmetic("div"),
    "MaxPool": _pool("max_pool", "dilations"),
    "AveragePool": _pool("avg_pool", "count_include_pad"),
    "GlobalAveragePool": _global_average,
    "ReduceMean": _reduce_mean,
    "Softmax": _softmax("softmax"),
    "LogSoftmax": _softmax("log_softmax"),
    "Flatten": _reshape,
    "Reshape": _reshape,
    "Squeeze": _reshape,
    "Unsqueeze": _reshape,
    "Identity": _identity,
    "Dropout": _identity,
    "Concat": _concat,
}
"""ONNX operator to the expression that computes a node of it, given its computed inputs."""

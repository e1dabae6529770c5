"""Float32 networks in QDQ form, as quantisation after training writes them, in NumPy."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper

from columnar_nn.model import onnx_io
from columnar_nn.model.graph import Graph
from reference.evaluate import evaluate


def quantized(graph: Graph, images: np.ndarray) -> onnx.ModelProto:
    """A network of Conv, Relu, Flatten and Gemm(transB=1) in int8.

    Its input and what each Relu makes are uint8, their scale by the largest value on `images`;
    filters are int8 with a scale for each of them, biases int32 in the scale of their products.
    """
    (source,) = (spec.name for spec in graph.inputs)
    names = [source, *(n.outputs[0] for n in graph.nodes if n.op_type == "Relu")]
    made = evaluate(graph.nodes, graph.weights, {source: images}, names)
    scales = {name: np.float32(array.max() / 255) for name, array in made.items()}
    proto = onnx_io.to_proto(graph)
    nodes: list[onnx.NodeProto] = []
    stored: dict[str, np.ndarray] = {}

    def store(name: str, array: np.ndarray) -> str:
        stored[name] = array
        return name

    def dequantized(tensor: str, scale: np.ndarray, *zero_point: str) -> str:
        inputs = [f"{tensor}.q", store(f"{tensor}.scale", scale), *zero_point]
        nodes.append(helper.make_node("DequantizeLinear", inputs, [f"{tensor}.dq"], axis=0))
        return f"{tensor}.dq"

    def activation(tensor: str) -> None:
        scale, zero_point = store(f"{tensor}.scale", scales[tensor]), store("zero", np.uint8(0))
        inputs = [tensor, scale, zero_point]
        nodes.append(helper.make_node("QuantizeLinear", inputs, [f"{tensor}.q"]))
        dequantized(tensor, scales[tensor], zero_point)

    activation(source)
    scale_of = dict(scales)
    for node in proto.graph.node:
        reads = node.input[0]
        scale = scale_of.get(reads)
        node.input[0] = f"{reads}.dq" if reads in scales else reads
        if node.op_type in ("Conv", "Gemm"):
            weight, bias = (graph.weights[name] for name in node.input[1:])
            of_filters = np.abs(weight.reshape(len(weight), -1)).max(axis=1) / np.float32(127)
            shaped = of_filters.reshape(-1, *(1,) * (weight.ndim - 1))
            store(f"{node.input[1]}.q", np.rint(weight / shaped).astype(np.int8))
            store(f"{node.input[2]}.q", np.rint(bias / (scale * of_filters)).astype(np.int32))
            node.input[1] = dequantized(node.input[1], of_filters)
            node.input[2] = dequantized(node.input[2], scale * of_filters)
        elif node.op_type == "Flatten":
            scale_of[node.output[0]] = scale
        nodes.append(node)
        if node.output[0] in scales:
            activation(node.output[0])
    weights = [numpy_helper.from_array(np.asarray(a), name) for name, a in stored.items()]
    made_of = helper.make_graph(
        nodes, f"{graph.name}.int8", proto.graph.input, proto.graph.output, weights
    )
    return helper.make_model(made_of, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)

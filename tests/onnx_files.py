"""Small ONNX files as other tools write them, for the tests of the import's check."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

IMAGE = (3, 8, 8)


def weights() -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    return {
        "w": random.standard_normal((5, 3, 3, 3)).astype(np.float32),
        "b": random.standard_normal(5).astype(np.float32),
        "scale": random.uniform(0.5, 2, 5).astype(np.float32),
        "shift": random.standard_normal(5).astype(np.float32),
        "mean": random.standard_normal(5).astype(np.float32),
        "variance": random.uniform(0.5, 2, 5).astype(np.float32),
        "matrix": random.standard_normal((180, 4)).astype(np.float32),
    }


def node(op_type: str, inputs: str, outputs: str, **attributes: object) -> onnx.NodeProto:
    """A node called after its first output; inputs and outputs are separated by spaces."""
    name = f"{outputs.split(maxsplit=1)[0]}_node"
    return helper.make_node(op_type, inputs.split(), outputs.split(), name, **attributes)


NETWORK = (
    node("Conv", "x w b", "c", strides=[1, 1]),
    node("BatchNormalization", "c scale shift mean variance", "n", epsilon=0.1),
    node("LeakyRelu", "n", "a", alpha=0.4),
    node("Flatten", "a", "f"),
    node("Gemm", "f matrix", "y"),
)
"""A convolution, batch normalisation, activation and dense layer."""


def write(
    path: Path,
    nodes: Sequence[onnx.NodeProto] = NETWORK,
    *,
    batch: int | str = "N",
    outputs: Sequence[str] = ("y",),
    external: bool = False,
    element: int = TensorProto.FLOAT,
    functions: Sequence[onnx.FunctionProto] = (),
) -> Path:
    """Writes the model; with `external`, its weights to `weights.bin` beside it."""
    used = {name for n in nodes for name in n.input}
    graph = helper.make_graph(
        nodes,
        "main",
        [helper.make_tensor_value_info("x", element, [batch, *IMAGE])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(array, name) for name, array in weights().items() if name in used],
    )
    model = helper.make_model(
        graph,
        opset_imports=[
            helper.make_opsetid("", 17),
            *(helper.make_opsetid(f.domain, 1) for f in functions),
        ],
        functions=functions,
        ir_version=8,
    )
    model = onnx.shape_inference.infer_shapes(model)
    onnx.save(model, path, save_as_external_data=external, location="weights.bin", size_threshold=0)
    return path

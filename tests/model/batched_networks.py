"""Small networks of one or few operators, for one batch size or any, and ONNX Runtime's outputs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ANY = "n"
"""The batch size of a file that takes any."""

Operand = str | np.ndarray | Callable[[int], Any]
"""The name of a tensor (the image is "x", results are "0", "1", ...), a constant, or a constant
made of the batch size, which is -1 where it is free."""


@dataclass(frozen=True)
class Step:
    """One node."""

    op_type: str
    inputs: tuple[Operand, ...]
    attributes: dict[str, Any]


def step(op_type: str, *inputs: Operand, **attributes: Any) -> Step:
    return Step(op_type, inputs, attributes)


def ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


def write(
    path: Path,
    image: Sequence[int],
    steps: Sequence[Step],
    batch: int | str,
    result: int = TensorProto.FLOAT,
) -> Path:
    """The ONNX file of the steps, whose last one makes the output, of type `result`."""
    size = batch if isinstance(batch, int) else -1
    constants: list[onnx.TensorProto] = []

    def name_of(operand: Operand) -> str:
        if isinstance(operand, str):
            return operand
        value = operand if isinstance(operand, np.ndarray) else np.asarray(operand(size))
        constants.append(numpy_helper.from_array(value, f"c{len(constants)}"))
        return str(constants[-1].name)

    nodes = [
        helper.make_node(
            s.op_type, [name_of(i) for i in s.inputs], [str(n)], f"n{n}", **s.attributes
        )
        for n, s in enumerate(steps)
    ]
    graph = helper.make_graph(
        nodes,
        "small",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *image])],
        [helper.make_tensor_value_info(str(len(steps) - 1), result, None)],
        constants,
    )
    inferred = onnx.shape_inference.infer_shapes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    )
    onnx.save(inferred, path)
    return path


def original(path: Path) -> Callable[[np.ndarray], np.ndarray]:
    """The file as it is, in ONNX Runtime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return lambda images: np.asarray(session.run(None, {"x": images})[0])

"""One operator evaluated by ONNX's own reference, in float64."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

OPSET = 21


def onnx_result(
    op_type: str, inputs: Sequence[np.ndarray | None], attributes: dict[str, Any]
) -> np.ndarray:
    """The operator's one output, float32; floating-point inputs are widened to float64 first."""
    names = [f"x{i}" if array is not None else "" for i, array in enumerate(inputs)]
    wide = {
        name: array.astype(np.float64) if array.dtype == np.float32 else array
        for name, array in zip(names, inputs, strict=True)
        if array is not None
    }
    values = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(a.dtype), a.shape)
        for name, a in wide.items()
    ]
    output = helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)
    node = helper.make_node(op_type, names, ["y"], **attributes)
    graph = helper.make_graph([node], "oracle", values, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", OPSET)])
    (result,) = ReferenceEvaluator(model).run(None, wide)
    return np.asarray(result, np.float32)

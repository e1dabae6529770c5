"""One operator of the reference, with the attributes that a graph adds to its node."""

from __future__ import annotations

from typing import Any

import numpy as np

from columnar_nn.model.operators import OPERATORS as TABLE
from reference.operators import OPERATORS


def computed(op_type: str, *inputs: np.ndarray | None, **attributes: Any) -> np.ndarray:
    """The output for these inputs; attributes that are left out have ONNX's default."""
    return OPERATORS[op_type](*inputs, **{**TABLE[op_type].defaults, **attributes})

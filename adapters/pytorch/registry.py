"""The functions that compute ONNX operators in PyTorch, registered where they are written."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from columnar_nn.model.operators import Implementations

OPERATORS: Implementations[Callable[..., Any]] = Implementations()
implements = OPERATORS.implements

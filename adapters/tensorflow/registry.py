"""The functions that compute ONNX operators in TensorFlow, registered where they are written."""

from __future__ import annotations

from collections.abc import Callable

from adapters.tensorflow.tensor import Tensor
from columnar_nn.model.operators import Implementations

OPERATORS: Implementations[Callable[..., Tensor]] = Implementations()
implements = OPERATORS.implements

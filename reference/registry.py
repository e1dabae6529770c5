"""The functions that evaluate ONNX operators, by the operator's name."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import numpy as np

Function = TypeVar("Function", bound=Callable[..., np.ndarray])

OPERATORS: dict[str, Callable[..., np.ndarray]] = {}
"""A function takes the operator's inputs in order (None for an absent one) and its attributes by
name, and returns its one output. Attributes with a default in ONNX must be given too."""


def implements(op_type: str) -> Callable[[Function], Function]:
    """Decorates the function that evaluates an operator."""

    def register(function: Function) -> Function:
        OPERATORS[op_type] = function
        return function

    return register

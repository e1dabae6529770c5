"""relu and clip: functions of an element that clamp, for which a layer makes no call.

They are most networks' only ones, and a file of their own: to declare a function takes 0.2 ms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from columnar_nn.functions.declaration import declare
from columnar_nn.functions.vector_function import VectorFunction
from columnar_nn.kernels import RELU, Activation
from columnar_nn.kernels.primitives import clamp, where

FUNCTIONS: list[VectorFunction] = []

Function = TypeVar("Function", bound=Callable[..., float])


def _clamps(
    attributes: Mapping[str, float], activation: Callable[[Mapping[str, Any]], Activation]
) -> Callable[[Function], Function]:
    """Declares a function whose clamping `activation` makes of a call's attributes."""

    def register(function: Function) -> Function:
        declared = declare(function.__name__, function, attributes)
        FUNCTIONS.append(declared.vector_function().replaced(activation=activation))
        return function

    return register


@_clamps({}, lambda _: RELU)
def relu(x: float) -> float:
    """Zero where negative; NaN stays NaN, as in all of these."""
    return where(x < 0.0, 0.0, x)


@_clamps(
    {"min": -math.inf, "max": math.inf},
    lambda given: Activation(given.get("min", -math.inf), given.get("max", math.inf)),
)
def clip(x: float, min: float, max: float) -> float:
    """At least `min`, at most `max`, which wins where they cross."""
    return clamp(x, min, max)

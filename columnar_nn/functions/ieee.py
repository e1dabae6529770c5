"""Python functions with IEEE 754's results where Python's functions of math raise."""

from __future__ import annotations

import math
from collections.abc import Callable
from types import FunctionType, SimpleNamespace

import numpy as np


def in_ieee(function: FunctionType) -> FunctionType:
    """The function with functions of math that give infinity or NaN where Python's raise."""
    changed: dict[FunctionType, FunctionType] = {}
    return _with_math(function, changed)


def _with_math(function: FunctionType, changed: dict[FunctionType, FunctionType]) -> FunctionType:
    if function not in changed:
        names = {**function.__globals__}
        copy = FunctionType(function.__code__, names, function.__name__, None, function.__closure__)
        changed[function] = copy
        for name in function.__code__.co_names:
            value = names.get(name)
            if value is math:
                names[name] = _IEEE
            elif isinstance(value, FunctionType):
                names[name] = _with_math(value, changed)
            elif callable(value) and value in vars(math).values():
                names[name] = vars(_IEEE)[value.__name__]
    return changed[function]


def _ieee(function: Callable[..., float]) -> Callable[..., float]:
    of_numpy = getattr(np, function.__name__, None)

    def compute(*arguments: float) -> float:
        try:
            return function(*arguments)
        except (ValueError, OverflowError):
            if of_numpy is not None:
                return float(of_numpy(*map(np.float64, arguments)))
            return math.nan

    return compute


_IEEE = SimpleNamespace(
    **{
        name: _ieee(value) if callable(value) else value
        for name, value in vars(math).items()
        if not name.startswith("_")
    }
)

"""where, clamp and fma: what a function of an element calls beside Python's own and math's.

Here they are what they mean to Python, of numbers. In kernels they are a few instructions, of
blocks of 16 float32 too (`jitted/blocks.py`): what is written with them has no branch, and so is
vector code.
"""

from __future__ import annotations

from typing import Any


def where(condition: Any, yes: float, no: float) -> float:
    """`yes` if the condition holds, else `no`; both are computed."""
    return yes if condition else no


def clamp(value: float, low: float, high: float) -> float:
    """At least low, at most high, which wins where they cross; NaN stays NaN."""
    raised = low if low > value else value
    return high if high < raised else raised


def fma(a: float, b: float, c: float) -> float:
    """a * b + c; in kernels with one rounding where the processor can."""
    return a * b + c


PRIMITIVES = (where, clamp, fma)

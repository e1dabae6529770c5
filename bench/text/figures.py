"""Single figures as text."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """So many of something: "1 image", "2,000 images"."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def about(seconds: float) -> str:
    """Seconds that are estimated: with two significant digits at least, never an exponent."""
    if seconds >= 10:
        return f"{seconds:,.0f} s"
    decimals = 1 if seconds >= 1 else 2 if seconds >= 0.1 else 3 if seconds >= 0.01 else 4
    return f"{seconds:.{decimals}f} s"


def milliseconds(seconds: float) -> str:
    """Milliseconds with at least three significant digits, never an exponent."""
    value = seconds * 1e3
    decimals = 0 if value >= 100 else 1 if value >= 10 else 2 if value >= 1 else 3
    return f"{value:,.{decimals}f}"

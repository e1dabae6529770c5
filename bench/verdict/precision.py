"""How far from the truth an engine may be, by the precision in which it computes.

docs/verdict.md has the measurements behind the constants.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Precision:
    """What is allowed of an engine whose products are computed in a precision.

    An error may be `times` the noise, that of a plain evaluation in this precision. Everywhere it
    may be a share `relative_atol` of the largest |reference|, plus `rtol` of the reference there.
    """

    name: str
    times: float
    relative_atol: float
    rtol: float

    @property
    def rule(self) -> str:
        """What is asked of columns and rows, in words."""
        return (
            f"in every column and row the error is at most {self.times:g} times that of a plain "
            f"{self.name} evaluation"
        )


FLOAT32 = Precision("float32", times=32.0, relative_atol=5e-5, rtol=1e-4)
"""Right engines were measured up to 9.3 times the noise, rounding to float16 from 205 times on. The
absolute tolerance is ten times the error of Winograd's F(6x6), a four-hundredth of bfloat16's."""

BFLOAT16 = Precision("bfloat16", times=16.0, relative_atol=5e-2, rtol=0.0)
"""Right engines were measured up to 9.9 times the noise, the evaluation with two bits less from 86
times on."""

PRECISIONS = {precision.name: precision for precision in (FLOAT32, BFLOAT16)}


def precision_of(name: str) -> Precision:
    """The precision called so; of any other float32's, which then is what is asked."""
    return PRECISIONS.get(name, FLOAT32)

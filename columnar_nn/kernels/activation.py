"""What convolutions and dense layers do to the elements that they store."""

from __future__ import annotations

import math

import numpy as np

from columnar_nn.kernels.host import LANES
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import packed
from columnar_nn.kernels.python_function import PythonFunction
from columnar_nn.record import ValueRecord

EPILOGUE_ARGUMENTS = ("constants", "target", "lines", "columns", "width", "mask", "scratch")
"""Of an epilogue: blocks of constants; `lines` of `columns` blocks, `width` blocks apart, that it
changes in place, but perhaps not in the lanes where a mask is negative, if there is one; the
calling thread's scratch memory.
"""


class Activation(ValueRecord):
    """A function of each element: an interval to clamp to, or any function and its constants.

    Clamping is a part of each kernel. Another function is an epilogue, code of its own that the
    kernel calls for blocks that it has just stored, while they are in the first-level cache: so one
    kernel serves all functions, also those whose body is on float64 numbers.
    """

    low: float = -math.inf
    high: float = math.inf
    function: PythonFunction | None = None
    constants: tuple[float, ...] = ()

    @property
    def epilogue(self) -> Kernel | None:
        """The code to call, None if there is none."""
        if self.function is None:
            return None
        constants = (self.function.key, len(self.constants))
        return Kernel(
            "elementwise", "epilogue", constants, EPILOGUE_ARGUMENTS, python=self.function
        )

    @property
    def epilogue_constants(self) -> np.ndarray | None:
        """A block of each of its constants."""
        if self.function is None:
            return None
        return packed(np.repeat(np.array([*self.constants, 0.0], np.float32), LANES))


NO_ACTIVATION = Activation()
RELU = Activation(low=0.0)

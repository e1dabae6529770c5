"""Functions of a whole row: the user's own, in loops over the row's numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.layout import BoundKernel, Layout
from columnar_nn.kernels.parameters import Words
from columnar_nn.kernels.python_function import PythonFunction


class Row(NamedTuple):
    """Of a function of a row: the sizes of it and of the result, and words of attributes."""

    shape: Words
    out_shape: Words
    out_items: int
    attributes: Words


def of_row(
    x: Layout, out_shape: Sequence[int], function: PythonFunction, *attributes: float
) -> BoundKernel:
    """function(row, result, *attributes) of planar rows.

    An index outside of a row, or below zero, reads NaN and writes nothing; the run then raises
    InvalidDataError with the function's name. What is not written is zero.
    """
    if x.kind != "planar" or not x.num_items:
        raise InvalidModelError(f"{function.name} needs planar rows of float32, not {x}")
    target = Layout("planar", tuple(out_shape))
    words = [value if isinstance(value, int) else _bits(value) for value in attributes]
    kinds = "".join("i" if isinstance(value, int) else "f" for value in attributes)
    return BoundKernel(
        name=function.name,
        function=Kernel(
            "rows",
            "of_rows",
            (function.key, len(x.shape), len(target.shape), kinds or "none"),
            python=function,
        ),
        parameters=Row(
            np.array(x.shape, np.int64),
            np.array(target.shape, np.int64),
            target.num_items,
            np.array([*words, 0], np.int64),
        ),
        input_layouts=(x,),
        output_layout=target,
    )


def _bits(value: float) -> int:
    return int(np.float64(value).view(np.int64))

"""Elements of a planar tensor in other places: one loop for every operator that only moves them."""

from __future__ import annotations

from collections.abc import Callable

from columnar_nn.kernels.jitted.memory import copy, share
from columnar_nn.kernels.parameters import Floats
from columnar_nn.kernels.rearrange import Rearranged


def rearrange(contiguous: int) -> Callable[..., None]:
    """Moves elements. Parts share the rows.

    With `contiguous` the columns of a row follow each other in the input too, so that only the
    first one is looked up.
    """

    def kernel(
        parameters: Rearranged, source: Floats, target: Floats, part: int, parts: int
    ) -> None:
        p = parameters
        for row in share(p.num_rows, part, parts):
            start = p.rows[row]
            goal = target + row * p.num_columns
            if contiguous and start >= 0:
                copy(goal, source + (start + p.columns[0]), p.num_columns)
            else:
                for column in range(p.num_columns):
                    offset = start + p.columns[column]
                    value = source[max(offset, 0)]  # any will do where it is not used
                    goal[column] = value if offset >= 0 else p.fill

    return kernel

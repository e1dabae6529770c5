"""Scalar functions: a Python function of one row after the other, over Arrow's columns."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from columnar_nn.kernels.jit import Kernel
from columnar_nn.kernels.parameters import WORD_BYTES, address
from columnar_nn.kernels.python_function import PythonFunction
from columnar_nn.kernels.tables import OUTSIDE, OVERFLOW, SPOILED_BYTES, ZERO_DIVISION, Column

ARROW_TYPES = {"bool": pa.bool_(), "int": pa.int64(), "float": pa.float64()}
"""Arrow's types of the columns that hold Python's."""

FAILURES = {
    OUTSIDE: "None is used as a number, or an index lies outside of its tuple",
    OVERFLOW: "an integer exceeds 64 bits",
    ZERO_DIVISION: "an integer is divided by zero",
}
"""What a function does wrong, by what it reports."""


@dataclass(frozen=True)
class Kind:
    """The type of a parameter or result, a key of ARROW_TYPES, and whether it may be None."""

    name: str
    optional: bool = False

    @property
    def code(self) -> str:
        """A short name."""
        return self.name[0] + ("?" if self.optional else "")


@dataclass(frozen=True)
class ColumnFunction:
    """A Python function of scalars with the kinds of its parameters and of its result.

    A row where a parameter that may not be None is null is null, and not computed.
    """

    python: PythonFunction
    parameters: tuple[Kind, ...]
    result: Kind

    @functools.cached_property
    def _kernel(self) -> Kernel:
        codes = "-".join(kind.code for kind in self.parameters) or "none"
        constants = (self.python.key, codes, self.result.code)
        return Kernel(
            "columns",
            "of_columns",
            constants,
            ("columns", "rows", "progress", "scratch"),
            python=self.python,
        )

    def load(self) -> None:
        """Loads its machine code from the cache, or compiles it; raises UsageError for what none
        can hold.
        """
        _ = self._kernel.address

    def compute(self, *arguments: Any) -> tuple[Any, Any, str]:
        """Of Arrow arrays of ARROW_TYPES and of one length, or scalars, the results; the rows where
        it failed, which are null; and why on the first.

        Results and failed rows are arrays, of scalars alone scalars; None where none failed.
        """
        full = [isinstance(argument, pa.Array) for argument in arguments]
        arrays = [a if isinstance(a, pa.Array) else _single(a) for a in arguments]
        rows = len(arrays[full.index(True)]) if any(full) else 1
        kind = ARROW_TYPES[self.result.name]
        values = np.zeros(-(-rows * kind.bit_width // 64), np.int64)
        validity = np.zeros(-(-rows // 64), np.int64)
        columns = [
            *(_column(array, step) for array, step in zip(arrays, full, strict=True)),
            Column(address(values), address(validity), 0, 1),
        ]
        failures = self._run(np.array(columns, np.int64), rows)
        result = pa.Array.from_buffers(kind, rows, [pa.py_buffer(validity), pa.py_buffer(values)])
        failed = None
        if failures:
            mask = np.zeros(rows, np.bool_)
            mask[list(failures)] = True
            failed = pa.array(mask)
        if not any(full):
            result, failed = result[0], None if failed is None else failed[0]
        return result, failed, next(iter(failures.values()), "")

    def _run(self, columns: np.ndarray, rows: int) -> dict[int, str]:
        """Computes all rows that do not fail; why those fail that do, by their numbers."""
        failures: dict[int, str] = {}
        memory = np.zeros(SPOILED_BYTES // WORD_BYTES, np.int64)  # ends with what is scratch
        progress = np.zeros(1, np.int64)
        while progress[0] < rows:
            self._kernel.run(
                address(columns), rows, address(progress), address(memory) + SPOILED_BYTES
            )
            if memory[0]:
                failures[int(progress[0])] = FAILURES[int(memory[0])]
                memory[0] = 0
                progress[0] += 1
        return failures


def _single(scalar: Any) -> Any:
    return pa.array([scalar.as_py()], scalar.type)


def _column(array: Any, full: bool) -> Column:
    validity, values = array.buffers()
    known = 0 if validity is None or not array.null_count else validity.address
    return Column(0 if values is None else values.address, known, array.offset, int(full))

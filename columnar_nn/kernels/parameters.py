"""What a kernel knows of its layer: a record that binding fills and the kernel reads, by name.

A family of kernels declares one NamedTuple, in the file that binds it:

    class Pooling(NamedTuple):
        height: int
        scale: float
        mask: Blocks | None

Its fields are `int` (and `bool`), `float` (a float32), arrays, whose item types are those below,
kernels, and other such records. A kernel gets an array as where it begins, or as nothing; the
record keeps it alive. Another kernel it gets as the address of its machine code, to call, or as 0.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_type_hints

import numpy as np
import pyarrow as pa

from columnar_nn.kernels.host import LANES

Floats = Annotated[np.ndarray, "float"]
"""float32, one after the other."""

Blocks = Annotated[np.ndarray, "block"]
"""float32 in blocks of 16: nchw16c, filters, constants by channel."""

Words = Annotated[np.ndarray, "word"]
"""int64."""

Bytes = Annotated[np.ndarray, "byte"]
"""uint8: pixels."""

WORD_BYTES = 8
FLOAT_BYTES = 4
BLOCK_BYTES = FLOAT_BYTES * LANES


class Code(ABC):
    """Machine code that a kernel calls."""

    @property
    @abstractmethod
    def address(self) -> int:
        """Where it begins; loads it on first use."""


Record = TypeVar("Record", bound=tuple[Any, ...])


def positions(record: type[Record]) -> Record:
    """Where in a table of a record the words of its fields lie: a record of their numbers."""
    made: Callable[..., Record] = record
    return made(*range(len(get_type_hints(record))))


def address(array: np.ndarray) -> int:
    """Address of a C-contiguous array's first item; NumPy's own ways take several times as long."""
    start: int = pa.py_buffer(array).address
    return start


def fields(record: tuple[Any, ...]) -> list[Any]:
    """What a record holds, in order; in the place of a record in it, what that holds."""
    found: list[Any] = []
    for value in record:
        found += fields(value) if isinstance(value, tuple) else [value]
    return found


def arrays(record: tuple[Any, ...]) -> tuple[np.ndarray, ...]:
    """The arrays that a record holds."""
    return tuple(value for value in fields(record) if isinstance(value, np.ndarray))


def words(record: tuple[Any, ...]) -> np.ndarray:
    """A record as kernels read it: an int64 for each field. Loads the kernels in it."""
    return np.array([_word(value) for value in fields(record)], np.int64)


def _word(value: Any) -> int:
    if value is None:
        return 0
    if isinstance(value, np.ndarray):
        return address(value)
    if isinstance(value, Code):
        return value.address
    if isinstance(value, (float, np.floating)):
        return int(np.float32(value).view(np.uint32))
    return int(value)

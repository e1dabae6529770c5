"""Memory against a page that no one may touch: an access outside ends the process."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

import numpy as np
import pyarrow as pa

from columnar_nn.exec import projection
from columnar_nn.exec.kernel_program import KernelProgram
from columnar_nn.kernels import (
    bfloat16_product,
    bfloat16_tiles,
    bfloat16_vectors,
    layout,
    program,
    team,
)


def guarded(num_bytes: int, at_end: bool) -> np.ndarray:
    """Zeroed uint8 memory between two pages without access, against one of them."""
    page, libc = mmap.PAGESIZE, ctypes.CDLL(None)
    inner = -(-max(num_bytes, 1) // page) * page
    array = np.frombuffer(mmap.mmap(-1, inner + 2 * page), np.uint8)
    start = array.ctypes.data
    for edge in (start, start + page + inner):
        assert libc.mprotect(ctypes.c_void_p(edge), page, 0) == 0
    first = page + inner - num_bytes if at_end else page
    return array[first : first + num_bytes]


def guarded_copy(array: np.ndarray, at_end: bool) -> np.ndarray:
    copy = guarded(array.nbytes, at_end).view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def guarded_array(array: pa.Array, at_end: bool) -> pa.Array:
    """The array, which is no slice, its buffers and those of its children in guarded memory."""
    if isinstance(array, pa.DictionaryArray):
        parts = (guarded_array(part, at_end) for part in (array.indices, array.dictionary))
        return pa.DictionaryArray.from_arrays(*parts)
    if isinstance(array, pa.ExtensionArray):
        storage = guarded_array(array.storage, at_end)
        return pa.ExtensionArray.from_storage(array.type, storage)
    buffers = [
        buffer and pa.py_buffer(guarded_copy(np.frombuffer(buffer, np.uint8), at_end))
        for buffer in array.buffers()[: array.type.num_buffers]
    ]
    children = [guarded_array(array.values, at_end)] if array.type.num_fields else []
    return pa.Array.from_buffers(array.type, len(array), buffers, children=children)


def guarded_table(table: pa.Table, at_end: bool) -> pa.Table:
    """The table, its columns in guarded memory, in one chunk each."""
    columns = table.combine_chunks().to_batches()[:1] or [
        pa.RecordBatch.from_pylist([], table.schema)
    ]
    return pa.table(
        {
            name: guarded_array(column, at_end)
            for name, column in zip(table.column_names, columns[0].columns, strict=True)
        }
    )


@contextmanager
def everything_guarded(at_end: bool) -> Iterator[None]:
    """Weights, buffers, scratch and outputs of kernels that are bound meanwhile are guarded."""

    def in_words(num_bytes: int) -> np.ndarray:
        return guarded(-(-num_bytes // 8) * 8, at_end)  # it begins with words

    def outputs(self: KernelProgram, rows: int) -> list[pa.Buffer]:
        return [pa.py_buffer(guarded(rows * size, at_end)) for size in self._written_bytes]

    with ExitStack() as stack:
        for module in (layout, bfloat16_product, bfloat16_tiles, bfloat16_vectors):
            stack.enter_context(patch.object(module, "aligned", lambda n: guarded(n, at_end)))
        for module in (program, team):
            stack.enter_context(patch.object(module, "aligned", in_words))
        stack.enter_context(patch.object(layout, "LARGE_BYTES", 2**62))
        stack.enter_context(patch.object(projection, "OUTPUT_BLOCK_BYTES", 0))
        stack.enter_context(patch.object(KernelProgram, "allocate", outputs))
        yield

"""kernels/huge_pages.py: zeroed pieces, apart from each other, freed with the last one."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from columnar_nn.kernels.huge_pages import HUGE_BYTES, MAPPING_BYTES, HugePages


@pytest.mark.parametrize("sizes", [(1, 64, 65, 4096), (MAPPING_BYTES, 8), (MAPPING_BYTES + 1, 8)])
def test_pieces_are_zero_and_apart(sizes: tuple[int, ...]) -> None:
    memory = HugePages()
    pieces = [memory.take(size) for size in sizes]
    assert tuple(map(len, pieces)) == sizes
    assert not any(piece[[0, -1]].any() for piece in pieces)
    for index, piece in enumerate(pieces):
        assert piece.ctypes.data % 64 == 0
        piece[[0, -1]] = index + 1
    assert [(int(piece[0]), int(piece[-1])) for piece in pieces] == [
        (index + 1, index + 1) for index in range(len(sizes))
    ]


def test_the_first_piece_begins_a_huge_page() -> None:
    assert HugePages().take(1).ctypes.data % HUGE_BYTES == 0


def test_a_mapping_ends_with_its_last_piece() -> None:
    memory = HugePages()
    first, second = memory.take(100), memory.take(100)
    mapping = weakref.ref(first.base)
    assert second.base is first.base
    del first
    gc.collect()
    assert mapping() is not None
    del second
    gc.collect()
    assert mapping() is None
    assert not memory.take(100).any()


def test_threads_get_pieces_of_their_own() -> None:
    memory = HugePages()
    with ThreadPoolExecutor(4) as threads:
        pieces = list(threads.map(memory.take, [64] * 200))
    assert len({piece.ctypes.data for piece in pieces}) == 200
    starts = np.sort([piece.ctypes.data for piece in pieces])
    assert (np.diff(starts) >= 64).all()

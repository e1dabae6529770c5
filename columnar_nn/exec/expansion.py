"""Rows that become several: which, and how many of them make a batch of bounded size."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np


def spread(begins: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(position i, number) for the `counts[i]` numbers from `begins[i]` on, one i after another."""
    positions = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    return positions, np.arange(len(positions)) + (begins - starts)[positions]


def pieces(counts: np.ndarray, most: int) -> Iterator[tuple[int, int]]:
    """(first row, row behind the last) of pieces of rows that become `counts` rows.

    A piece becomes at most `most`, unless it is a single row.
    """
    totals = np.cumsum(counts)
    begin = passed = 0
    while begin < len(counts):
        end = max(begin + 1, int(np.searchsorted(totals, passed + most, "right")))
        yield begin, end
        begin, passed = end, int(totals[end - 1])

"""Counting works with the kernel's own events, which need no hardware; absence has a reason."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from bench.profile.hardware_counters import HARDWARE, CountersUnavailableError, counting

PERF_TYPE_SOFTWARE, PAGE_FAULTS = 1, 2
PAGE_BYTES = 4096


@pytest.mark.skipif(sys.platform != "linux", reason="perf_event_open is Linux's")
def test_page_faults_of_touched_memory_are_counted() -> None:
    try:
        with counting({"page_faults": (PERF_TYPE_SOFTWARE, PAGE_FAULTS)}) as read:
            before = read()["page_faults"]
            np.ones(64 << 20, np.uint8)
            after = read()["page_faults"]
    except CountersUnavailableError as error:
        pytest.skip(str(error))
    huge_page = 2 << 20
    assert after - before >= (64 << 20) / huge_page


def test_an_event_that_there_is_not() -> None:
    reason = "perf_event_open of nothing: |not supported"
    with pytest.raises(CountersUnavailableError, match=reason), counting({"nothing": (99, 99)}):
        pass


def test_hardware_counts() -> None:
    try:
        with counting() as read:
            np.ones((300, 300)) @ np.ones((300, 300))
            counts = read()
    except CountersUnavailableError as error:
        pytest.skip(str(error))
    assert set(counts) == set(HARDWARE)
    assert counts["instructions"] > 1000

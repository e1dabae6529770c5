"""Counting works with the kernel's own events, which need no hardware; absence has a reason."""

from __future__ import annotations

import mmap
import os
import struct
import sys

import numpy as np
import pytest

from bench.machine import hardware_counters
from bench.machine.hardware_counters import HARDWARE, CountersUnavailableError, counting

PERF_TYPE_SOFTWARE, PAGE_FAULTS = 1, 2
PAGE_BYTES = 4096


@pytest.mark.skipif(sys.platform != "linux", reason="perf_event_open is Linux's")
def test_page_faults_of_touched_memory_are_counted() -> None:
    try:
        with counting({"page_faults": (PERF_TYPE_SOFTWARE, PAGE_FAULTS)}) as read:
            before = read()["page_faults"]
            with mmap.mmap(-1, 64 << 20) as fresh:  # what malloc gives may have been touched
                fresh[::PAGE_BYTES] = bytes(len(fresh) // PAGE_BYTES)
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


def read_with(monkeypatch: pytest.MonkeyPatch, value: int, enabled: int, running: int) -> float:
    """What is read of counters that the kernel describes by these numbers, on one thread."""

    def opened(*_: object) -> int:
        reader, writer = os.pipe()
        os.write(writer, struct.pack("=QQQ", value, enabled, running))
        os.close(writer)
        return reader

    monkeypatch.setattr(hardware_counters, "_open", opened)
    monkeypatch.setattr(os, "listdir", lambda _: ["1"])
    with counting({"cycles": (0, 0)}) as read:
        return read()["cycles"]


def test_a_counter_that_shared_the_hardware_is_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_with(monkeypatch, 10, enabled=400, running=100) == 40
    assert read_with(monkeypatch, 0, enabled=0, running=0) == 0


def test_a_counter_that_never_had_its_turn_is_not_zero(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CountersUnavailableError, match="others use"):
        read_with(monkeypatch, 0, enabled=400, running=0)

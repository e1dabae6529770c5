"""Counts of the processor's own events, by Linux's perf_event_open(2)."""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from columnar_nn.errors import CnnBenchError

HARDWARE: Mapping[str, tuple[int, int]] = {
    "cycles": (0, 0),
    "instructions": (0, 1),
    "cache_misses": (0, 3),
}
"""Type and configuration of an event (linux/perf_event.h): PERF_TYPE_HARDWARE is 0."""

_SYSTEM_CALL = {"x86_64": 298, "aarch64": 241}
_INHERIT, _EXCLUDE_KERNEL, _EXCLUDE_HYPERVISOR = 1 << 1, 1 << 5, 1 << 6
_ENABLED_AND_RUNNING = 1 | 2
_NO_SUCH_COUNTER = "this machine has none, as most virtual ones"
_FORBIDDEN = "not allowed: lower kernel.perf_event_paranoid to 2, or give CAP_PERFMON"
_REASONS = {
    errno.ENOENT: _NO_SUCH_COUNTER,
    errno.EOPNOTSUPP: _NO_SUCH_COUNTER,
    errno.EACCES: _FORBIDDEN,
    errno.EPERM: _FORBIDDEN,
}
_ATTRIBUTE = struct.Struct("=IIQQQQQIIQ")  # perf_event_attr, PERF_ATTR_SIZE_VER0


class CountersUnavailableError(CnnBenchError):
    """The machine, or its settings, let nobody count; the message is why."""


@contextmanager
def counting(
    events: Mapping[str, tuple[int, int]] = HARDWARE,
) -> Iterator[Callable[[], dict[str, float]]]:
    """Counts events of this process's user code, in all its threads, while the block runs.

    Yields what gives the counts so far by name; a counter that had to share the hardware is
    scaled to the whole time. Both raise CountersUnavailableError.
    """
    files: dict[str, list[int]] = {name: [] for name in events}
    try:
        for name, (kind, configuration) in events.items():
            for thread in os.listdir("/proc/self/task") if sys.platform == "linux" else ["0"]:
                files[name].append(_open(name, kind, configuration, int(thread)))
        yield lambda: {name: sum(map(_read, opened)) for name, opened in files.items()}
    finally:
        for opened in files.values():
            for file in opened:
                with suppress(OSError):
                    os.close(file)


def _open(name: str, kind: int, configuration: int, thread: int) -> int:
    """A counter of one thread and of those that it starts."""
    number = _SYSTEM_CALL.get(platform.machine())
    if sys.platform != "linux" or number is None:
        raise CountersUnavailableError(f"{sys.platform} on {platform.machine()} is not supported")
    flags = _INHERIT | _EXCLUDE_KERNEL | _EXCLUDE_HYPERVISOR
    attribute = ctypes.create_string_buffer(
        _ATTRIBUTE.pack(
            kind, _ATTRIBUTE.size, configuration, 0, 0, _ENABLED_AND_RUNNING, flags, 0, 0, 0
        )
    )
    any_cpu, no_group, no_flags = -1, -1, 0
    file: int = ctypes.CDLL(None, use_errno=True).syscall(
        number, attribute, thread, any_cpu, no_group, ctypes.c_ulong(no_flags)
    )
    if file < 0:
        code = ctypes.get_errno()
        reason = _REASONS.get(code, os.strerror(code))
        raise CountersUnavailableError(f"perf_event_open of {name}: {reason}")
    return file


def _read(file: int) -> float:
    value, enabled, running = struct.unpack("=QQQ", os.read(file, 24))
    if running:
        return float(value * enabled / running)
    if enabled:
        raise CountersUnavailableError("others use the processor's counters all the time")
    return 0.0  # of a thread that has not run

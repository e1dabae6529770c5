"""Which CPUs a measurement may use, and how many threads that means."""

from __future__ import annotations

import math
import os
from pathlib import Path

from columnar_nn.errors import UsageError

CGROUP = Path("/sys/fs/cgroup")
_TOPOLOGY = "/sys/devices/system/cpu/cpu{}/topology/thread_siblings_list"


def available() -> tuple[int, ...]:
    """Numbers of the logical CPUs this process may run on."""
    if hasattr(os, "sched_getaffinity"):
        return tuple(sorted(os.sched_getaffinity(0)))
    return tuple(range(os.cpu_count() or 1))


def physical(cpus: tuple[int, ...]) -> tuple[int, ...]:
    """The first logical CPU of each physical core among `cpus`; all of them if unknown."""
    chosen: dict[str, int] = {}
    for cpu in cpus:
        path = Path(_TOPOLOGY.format(cpu))
        siblings = path.read_text().strip() if path.exists() else str(cpu)
        chosen.setdefault(siblings, cpu)
    return tuple(chosen.values())


def quota() -> float | None:
    """CPUs' worth of time a container may use (cgroup version 2 or 1), None if unlimited."""
    try:
        limit, period = (CGROUP / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            limit = (CGROUP / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (CGROUP / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    if limit in ("max", "-1"):
        return None
    return int(limit) / int(period)


def choose(threads: int | None) -> tuple[int, ...]:
    """The CPUs to pin a worker to, one for each thread.

    Without `threads`: one for each physical core that may be used, within the container's
    quota. Siblings of a core already taken come last. Raises UsageError for more threads than
    CPUs, since times of an oversubscribed machine say nothing.
    """
    usable = available()
    cores = physical(usable)
    if threads is None:
        limit = quota()
        count = len(cores) if limit is None else max(1, min(len(cores), math.floor(limit)))
        return cores[:count]
    if not 1 <= threads <= len(usable):
        raise UsageError(f"--threads {threads}: this process may use 1 to {len(usable)} CPU(s)")
    ordered = cores + tuple(cpu for cpu in usable if cpu not in cores)
    return ordered[:threads]

"""What others took of a worker's time while it was measured: the hypervisor, other processes.

Known on Linux only. CPU times are counted in ticks of 10 ms, delays in nanoseconds.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

DISTURBED_SHARE = 0.10
"""A cell of whose wall time more was taken is disturbed: its median says little."""

_PROC = Path("/proc")
_TICK_S = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Disturbance:
    """What was taken of a worker's time in `wall_s` seconds, the timed runs and little else.

    `steal_s`: the hypervisor's share of the CPU that it took most of. `others_s`: CPU time of
    other processes on the worker's CPUs. `run_queue_s`: how long each thread that was ready to
    run waited for a CPU, the longest first. `involuntary_switches`: how often a thread had to
    leave its CPU. (proc(5): /proc/stat; /proc/PID/task/TID/schedstat and status.)
    """

    wall_s: float
    steal_s: float
    others_s: float
    run_queue_s: tuple[float, ...]
    involuntary_switches: int


@dataclass(frozen=True)
class Snapshot:
    """The counters of processes, their threads and their CPUs at one time, in seconds."""

    time: float
    steal: dict[int, float]
    busy: float
    own: float
    waited: dict[int, float]
    switches: dict[int, int]

    @classmethod
    def take(cls, pids: Sequence[int], cpus: Sequence[int]) -> Snapshot | None:
        """Of processes whose threads are stopped, as those of one that runs count on.

        None where the kernel does not tell, or if one of them is gone.
        """
        waited: dict[int, float] = {}
        switches: dict[int, int] = {}
        try:
            busy, steal = _cpu_times(cpus)
            for pid in pids:
                waits, leaves = _threads(pid)
                waited |= waits
                switches |= leaves
            own = sum(map(_own_time, pids))
        except (OSError, ValueError, IndexError):
            return None
        return cls(time.perf_counter(), steal, busy, own, waited, switches)

    def until(self, later: Snapshot) -> Disturbance:
        """What was taken from this time to a later one; threads that ended meanwhile are lost."""
        waited = (s - self.waited.get(thread, 0.0) for thread, s in later.waited.items())
        return Disturbance(
            wall_s=later.time - self.time,
            steal_s=max(s - self.steal[cpu] for cpu, s in later.steal.items()),
            others_s=max(0.0, later.busy - self.busy - (later.own - self.own)),
            run_queue_s=tuple(sorted((seconds for seconds in waited if seconds > 0), reverse=True)),
            involuntary_switches=sum(
                count - self.switches.get(thread, 0) for thread, count in later.switches.items()
            ),
        )


def taken_share(disturbances: Iterable[Disturbance | None]) -> float | None:
    """Share of the wall time that was taken, all turns together; None if that is not known.

    What the hypervisor took, and what the thread that waited longest waited, as far as others
    can have been the cause: threads of a backend also wait for each other. Each count of ticks
    may be off by one: the hypervisor's is taken for less, the others' for more.
    """
    known = [disturbance for disturbance in disturbances if disturbance is not None]
    wall = sum(d.wall_s for d in known)
    if not wall:
        return None
    steal = sum(d.steal_s for d in known) - _TICK_S
    waited = sum(max(d.run_queue_s, default=0.0) for d in known)
    others = sum(d.others_s for d in known) + _TICK_S
    return min(1.0, (max(0.0, steal) + min(waited, others)) / wall)


def disturbed(disturbances: Iterable[Disturbance | None]) -> bool:
    """Whether so much was taken, all turns together, that their median says little."""
    return (taken_share(disturbances) or 0.0) > DISTURBED_SHARE


def _cpu_times(cpus: Sequence[int]) -> tuple[float, dict[int, float]]:
    """Seconds in which the CPUs did something, in all, and those stolen from each of them."""
    busy, steal = 0.0, {}
    for line in (_PROC / "stat").read_text().splitlines():
        name, *counts = line.split()
        if name[:3] == "cpu" and name[3:] and int(name[3:]) in cpus:
            user, nice, system, _idle, _iowait, irq, softirq, stolen = map(int, counts[:8])
            busy += (user + nice + system + irq + softirq) * _TICK_S
            steal[int(name[3:])] = stolen * _TICK_S
    if not steal:
        raise ValueError(f"no CPU of {cpus} is in /proc/stat")
    return busy, steal


def _own_time(pid: int) -> float:
    """CPU seconds of a process, those of threads that have ended included."""
    fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * _TICK_S


def _threads(pid: int) -> tuple[dict[int, float], dict[int, int]]:
    """How many seconds each thread has waited for a CPU, and how often it had to leave one."""
    waited, switches = {}, {}
    for task in (_PROC / str(pid) / "task").iterdir():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # it has just ended
            number = int(task.name)
            status = (task / "status").read_text()
            waited[number] = int((task / "schedstat").read_text().split()[1]) / 1e9
            switches[number] = int(status.partition("nonvoluntary_ctxt_switches:")[2].split()[0])
    if not waited:
        raise ValueError(f"the kernel tells nothing of the threads of process {pid}")
    return waited, switches

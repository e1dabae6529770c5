"""What was observed in plain words, and what would help."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from bench.difference.permutation import fewest_sessions
from bench.doctor.observation import ENGINE, IMAGES, MODEL, Observation
from bench.doctor.resolution import RUNS, SHARE, Resolution
from bench.machine.disturbance import DISTURBED_SHARE, taken_share
from bench.text.figures import counted, milliseconds

UNTOLD = "the system does not tell"

_BUSY_LOAD = 0.5
_STOLEN = 0.01
_UNEVEN_CLOCK = 1.05
_MOST = 0.95


def facts(
    machine: Mapping[str, Any], chosen: Sequence[int], seen: Observation
) -> Iterator[tuple[str, str]]:
    """What the machine is and was seen to be, by name; `chosen` are the CPUs that were used."""
    yield "processor", f"{machine['brand'] or machine['architecture']}, {_cores(machine)}"
    yield "used here", f"CPU {', '.join(map(str, chosen))}"
    quota = machine["cpu_quota"]
    yield "quota", "none" if quota is None else f"{quota:g} CPUs' worth of time"
    limit = machine["memory_limit_bytes"]
    free = f"{_gib(seen.available_bytes)} of {_gib(machine['memory_bytes'])} GiB free"
    yield "memory", free if limit is None else f"{free}, of which {_gib(limit)} may be used"
    yield "governor", machine["governor"] or UNTOLD
    yield "turbo", machine["turbo"] or UNTOLD
    yield "frequency", _frequencies(seen.frequencies)
    one, five, fifteen = seen.load
    yield "load before", f"{one:.2f}, {five:.2f}, {fifteen:.2f} over 1, 5, 15 minutes"
    yield "stolen", _share(stolen_share(seen))
    yield "taken by others", _share(taken_share(seen.disturbances))
    yield "switches", _switches(seen)
    yield "fixed loop", _loop(seen.loops)


def verdict(found: Resolution | None, seen: Observation) -> Iterator[str]:
    """What the machine can show, a sentence each."""
    if found is None:
        yield f"Only {counted(len(seen.pairs), 'pair')} of runs: --seconds must be more to tell."
        return
    yield f"As it is now, this machine can show changes above {found.change:.0%}."
    yield (
        f"A/A: {MODEL} on {IMAGES} images in {ENGINE.label}, {len(seen.pairs):,} times as A and as "
        f"B, in turn: B took {found.ratio:.3f} times as long as A, though both are the same."
    )
    yield (
        f"Medians of {RUNS} runs of the same differ by up to {found.interleaved:.0%} within one "
        f"comparison, where engines take turns, by up to {found.apart:.0%} from one command to the "
        f"next ({SHARE:.0%} of them)."
    )
    fewest = fewest_sessions()
    yield (
        f"{fewest} sessions against {fewest} in cnn-bench diff can show {found.sessions:.0%}, if "
        "sessions differ no more than seconds did here."
    )


def advice(machine: Mapping[str, Any], chosen: Sequence[int], seen: Observation) -> Iterator[str]:
    """What would make the machine show more; none of it is done for the user."""
    if seen.load[0] > _BUSY_LOAD:
        yield "others use this machine: end them, or measure when they are done"
    stolen = stolen_share(seen)
    if stolen is not None and stolen > _STOLEN:
        yield (
            "the hypervisor gives the CPUs to others: compare fastest runs, take more sessions, or "
            "a machine of its own"
        )
    taken = taken_share(seen.disturbances)
    if taken is not None and taken > DISTURBED_SHARE:
        yield "compare will mark its cells as disturbed: what counts then are the fastest runs"
    if machine["governor"] not in (None, "performance"):
        yield (
            f"the governor is {machine['governor']}: sudo cpupower frequency-set -g performance "
            f"keeps the clock up; -g {machine['governor']} undoes it"
        )
    if machine["turbo"] == "on":
        yield "turbo is on: let the machine cool down between sessions, or switch turbo off"
    if seen.cores < len(chosen):
        yield f"threads share a core: --threads {seen.cores} gives each its own"
    quota = machine["cpu_quota"]
    if quota is not None and quota < len(chosen):
        yield f"the container may use {quota:g} CPUs: --threads {max(1, int(quota))} stays within"
    if seen.available_bytes < (machine["memory_bytes"] or 0) / 10:
        yield "memory is nearly full: what is swapped out is slow at once"
    if seen.frequencies and max(seen.frequencies) > _UNEVEN_CLOCK * min(seen.frequencies):
        yield "the clock varies: warm the machine up before the first session"


def stolen_share(seen: Observation) -> float | None:
    """Of the time of all pairs, what the hypervisor took of the CPU that it took most of."""
    wall = sum(d.wall_s for d in seen.disturbances)
    return sum(d.steal_s for d in seen.disturbances) / wall if wall else None


def _cores(machine: Mapping[str, Any]) -> str:
    smt = machine["threads_per_core"]
    siblings = "no SMT" if smt == 1 else f"{smt} threads a core"
    kind = ", virtual" if machine["hypervisor"] else ""
    return f"{counted(machine['cores'], 'core')}, {siblings}{kind}"


def _gib(size: int | None) -> str:
    return "?" if size is None else f"{size / 2**30:.1f}"


def _share(share: float | None) -> str:
    return UNTOLD if share is None else f"{share:.1%} of the time"


def _frequencies(seen: Sequence[float]) -> str:
    if not seen:
        return UNTOLD
    low, high = min(seen) / 1e6, max(seen) / 1e6
    return f"{low:,.0f} MHz" if round(low) == round(high) else f"{low:,.0f} to {high:,.0f} MHz"


def _switches(seen: Observation) -> str:
    wall = sum(d.wall_s for d in seen.disturbances)
    if not wall:
        return UNTOLD
    count = sum(d.involuntary_switches for d in seen.disturbances)
    return f"a thread had to leave its CPU {count / wall:.1f} times a second"


def _loop(loops: Sequence[float]) -> str:
    if not loops:
        return "not run"
    fastest, median, slow = (float(np.quantile(loops, share)) for share in (0, 0.5, _MOST))
    return (
        f"{milliseconds(fastest)} ms at best, half of the runs within {median / fastest - 1:.0%}, "
        f"{_MOST:.0%} within {slow / fastest - 1:.0%} of it"
    )

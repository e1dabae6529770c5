"""The machine, its limits and the software on it, as a result's `context` records them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Collection, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from bench.data.dataset import Dataset
from bench.machine import cpus
from columnar_nn.model.denormals import denormals_note
from columnar_nn.model.graph import Graph

PACKAGES = (
    "cnn-bench",
    "llvmlite",
    "numpy",
    "onnx",
    "onnxruntime",
    "openvino",
    "pyarrow",
    "pyvelox",
    "tensorflow-cpu",
    "tensorflow",
    "torch",
)

SIMD_FEATURES = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd")
"""The CPU features that decide how fast a convolution can be."""

_CPU_FOLDER = Path("/sys/devices/system/cpu")
_MAX_IDLE_LOAD = 0.5


def context(
    settings: Mapping[str, Any], graph: Graph, dataset: Dataset, chosen: tuple[int, ...]
) -> dict[str, Any]:
    """What a result says of how it came about: `settings`, network, data, machine, software.

    `chosen` are the CPUs that are measured on.
    """
    return {
        **describe(),
        "settings": dict(settings),
        "model": {"name": graph.name, "parameters": graph.num_parameters()},
        "data": {
            "name": dataset.name,
            "rows": dataset.num_rows,
            "fingerprint": dataset.fingerprint,
        },
        "warnings": [*warnings(chosen), *filter(None, [denormals_note(graph)])],
    }


def describe() -> dict[str, Any]:
    """Machine, operating system, limits and versions; what cannot be read is absent."""
    return {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
        "machine": machine(),
        "versions": versions(),
        "git_commit": git_commit(),
    }


def machine() -> dict[str, Any]:
    """CPU, memory and operating system, and how much of them this process may use."""
    brand, flags = _processor()
    usable = cpus.available()
    facts = {
        "cpu": brand,
        "architecture": platform.machine(),
        "features": [name for name in SIMD_FEATURES if name in flags],
        "logical_cpus": os.cpu_count(),
        "usable_cpus": len(usable),
        "usable_cores": len(cpus.physical(usable)),
        "cpu_quota": cpus.quota(),
        "caches": _caches(),
        "memory_bytes": psutil.virtual_memory().total,
        "memory_limit_bytes": _memory_limit(),
        "system": platform.platform(),
        "governor": _read(_CPU_FOLDER / "cpu0/cpufreq/scaling_governor"),
        "turbo": _turbo(),
    }
    return {name: value for name, value in facts.items() if value is not None}


def _processor() -> tuple[str | None, Collection[str]]:
    """The processor's name, if known, and the names of its features.

    On Linux as the kernel tells them: py-cpuinfo starts processes, which would outlive this one if
    it were killed meanwhile.
    """
    if sys.platform != "linux":
        import cpuinfo

        info = cpuinfo.get_cpu_info()
        return info.get("brand_raw"), info.get("flags", ())
    lines = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
    facts = {name.strip(): value.strip() for name, _, value in lines}
    return facts.get("model name"), facts.get("flags", facts.get("Features", "")).split()


def versions() -> dict[str, str]:
    """Versions of Python and of every installed package that takes part."""
    found = {"python": f"{platform.python_implementation()} {platform.python_version()}"}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def git_commit() -> str | None:
    """Commit of the checkout this code is in, marked if it was changed; None outside of one."""
    folder = Path(__file__).parent.parent.parent
    if not (folder / ".git").exists():
        return None
    command = ["git", "-C", str(folder), "describe", "--always", "--dirty", "--abbrev=12"]
    try:
        return subprocess.run(
            command, capture_output=True, text=True, check=True, timeout=10
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None


def warnings(chosen: tuple[int, ...]) -> list[str]:
    """What about the machine, just now, makes times on the CPUs `chosen` doubtful."""
    found = []
    load = os.getloadavg()[0]
    if load > _MAX_IDLE_LOAD:
        found.append(f"the machine is busy: load average {load:.1f} over the last minute")
    limit = cpus.quota()
    if limit is not None and limit < len(chosen):
        found.append(f"the container may use {limit:g} CPU(s), {len(chosen)} are asked for")
    if len(cpus.physical(chosen)) < len(chosen):
        found.append("two threads share a physical core")
    governor = _read(_CPU_FOLDER / "cpu0/cpufreq/scaling_governor")
    if governor not in (None, "performance"):
        found.append(f"CPU frequency governor is {governor}, not performance")
    if _turbo() == "on":
        found.append("turbo is on: the clock depends on temperature and on the other cores")
    memory = psutil.virtual_memory()
    if memory.available < memory.total / 10:
        found.append(f"only {memory.available / 2**30:.1f} GiB of memory are free")
    return found


def cache_bytes() -> dict[int, int]:
    """Size of each level of data cache, by level; empty where the system does not tell."""
    units = {"K": 2**10, "M": 2**20}
    return {
        int(level[1:]): int(size[:-1]) * units[size[-1]]
        for level, size in (_caches() or {}).items()
        if size[-1] in units
    }


def _caches() -> dict[str, str] | None:
    found = {}
    for folder in sorted((_CPU_FOLDER / "cpu0/cache").glob("index*")):
        level, kind, size = (_read(folder / name) for name in ("level", "type", "size"))
        if kind != "Instruction" and size:
            found[f"L{level}"] = size
    return found or None


def _memory_limit() -> int | None:
    """The container's limit, if it is below what the machine has."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        text = _read(Path(path))
        if text and text.isdigit() and int(text) < psutil.virtual_memory().total:
            return int(text)
    return None


def _turbo() -> str | None:
    disabled = _read(_CPU_FOLDER / "intel_pstate/no_turbo")
    if disabled is not None:
        return "off" if disabled == "1" else "on"
    boost = _read(_CPU_FOLDER / "cpufreq/boost")
    return None if boost is None else ("on" if boost == "1" else "off")


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None

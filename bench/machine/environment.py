"""The machine, its limits and the software on it, as a result's `context` records them."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Collection
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

from bench.machine import cpus
from columnar_nn.model.denormals import denormals_note
from columnar_nn.model.graph import Graph

PACKAGES = (
    "cnn-bench",
    "duckdb",
    "llvmlite",
    "numpy",
    "onnx",
    "onnxruntime",
    "onnxruntime-gpu",
    "openvino",
    "pyarrow",
    "pysail",
    "pyspark",
    "pyvelox",
    "tensorflow-cpu",
    "tensorflow",
    "torch",
)

SIMD_FEATURES = ("sse4_2", "avx", "avx2", "fma", "avx512f", "avx512_bf16", "amx_bf16", "asimd")
"""The CPU features that decide how fast a convolution can be."""

_CPU_FOLDER = Path("/sys/devices/system/cpu")
_MAX_IDLE_LOAD = 0.5


def machine() -> dict[str, Any]:
    """The processor, memory and operating system, and how much of them this process may use.

    The fields of the table machine (bench/results/schema.py); what cannot be read is None.
    """
    processor = _processor()
    usable, every = cpus.available(), tuple(range(os.cpu_count() or 1))
    cores = len(cpus.physical(every))
    return {
        **processor,
        "architecture": platform.machine(),
        "cores": cores,
        "threads_per_core": len(every) // cores,
        "caches": _caches() or None,
        "usable_cpus": len(usable),
        "usable_cores": len(cpus.physical(usable)),
        "cpu_quota": cpus.quota(),
        "memory_bytes": psutil.virtual_memory().total,
        "memory_limit_bytes": _memory_limit(),
        "kernel": platform.platform(),
        "governor": _read(_CPU_FOLDER / "cpu0/cpufreq/scaling_governor"),
        "turbo": _turbo(),
    }


def _processor() -> dict[str, Any]:
    """What the processor says of itself, and of a hypervisor above it.

    On Linux as the kernel tells it: py-cpuinfo starts processes, which would outlive this one if
    it were killed meanwhile.
    """
    if sys.platform != "linux":
        import cpuinfo

        info = cpuinfo.get_cpu_info()
        names = {"vendor": "vendor_id_raw", "brand": "brand_raw"}
        names |= {name: name for name in ("family", "model", "stepping")}
        facts = {name: info.get(key) for name, key in names.items()}
        flags: Collection[str] = info.get("flags", ())
    else:
        lines = (line.partition(":") for line in Path("/proc/cpuinfo").read_text().splitlines())
        told = {name.strip(): value.strip() for name, _, value in lines}
        facts = {
            name: next((told[key] for key in keys if key in told), None)
            for name, keys in _PROC_CPUINFO.items()
        }
        flags = told.get("flags", told.get("Features", "")).split()
    return {
        **{name: None if fact is None else str(fact) for name, fact in facts.items()},
        "features": [name for name in SIMD_FEATURES if name in flags],
        "hypervisor": _read(Path("/sys/hypervisor/type"))
        or ("yes" if "hypervisor" in flags else None),
    }


_PROC_CPUINFO = {
    "vendor": ("vendor_id", "CPU implementer"),
    "family": ("cpu family", "CPU architecture"),
    "model": ("model", "CPU part"),
    "stepping": ("stepping", "CPU revision"),
    "brand": ("model name",),
}
"""What the kernel calls the facts of a processor, of Intel's architecture and of ARM's."""


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


def doubts(graph: Graph, chosen: tuple[int, ...]) -> list[str]:
    """What makes times of a network on the CPUs `chosen` doubtful."""
    return [*warnings(chosen), *filter(None, [denormals_note(graph)])]


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
    return {int(level[1:]): size for level, size in _caches().items()}


def _caches() -> dict[str, int]:
    units = {"K": 2**10, "M": 2**20}
    found = {}
    for folder in sorted((_CPU_FOLDER / "cpu0/cache").glob("index*")):
        level, kind, size = (_read(folder / name) for name in ("level", "type", "size"))
        if kind != "Instruction" and size and size[-1] in units:
            found[f"L{level}"] = int(size[:-1]) * units[size[-1]]
    return found


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

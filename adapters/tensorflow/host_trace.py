"""Kernels in the file that TensorFlow's profiler writes (XSpace, tsl/profiler/protobuf)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tensorflow.tsl.profiler.protobuf import xplane_pb2

# The executor names its events "<name of the graph's node>:<type>"; other events of the host
# (threads, functions, Python) have no such name.
_KERNEL = re.compile(r"^(?P<name>[\w.\-/>]+):(?P<type>_?[A-Z]\w*)$")
_SCOPE = re.compile(r"(?:^|/)node(\d+)/")


@dataclass(frozen=True)
class KernelRun:
    """One execution; `node` is the index of the network's node that it is named after."""

    node: int | None
    operator: str
    seconds: float


def kernels(path: Path) -> Iterator[KernelRun]:
    """The kernels that the executor ran, by their start."""
    space = xplane_pb2.XSpace.FromString(path.read_bytes())
    found = []
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                match = _KERNEL.match(plane.event_metadata[event.metadata_id].name)
                if match:
                    scope = _SCOPE.search(match["name"])
                    node = int(scope[1]) if scope else None
                    start = line.timestamp_ns * 1000 + event.offset_ps
                    found.append((start, KernelRun(node, match["type"], event.duration_ps / 1e12)))
    yield from (kernel for _, kernel in sorted(found, key=lambda entry: entry[0]))

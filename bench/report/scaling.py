"""What goes across settings: throughput over threads and processes, time over partitions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from bench.report.setting import Setting

Timed = Sequence[tuple[Setting, Sequence[Mapping[str, Any]]]]
"""Settings, each with the rows of its table `times`."""


def scaling(timed: Timed) -> Iterator[dict[str, Any]]:
    """Images a second at the most images that an engine ran with every number of threads."""
    rows = []
    for setting, times in timed:
        on = f", partitions {setting.partitions}" if setting.partitions else ""
        for row in times:
            rows.append(
                {
                    "engine": row["engine"],
                    "setting": f"{setting.model} on {setting.data}{on}, {setting.machine}",
                    "samples": row["samples"],
                    "threads": setting.threads,
                    "processes": setting.processes,
                    "images_per_second": row["images_per_second"],
                    "low": row["samples"] / row["high_s"],
                    "high": row["samples"] / row["low_s"],
                }
            )
    yield from _most_images(rows)


def partitions(timed: Timed) -> Iterator[dict[str, Any]]:
    """Time and balance at the most images that an engine ran with every way to cut them."""
    rows = []
    for setting, times in timed:
        shape = f"{setting.processes}x{setting.threads} processes x threads"
        for row in times if setting.partitions else ():
            kept = ("samples", "median_s", "low_s", "high_s", "balance", "sound", "doubt")
            rows.append(
                {
                    "engine": row["engine"],
                    "setting": f"{setting.model} on {setting.data}, {shape}, {setting.machine}",
                    "partitions": setting.partitions,
                    **{name: row[name] for name in kept},
                }
            )
    yield from _most_images(rows)


def _most_images(rows: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Of each setting and engine the rows of most images, of the numbers that most rows have."""
    found: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in rows:
        found[row["setting"], row["engine"], row["samples"]].append(row)
    largest: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for (setting, engine, _), same in sorted(found.items(), key=lambda item: item[0][2]):
        if len(same) > 1 and len(same) >= len(largest.get((setting, engine), ())):
            largest[setting, engine] = same
    for same in largest.values():
        yield from same

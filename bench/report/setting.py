"""What may be compared with each other: a setting, which a panel of the report is of."""

from __future__ import annotations

from typing import NamedTuple


class Setting(NamedTuple):
    """What a panel is of; `machine_id` is the hash of what does not change of the machine."""

    machine_id: str
    machine: str
    model: str
    data: str
    threads: int
    processes: int
    partitions: str = ""

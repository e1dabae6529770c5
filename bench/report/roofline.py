"""The roofline: what a machine can do, and where the layers of a network are beneath it.

Williams, Waterman, Patterson: Roofline, CACM 52(4), 2009.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import median
from typing import Any

from bench.profile.rows import row_name
from bench.results.results import Results
from bench.results.schema import Row

PEAK = "peak"
"""Of a roof that is no level of memory but the arithmetic itself."""

Roofs = dict[tuple[str, int], list[dict[str, Any]]]
"""By machine and number of threads: rows of the table `roofs`."""


def roofs(results: Results) -> Roofs:
    """What machines could do in the sessions that measured it, medians of the best kernels."""
    machines = {row["session_id"]: row["machine_id"] for row in results["machine"]}
    subjects = {(row["session_id"], row["subject"]): row for row in results["subject"]}
    cells = {(row["session_id"], row["cell"]): row for row in results["cell"]}
    found: dict[tuple[str, int], dict[str, dict[str, list[float]]]] = defaultdict(
        lambda: defaultdict(lambda: defaultdict(list))
    )
    for block in results["observation"]:
        if block["metric"] not in ("flops_per_second", "bandwidth"):
            continue
        session_id = block["session_id"]
        cell = cells[session_id, block["cell"]]
        threads = subjects[session_id, cell["subject"]]["threads"]
        kernel, level = block["part"] if len(block["part"] or ()) == 2 else ("", PEAK)
        known = [value for value in block["value"] if value]
        found[machines[session_id], threads][level][kernel] += known
    return {
        key: [
            {"roof": level, "rate": max(median(values) for values in kernels.values() if values)}
            for level, kernels in levels.items()
            if any(kernels.values())
        ]
        for key, levels in found.items()
    }


def points(parts: Sequence[Results]) -> list[dict[str, Any]]:
    """Rows of the table `intensities`: layers whose operations and bytes are known."""
    rows = []
    for part in parts:
        subjects = {row["subject"]: row for row in part["subject"]}
        workloads = {row["workload"]: row for row in part["workload"]}
        cells = {row["cell"]: row for row in part["cell"]}
        for block in part["observation"]:
            if block["metric"] == "operator":
                cell = cells[block["cell"]]
                subject = subjects[cell["subject"]]
                row = _point(block, workloads[cell["workload"]]["samples"])
                engine = f"{subject['backend']}:{subject['configuration']}"
                rows += [{"engine": engine, **row}] if row else []
    return rows


def _point(block: Row, samples: int | None) -> dict[str, Any] | None:
    detail = block["detail"] if isinstance(block["detail"], dict) else {}
    executed, moved = detail.get("executed_an_image"), detail.get("bytes_an_image")
    seconds = [value for value in block["value"] if value]
    if not (samples and seconds and _positive(executed) and _positive(moved)):
        return None
    assert executed is not None
    assert moved is not None
    return {
        "layer": row_name(block["part"][1:]) if block["part"][1:] else detail.get("operator"),
        "intensity": executed / moved,
        "rate": executed * samples / median(seconds),
    }


def _positive(value: Any) -> bool:
    return isinstance(value, int | float) and value > 0

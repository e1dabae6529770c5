"""One Velox task after the other: plans run, batches in order, errors in one line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from columnar_nn.errors import CnnBenchError


class VeloxError(CnnBenchError):
    """Velox refused a plan or failed while running it; the message is its own reason."""


def reason(error: Exception) -> str:
    """Velox's reason out of its exception: the line after "Reason:", else the first line."""
    lines = str(error).splitlines() or [type(error).__name__]
    for line in lines:
        if line.startswith("Reason: "):
            return line.removeprefix("Reason: ")[:500]
    return lines[0][:500]


class VeloxTask:
    """One execution of a plan node.

    Its vectors, and arrays that view them, must be gone before it is: their memory belongs to
    its pool, and Velox aborts the process otherwise. Raises VeloxError.
    """

    def __init__(self, plan: Any, settings: Mapping[str, str] | None = None) -> None:
        """`plan` is a pyvelox PlanNode, `settings` Velox query settings by name."""
        from pyvelox import runner

        try:
            self._runner = runner.LocalRunner(plan)
        except RuntimeError as error:
            raise VeloxError(f"Velox: {reason(error)}") from None
        for name, value in (settings or {}).items():
            self._runner.add_query_config(name, value)

    def batches(self, max_drivers: int = 1) -> Iterator[Any]:
        """The root's output RowVectors, in order if there is one driver."""
        try:
            yield from self._runner.execute(max_drivers)
        except RuntimeError as error:
            raise VeloxError(f"Velox: {reason(error)}") from None

    def scan(self, file: Any, node_id: str) -> None:
        """Has the table scan `node_id` of the plan read the pyvelox File."""
        self._runner.add_file_split(file, node_id, "hive")

    def statistics_text(self) -> str:
        """Velox's plan with statistics; once all batches have been taken."""
        return str(self._runner.print_plan_with_stats())

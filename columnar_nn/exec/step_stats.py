"""Statistics of the kernels that a plan's nodes ran."""

from __future__ import annotations

from dataclasses import dataclass

from columnar_nn.shown import line


@dataclass(frozen=True, repr=False)
class StepStats:
    """Time of one kernel of a plan node, over all drivers and rows, and what it did a row.

    `label` names the graph's nodes it computes, joined by +; `operations` counts those of the
    operator's definition (a multiply-add is two), `multiply_adds` those the kernel executes.
    `nanoseconds` is 0 unless the task was profiled. `error_bound` is a convolution's
    (kernels.accuracy.bound), 0 of other kernels.
    """

    plan_node_id: str
    label: str
    kernel: str
    output_shape: tuple[int, ...]
    operations: int
    multiply_adds: int
    input_bytes: int
    weight_bytes: int
    output_bytes: int
    nanoseconds: int = 0
    rows: int = 0
    error_bound: float = 0.0

    def __repr__(self) -> str:
        took = f", {self.nanoseconds / 1e6:,.3f} ms" if self.nanoseconds else ""
        return line(f"StepStats {self.kernel}:", f"{self.label}, {self.rows:,} rows{took}")

    @property
    def gflops(self) -> float:
        """The operator's operations a nanosecond: beyond the peak where Winograd saves some."""
        return self.operations * self.rows / self.nanoseconds if self.nanoseconds else 0.0

    @property
    def intensity(self) -> float:
        """Operations a byte read or written, weights counted once a row."""
        total = self.input_bytes + self.weight_bytes + self.output_bytes
        return self.operations / total if total else 0.0

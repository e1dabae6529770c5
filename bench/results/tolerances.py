"""What the outputs of a session may be off by."""

from __future__ import annotations

from typing import Any

from bench.results.results import Results
from bench.verdict.precision import BFLOAT16


def of_float32(results: Results) -> Any:
    """By output, of cells in float32; of a session without any, of others; {} if none is known."""
    narrow = {row["subject"] for row in results["subject"] if row["precision"] == BFLOAT16.name}
    known = [row for row in results["cell"] if row["tolerance"]]
    own = [row["tolerance"] for row in known if row["subject"] not in narrow]
    return (own or [row["tolerance"] for row in known] or [{}])[0]

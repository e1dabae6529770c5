"""All operators that the reference evaluates; each module registers its own."""

from __future__ import annotations

from reference import (  # noqa: F401 - imported to register
    activations,
    arithmetic,
    average_pool,
    batch_normalization,
    conv,
    elementary,
    gemm,
    lrn,
    mat_mul,
    max_pool,
    movement,
    pad,
    reductions,
    softmax,
)
from reference.registry import OPERATORS

__all__ = ["OPERATORS"]

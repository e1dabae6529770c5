"""All operators that the reference evaluates; each module registers its own."""

from __future__ import annotations

from reference import (  # noqa: F401 - imported to register
    activations,
    arithmetic,
    average_pool,
    batch_normalization,
    conv,
    conv_transpose,
    elementary,
    gemm,
    lrn,
    mat_mul,
    max_pool,
    movement,
    normalization,
    pad,
    reductions,
    resize,
    softmax,
)
from reference.registry import OPERATORS

__all__ = ["OPERATORS"]

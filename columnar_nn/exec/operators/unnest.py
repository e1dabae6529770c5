"""Unnest: a row for each element of arrays."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from columnar_nn.exec.hash_table import spread
from columnar_nn.exec.operators.base import DriverContext, Operator
from columnar_nn.exec.operators.registry import runs
from columnar_nn.plan.nodes import UnnestNode

OUTPUT_ROWS = 4096
"""Most rows of a batch, if no row has more elements: what is replicated may be large."""


@runs(UnnestNode)
class Unnest(Operator):
    """Rows in input order, each with its elements in theirs, in batches of bounded size."""

    operator_type = "Unnest"

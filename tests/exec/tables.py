"""Generated tables of scalar columns, with nulls, cut into batches."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pyarrow as pa
from hypothesis import strategies as st

from columnar_nn.exec.executable import prepare
from columnar_nn.plan.builder import PlanBuilder
from columnar_nn.plan.plan_node import PlanNode

SCHEMA = pa.schema(
    [
        ("id", pa.int64()),
        ("label", pa.uint8()),
        ("score", pa.float64()),
        ("name", pa.string()),
    ]
)

_ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-50, 50),
        st.none() | st.integers(0, 4),
        # quarters: sums are exact whatever their order
        st.none() | st.integers(-40, 40).map(lambda quarters: quarters / 4),
        st.none() | st.sampled_from(["", "a", "b", "ab"]),
    ),
    max_size=40,
)

Rows = list[dict[str, object]]


@st.composite
def tables(draw: st.DrawFn) -> tuple[pa.RecordBatch, ...]:
    """Batches of SCHEMA, at least one, some of which may have no rows."""
    rows = draw(_ROWS)
    columns = list(zip(*rows, strict=True)) if rows else [()] * len(SCHEMA)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)]
    batch = pa.RecordBatch.from_arrays(arrays, schema=SCHEMA)
    cuts = sorted(draw(st.lists(st.integers(0, len(rows)), max_size=3)))
    bounds = [0, *cuts, len(rows)]
    return tuple(batch.slice(a, b - a) for a, b in pairwise(bounds))


def scan(batches: Sequence[pa.RecordBatch]) -> PlanBuilder:
    """A builder over the batches."""
    return PlanBuilder().values(batches)


def rows_of(batches: Sequence[pa.RecordBatch]) -> Rows:
    """All rows as dicts: the oracle's input."""
    return [row for batch in batches for row in batch.to_pylist()]


def run(plan: PlanNode, threads: int = 1) -> Rows:
    """The rows that a plan gives."""
    executable = prepare(plan, threads)
    try:
        return executable.run().to_table().to_pylist()  # type: ignore[no-any-return]
    finally:
        executable.close()

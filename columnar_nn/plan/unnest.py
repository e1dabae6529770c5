"""Unnest: the node, as Velox's (velox/core/PlanNode.h)."""

from __future__ import annotations

from functools import cached_property

import pyarrow as pa

from columnar_nn.plan.plan_node import UnaryNode


class UnnestNode(UnaryNode):
    """A row for each element of a row's arrays, side by side: a shorter one goes on with nulls.

    The columns `replicated` are repeated beside them; the elements of column x are named x_e. If
    there is an `ordinality`, it names a last column that numbers each row's elements from 1.
    """

    replicated: tuple[str, ...]
    unnested: tuple[str, ...]
    ordinality: str | None
    name = "Unnest"
    reads_by_name = True

    @cached_property
    def output_type(self) -> pa.Schema:
        """Replicated columns, elements, ordinality."""
        source = self.source.output_type
        fields = [source.field(name) for name in self.replicated]
        fields += [pa.field(f"{n}_e", source.field(n).type.value_type) for n in self.unnested]
        if self.ordinality is not None:
            fields.append(pa.field(self.ordinality, pa.int64()))
        return pa.schema(fields)

    @property
    def parallel(self) -> bool:
        """Each batch is unnested by itself."""
        return True

    @property
    def details(self) -> str:
        """The columns that are unnested."""
        return ", ".join(self.unnested)

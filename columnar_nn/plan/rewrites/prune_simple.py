"""prune_columns of scans, filters, projections, gathers: a plan of these loads no other nodes."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from functools import singledispatch

import pyarrow as pa

from columnar_nn.expressions.expression import Constant, FieldReference
from columnar_nn.expressions.types import is_scalar
from columnar_nn.plan.nodes import FilterNode, LocalPartitionNode, ProjectNode
from columnar_nn.plan.plan_node import PlanNode, ScanNode
from columnar_nn.plan.rewrites.usage import columns_of


def prune_simple(plan: PlanNode) -> PlanNode:
    """A plan of these nodes, which gives the same columns, without those that it does not need."""
    return pruned(plan, set(plan.output_type.names))


@singledispatch
def pruned(node: PlanNode, needed: Collection[str]) -> PlanNode:
    """The node giving the columns `needed` in their order, perhaps with others of its own."""
    return node.with_sources([pruned(s, s.output_type.names) for s in node.sources])


def exactly(node: PlanNode, needed: Collection[str], node_id: str) -> PlanNode:
    """The node, pruned, without others: where they would be copied, or must not differ."""
    found = pruned(node, needed)
    schema = found.output_type
    kept = one_at_least(schema, needed)
    if len(kept) == len(schema):
        return found
    references = tuple(FieldReference(field.name, field.type) for field in kept)
    return ProjectNode(f"{node_id}.needed", found, tuple(kept.names), references)


def one_at_least(schema: pa.Schema, needed: Collection[str]) -> pa.Schema:
    """The fields that are needed, or, as a batch without columns has no rows, a small one."""
    kept = [field for field in schema if field.name in needed]
    if not kept and len(schema):
        kept = [min(schema, key=lambda field: not is_scalar(field.type))]
    return pa.schema(kept)


def with_names(needed: Collection[str], names: Iterable[str]) -> set[str]:
    """Columns needed, and others."""
    return {*needed, *names}


@pruned.register
def _(node: ScanNode, needed: Collection[str]) -> PlanNode:
    schema = one_at_least(node.schema, needed)
    return node if schema.names == node.schema.names else node.replaced(schema=schema)


@pruned.register
def _(node: FilterNode, needed: Collection[str]) -> PlanNode:
    return node.with_sources([pruned(node.source, with_names(needed, columns_of([node.filter])))])


@pruned.register
def _(node: ProjectNode, needed: Collection[str]) -> PlanNode:
    kept = [i for i, name in enumerate(node.names) if name in needed]
    names = tuple(node.names[i] for i in kept) or node.names[:1]
    projections = tuple(node.projections[i] for i in kept) or (Constant(True),)
    source = pruned(node.source, columns_of(projections))
    if source is node.source and names == node.names:
        return node
    return ProjectNode(node.id, source, names, projections)


@pruned.register
def _(node: LocalPartitionNode, needed: Collection[str]) -> PlanNode:
    if len(node.inputs) == 1:
        return node.with_sources([pruned(node.inputs[0], needed)])
    kept = one_at_least(node.output_type, needed).names
    return node.with_sources(
        [exactly(source, kept, f"{node.id}.{i}") for i, source in enumerate(node.inputs)]
    )

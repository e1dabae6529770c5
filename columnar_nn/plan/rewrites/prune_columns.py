"""prune_columns: nothing is read, computed or carried along that no node above asks for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import replace
from functools import singledispatch

import pyarrow as pa

from columnar_nn.expressions.expression import Constant, FieldReference
from columnar_nn.expressions.types import is_scalar
from columnar_nn.plan.join import JoinNode
from columnar_nn.plan.nodes import (
    AggregationNode,
    FilterNode,
    LimitNode,
    LocalPartitionNode,
    OrderByNode,
    ProjectNode,
    TopNNode,
    UnnestNode,
)
from columnar_nn.plan.plan_node import PlanNode, ScanNode
from columnar_nn.plan.rewrites.conditions import columns_of


def prune_columns(plan: PlanNode) -> PlanNode:
    """The plan, which gives the same columns, without those that it does not need for them."""
    return _pruned(plan, set(plan.output_type.names))


@singledispatch
def _pruned(node: PlanNode, needed: Collection[str]) -> PlanNode:
    """The node giving the columns `needed` in their order, perhaps with others of its own."""
    return node.with_sources([_pruned(s, s.output_type.names) for s in node.sources])


def _exactly(node: PlanNode, needed: Collection[str], node_id: str) -> PlanNode:
    """The node, pruned, without others: where they would be copied, or must not differ."""
    pruned = _pruned(node, needed)
    schema = pruned.output_type
    kept = _one_at_least(schema, needed)
    if len(kept) == len(schema):
        return pruned
    references = tuple(FieldReference(field.name, field.type) for field in kept)
    return ProjectNode(f"{node_id}.needed", pruned, tuple(kept.names), references)


def _one_at_least(schema: pa.Schema, needed: Collection[str]) -> pa.Schema:
    """The fields that are needed, or, as a batch without columns has no rows, a small one."""
    kept = [field for field in schema if field.name in needed]
    if not kept and len(schema):
        kept = [min(schema, key=lambda field: not is_scalar(field.type))]
    return pa.schema(kept)


def _with(needed: Collection[str], names: Iterable[str]) -> set[str]:
    return {*needed, *names}


@_pruned.register
def _(node: ScanNode, needed: Collection[str]) -> PlanNode:
    schema = _one_at_least(node.schema, needed)
    return node if schema.names == node.schema.names else replace(node, schema=schema)


@_pruned.register
def _(node: FilterNode, needed: Collection[str]) -> PlanNode:
    return node.with_sources([_pruned(node.source, _with(needed, columns_of([node.filter])))])


@_pruned.register
def _(node: ProjectNode, needed: Collection[str]) -> PlanNode:
    kept = [i for i, name in enumerate(node.names) if name in needed]
    names = tuple(node.names[i] for i in kept) or node.names[:1]
    projections = tuple(node.projections[i] for i in kept) or (Constant(True),)
    source = _pruned(node.source, columns_of(projections))
    if source is node.source and names == node.names:
        return node
    return ProjectNode(node.id, source, names, projections)


@_pruned.register
def _(node: AggregationNode, needed: Collection[str]) -> PlanNode:
    kept = tuple(a for a in node.aggregates if a.name in needed)
    if not (kept or node.grouping_keys):
        kept = node.aggregates[:1]
    changed = node if kept == node.aggregates else replace(node, aggregates=kept)
    read = _with(node.grouping_keys, columns_of(changed.expressions))
    return changed.with_sources([_pruned(node.source, read)])


@_pruned.register
def _(node: LimitNode, needed: Collection[str]) -> PlanNode:
    return node.with_sources([_pruned(node.source, needed)])


@_pruned.register(OrderByNode)
@_pruned.register(TopNNode)
def _(node: OrderByNode | TopNNode, needed: Collection[str]) -> PlanNode:
    read = _with(needed, (key.column for key in node.keys))
    return node.with_sources([_exactly(node.source, read, node.id)])


@_pruned.register
def _(node: UnnestNode, needed: Collection[str]) -> PlanNode:
    kept = tuple(name for name in node.replicated if name in needed)
    changed = node if kept == node.replicated else replace(node, replicated=kept)
    return changed.with_sources([_pruned(node.source, _with(kept, node.unnested))])


@_pruned.register
def _(node: JoinNode, needed: Collection[str]) -> PlanNode:
    outputs = tuple(_one_at_least(node.output_type, needed).names)
    changed = node if outputs == node.outputs else replace(node, outputs=outputs)
    read = _with(outputs, columns_of(node.expressions))
    left = read & set(node.left.output_type.names)
    return changed.with_sources(
        [
            _pruned(node.left, _with(left, node.left_keys)),
            _pruned(node.right, _with(read - left, node.right_keys)),
        ]
    )


@_pruned.register
def _(node: LocalPartitionNode, needed: Collection[str]) -> PlanNode:
    if len(node.inputs) == 1:
        return node.with_sources([_pruned(node.inputs[0], needed)])
    kept = _one_at_least(node.output_type, needed).names
    return node.with_sources(
        [_exactly(source, kept, f"{node.id}.{i}") for i, source in enumerate(node.inputs)]
    )

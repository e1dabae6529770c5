"""gather_drivers: what several drivers may run, then a gather, then what needs a single one.

An aggregation is split: each driver makes partial groups, one driver merges them.
"""

from __future__ import annotations

from dataclasses import replace

import pyarrow as pa

from columnar_nn.plan.nodes import (
    AggregationNode,
    FilterNode,
    LocalPartitionNode,
    PlanNode,
    ProjectNode,
    nodes,
    with_source,
)


def gather_drivers(plan: PlanNode) -> PlanNode:
    """The plan with a LocalPartition above its scan, filters and projections.

    A plan that has one already is left as it is.
    """
    chain = list(nodes(plan))[::-1]
    if any(isinstance(node, LocalPartitionNode) for node in chain):
        return plan
    result, rest = chain[0], chain[1:]
    while rest and isinstance(rest[0], (FilterNode, ProjectNode)):
        result = with_source(rest.pop(0), result)
    if rest and isinstance(rest[0], AggregationNode):
        single = rest[0]
        rest = rest[1:]
        partial = _partial(single, result)
        gathered = LocalPartitionNode(f"{single.id}.gather", partial)
        result = replace(single, step="FINAL", source=gathered)
    else:
        result = LocalPartitionNode(f"{result.id}.gather", result)
    for node in rest:
        result = with_source(node, result)
    return result


def _partial(single: AggregationNode, source: PlanNode) -> AggregationNode:
    fields = [single.output_type.field(key) for key in single.grouping_keys]
    for aggregate in single.aggregates:
        data_type = aggregate.type
        if aggregate.function == "avg":
            data_type = pa.struct([("sum", pa.float64()), ("count", pa.int64())])
        elif aggregate.function == "sum" and pa.types.is_floating(data_type):
            data_type = pa.float64()
        fields.append(pa.field(aggregate.name, data_type))
    return replace(
        single,
        id=f"{single.id}.partial",
        step="PARTIAL",
        source=source,
        output_type=pa.schema(fields),
    )

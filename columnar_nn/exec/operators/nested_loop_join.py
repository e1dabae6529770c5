"""NestedLoopJoinBuild and -Probe: a join by no keys, where all rows are one group."""

from __future__ import annotations

from columnar_nn.exec.operators.hash_join import HashBuild, HashProbe
from columnar_nn.exec.operators.registry import feeds, runs
from columnar_nn.plan.nested_loop_join import NestedLoopJoinNode


@feeds(NestedLoopJoinNode)
class NestedLoopJoinBuild(HashBuild):
    """Keeps the rows of the build side."""

    operator_type = "NestedLoopJoinBuild"


@runs(NestedLoopJoinNode)
class NestedLoopJoinProbe(HashProbe):
    """Looks at every row of the build side for each of its own."""

    operator_type = "NestedLoopJoinProbe"

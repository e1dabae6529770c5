"""Rewrites of plans: one named rule a file, applied in a fixed order.

none      every vector function is a kernel of its own, run over the whole batch
layer     fold_batch_norm, fuse_layers: a convolution or dense layer with its bias, residual and
          activation is one kernel, run over the whole batch
pipeline  the same kernels, but image by image: pipeline_networks

At every level choose_algorithm then says how each convolution is computed, and gather_drivers
where several threads meet. Rules of expressions are applied to those of every node, so that a
network runs alike wherever it stands. Rules of graphs, for every engine, are in `model.rewrites`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from columnar_nn.errors import UsageError
from columnar_nn.expressions.expression import Expression
from columnar_nn.plan.plan_node import PlanNode, transform_up
from columnar_nn.plan.rewrites.choose_algorithm import ALGORITHMS, choose_algorithm
from columnar_nn.plan.rewrites.fold_batch_norm import fold_batch_norm
from columnar_nn.plan.rewrites.fuse_layers import fuse_layers
from columnar_nn.plan.rewrites.gather_drivers import gather_drivers
from columnar_nn.plan.rewrites.pipeline_networks import pipeline_networks

ExpressionRule = Callable[[Sequence[Expression]], list[Expression]]
"""Gives expressions with the same values as those it is given, in their order."""

RULES: dict[str, ExpressionRule] = {
    "fold_batch_norm": fold_batch_norm,
    "fuse_layers": fuse_layers,
    "pipeline_networks": pipeline_networks,
}
"""The rules that a fusion level consists of and that can be left out, in their order."""

FUSIONS = {"none": (), "layer": ("fold_batch_norm", "fuse_layers"), "pipeline": tuple(RULES)}
"""The rules of each fusion level."""


def apply(
    plan: PlanNode, threads: int, fusion: str, algorithm: str, without: Collection[str] = ()
) -> PlanNode:
    """The plan as it will run, by the rules of a fusion level but those named in `without`.

    Raises UsageError for an unknown fusion level or algorithm.
    """
    if fusion not in FUSIONS:
        raise UsageError(f"no fusion level {fusion!r}: use {', '.join(FUSIONS)}")
    if algorithm not in ALGORITHMS:
        raise UsageError(f"no algorithm {algorithm!r}: use {', '.join(ALGORITHMS)}")
    rules: list[ExpressionRule] = [RULES[name] for name in FUSIONS[fusion] if name not in without]
    rules.append(choose_algorithm(algorithm))
    plan = transform_up(plan, lambda node: _with_rules(node, rules))
    return gather_drivers(plan) if threads > 1 else plan


def _with_rules(node: PlanNode, rules: Sequence[ExpressionRule]) -> PlanNode:
    expressions: Sequence[Expression] = node.expressions
    if not expressions:
        return node
    for rule in rules:
        expressions = rule(expressions)
    return node.with_expressions(expressions)

"""Rewrites of plans: one named rule a file, applied in a fixed order.

none      every vector function is a kernel of its own, run over the whole batch
layer     fold_batch_norm, fuse_normalizations, fuse_activations, activate_early, fuse_layers: a
          convolution, dense layer or product with a constant matrix, with its bias, residual and
          activation, is one kernel, run over the whole batch
pipeline  the same, but image by image (pipeline_networks), and layers between which more lies than
          a cache holds as one kernel: fuse_bottlenecks

Before, at every level, rules of plans: share_networks, filter_early, join_by_keys, limit_early,
prune_columns and skip_row_groups see to it that less is read and computed. Afterwards
compute_in_bfloat16, if that is the precision, and choose_algorithm say how each convolution is
computed, and gather_drivers where several threads meet. Rules of expressions are applied to those
of every node, so that a network runs alike wherever it stands. Rules of graphs, for every engine,
are in `model.rewrites`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from importlib import import_module
from typing import Any

from columnar_nn.errors import UsageError
from columnar_nn.expressions.expression import Expression, topological
from columnar_nn.functions.bfloat16 import BFLOAT16, FLOAT32, PRECISIONS
from columnar_nn.kernels.convolution import TEXTBOOK
from columnar_nn.plan.plan_node import PlanNode, nodes, transform_up
from columnar_nn.plan.rewrites.choose_algorithm import ALGORITHMS, choose_algorithm
from columnar_nn.plan.rewrites.prune_simple import prune_simple
from columnar_nn.plan.rewrites.share_networks import share_networks
from columnar_nn.plan.rewrites.usage import is_call
from columnar_nn.record import Record

ExpressionRule = Callable[[Sequence[Expression]], list[Expression]]
"""Gives expressions with the same values as those it is given, in their order."""

RULES: dict[str, tuple[str, ...]] = {
    "fold_batch_norm": ("batch_norm",),
    "fuse_normalizations": ("reduce_mean", "layer_norm"),
    "fuse_activations": ("vec_mul", "vec_scal_mul", "vec_div"),
    "activate_early": (),
    "fuse_layers": (),
    "fuse_bottlenecks": ("conv_layer",),
    "pipeline_networks": (),
}
"""The rules that a fusion level consists of and that can be left out, in their order.

One that names functions changes only what calls one of them: it is loaded for such a plan.
"""

PlanRule = Callable[[PlanNode], PlanNode]
"""Gives a plan with the same rows as the one it is given; that itself if there is nothing to do."""


def _loaded(name: str) -> Any:
    """A rule of the module that has its name."""
    return getattr(import_module(f"{__name__}.{name}"), name)


def _limit_early(threads: int) -> PlanRule:
    rule: PlanRule = _loaded("limit_early")(threads)
    return rule


PLAN_RULES: dict[str, Callable[[int], PlanRule]] = {
    "share_networks": lambda threads: share_networks,
    "filter_early": lambda threads: _loaded("filter_early"),
    "join_by_keys": lambda threads: _loaded("join_by_keys"),
    "limit_early": _limit_early,
    "prune_columns": lambda threads: _loaded("prune_columns"),
    "skip_row_groups": lambda threads: _loaded("skip_row_groups"),
}
"""The rules of plans for so many threads, which can be left out, in their order."""

_SIMPLE_NODES = {"TableScan", "Values", "Project"}
_OF_SIMPLE_NODES: dict[str, PlanRule] = {
    "share_networks": share_networks,
    "prune_columns": prune_simple,
}
"""The rules that may change a plan of these alone: the others are not loaded for it."""

_PIPELINE_ALONE = ("fuse_bottlenecks", "pipeline_networks")

FUSIONS = {
    "none": (),
    "layer": tuple(name for name in RULES if name not in _PIPELINE_ALONE),
    "pipeline": tuple(RULES),
}
"""The rules of each fusion level."""


class Rewritten(Record):
    """A plan as it will run, and the names of the rules that changed it, in their order."""

    plan: PlanNode
    rules: tuple[str, ...]


def apply(
    plan: PlanNode,
    threads: int,
    fusion: str,
    algorithm: str,
    without: Collection[str] = (),
    precision: str = FLOAT32,
) -> Rewritten:
    """The plan as it will run, by the rules of plans and of a fusion level but those in `without`.

    Raises UsageError for an unknown fusion level, algorithm or precision.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"no precision {precision!r}: use {', '.join(PRECISIONS)}")
    if fusion not in FUSIONS:
        raise UsageError(f"no fusion level {fusion!r}: use {', '.join(FUSIONS)}")
    if algorithm not in ALGORITHMS:
        raise UsageError(f"no algorithm {algorithm!r}: use {', '.join(ALGORITHMS)}")
    is_simple = {node.name for node in nodes(plan)} <= _SIMPLE_NODES
    of_plans = (
        _OF_SIMPLE_NODES
        if is_simple
        else {name: make(threads) for name, make in PLAN_RULES.items() if name not in without}
    )
    rules = {name: rule for name, rule in of_plans.items() if name not in without}
    given: dict[str, dict[str, Any]] = {
        "fuse_layers": {"textbook_only": algorithm == TEXTBOOK},
        "fuse_bottlenecks": {"precision": precision},
    }
    for name in FUSIONS[fusion]:
        if name == "fuse_bottlenecks" and algorithm == TEXTBOOK:
            continue  # it has no textbook's form
        if name not in without:
            rules[name] = _everywhere(_where_called(name, **given.get(name, {})))
    if precision == BFLOAT16:
        rules["compute_in_bfloat16"] = _everywhere(_loaded("compute_in_bfloat16"))
    rules["choose_algorithm"] = _everywhere(choose_algorithm(algorithm))
    if threads > 1:
        rules["gather_drivers"] = _loaded("gather_drivers")
    applied = []
    for name, rule in rules.items():
        changed = rule(plan)
        if changed is not plan:
            applied.append(name)
        plan = changed
    return Rewritten(plan, tuple(applied))


def _where_called(name: str, **options: Any) -> ExpressionRule:
    """The rule of RULES, loaded where one of its functions is called."""

    def rule(roots: Sequence[Expression]) -> list[Expression]:
        functions = RULES[name]
        if functions and not any(is_call(e, *functions) for e in topological(roots)):
            return list(roots)
        changed: list[Expression] = _loaded(name)(roots, **options)
        return changed

    return rule


def _everywhere(rule: ExpressionRule) -> PlanRule:
    """The rule for the expressions of every node."""

    def change(node: PlanNode) -> PlanNode:
        if not node.expressions:
            return node
        expressions = rule(node.expressions)
        same = all(a is b for a, b in zip(node.expressions, expressions, strict=True))
        return node if same else node.with_expressions(expressions)

    return lambda plan: transform_up(plan, change)

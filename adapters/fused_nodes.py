"""Which nodes of a network a backend's operators compute, where it has fused some of them.

ONNX Runtime, OpenVINO and TensorFlow name a fused operator after some of its nodes only.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from adapters.operator_profile import OperatorProfile, merged
from columnar_nn.model.graph import Graph, Node
from columnar_nn.model.operators import SUMMING

_PRODUCT_WORDS = (*SUMMING, "FullyConnected")


def fused_nodes(graph: Graph, ran: Mapping[str, Collection[str]]) -> dict[str, tuple[str, ...]]:
    """For each node that names an operator, all nodes it computes, in graph order.

    `ran` holds, by node, the types of the operators named after it, in the order in which they
    ran. A product without any is part of the first operator after it that is none of its own
    kind, together with what lies between; padding without any, of the product after it. Any
    other node is part of the operator before it: of an addition's two, the one that ran last.
    """
    order = {name: index for index, name in enumerate(ran)}
    group = {node.name: node.name for node in graph.nodes if _runs_by_itself(node, ran)}
    for node in graph.nodes:
        if node.op_type in SUMMING and node.name not in group:
            chain = list(_followers(graph, node, group))
            if chain and chain[-1].name in group:
                group |= dict.fromkeys((n.name for n in [node, *chain]), chain[-1].name)
    for node in graph.nodes:
        consumers = graph.consumers(node.outputs[0])
        if node.op_type == "Pad" and node.name not in group and len(consumers) == 1:
            group[node.name] = group.get(consumers[0].name, consumers[0].name)
    for node in graph.nodes:
        sources = [source for name in node.inputs if (source := graph.producer(name))]
        before = [group[source.name] for source in sources if source.name in group]
        if node.name not in group and before:
            group[node.name] = max(before, key=lambda name: order[name])
    return {
        name: tuple(node.name for node in graph.nodes if group.get(node.name) == name) or (name,)
        for name in ran
    }


def fused(graph: Graph, profiles: Iterable[OperatorProfile]) -> tuple[OperatorProfile, ...]:
    """Profiles that name one node at most, as they ran: merged, and with all nodes of each."""
    profiles = list(profiles)
    ran: dict[str, list[str]] = {}
    for profile in profiles:
        for name in profile.nodes:
            ran.setdefault(name, []).append(profile.operator)
    nodes = fused_nodes(graph, ran)
    return merged(
        replace(profile, nodes=nodes[profile.nodes[0]]) if profile.nodes else profile
        for profile in profiles
    )


def _followers(graph: Graph, node: Node, group: Mapping[str, str]) -> Iterator[Node]:
    """The only readers one after the other, up to the first with an operator of its own."""
    while len(readers := graph.consumers(node.outputs[0])) == 1:
        (node,) = readers
        if node.op_type in SUMMING:
            return
        yield node
        if node.name in group:
            return


def _runs_by_itself(node: Node, ran: Mapping[str, Collection[str]]) -> bool:
    """Whether an operator named after the node computes it, not only the padding before it."""
    types = ran.get(node.name, ())
    if node.op_type not in SUMMING:
        return bool(types)
    return any(word in operator for operator in types for word in _PRODUCT_WORDS)


def nodes_between(graph: Graph, inputs: Sequence[str], output: str) -> tuple[str, ...]:
    """The nodes that compute the tensor `output` from the tensors `inputs`, in graph order."""
    found: set[str] = set()
    waiting = [output]
    while waiting:
        tensor = waiting.pop()
        producer = None if tensor in inputs else graph.producer(tensor)
        if producer is not None and producer.name not in found:
            found.add(producer.name)
            waiting += producer.inputs
    return tuple(node.name for node in graph.nodes if node.name in found)

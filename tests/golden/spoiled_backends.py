"""The columnar engine, given a network with one mistake in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import ClassVar

import numpy as np

from adapters.base import Settings
from adapters.columnar_backend import ColumnarBackend
from columnar_nn.model.graph import Graph, Node


class Spoiled(ColumnarBackend):
    """Builds what `spoil` makes of the network; the faulty operator is called `faulty`."""

    faulty: ClassVar[str]

    def __init__(self, graph: Graph, settings: Settings) -> None:
        nodes = tuple(self.spoil(n, graph) if n.name == self.faulty else n for n in graph.nodes)
        weights = self.spoil_weights(graph)
        super().__init__(replace(graph, nodes=nodes, weights=weights), settings)

    def spoil(self, node: Node, graph: Graph) -> Node:
        return node

    def spoil_weights(self, graph: Graph) -> Mapping[str, np.ndarray]:
        return graph.weights

    def changed(self, graph: Graph, suffix: str, change: np.ndarray) -> Mapping[str, np.ndarray]:
        return {**graph.weights, f"{self.faulty}.{suffix}": change}


class SwappedFilters(Spoiled):
    faulty = "conv4"

    def spoil_weights(self, graph: Graph) -> Mapping[str, np.ndarray]:
        filters = graph.weights["conv4.weight"]
        return self.changed(graph, "weight", filters[[1, 0, *range(2, len(filters))]])


class DroppedBias(Spoiled):
    faulty = "conv3"

    def spoil(self, node: Node, graph: Graph) -> Node:
        return replace(node, inputs=node.inputs[:2])


class Float16Filters(Spoiled):
    faulty = "conv2"

    def spoil_weights(self, graph: Graph) -> Mapping[str, np.ndarray]:
        filters = graph.weights["conv2.weight"].astype(np.float16).astype(np.float32)
        return self.changed(graph, "weight", filters)


class ChannelsLastDense(Spoiled):
    """The dense layer's weights in the order H, W, C, for the small network."""

    faulty = "dense"

    def spoil_weights(self, graph: Graph) -> Mapping[str, np.ndarray]:
        weights = graph.weights["dense.weight"].reshape(5, 8, 4, 4)
        return self.changed(graph, "weight", weights.transpose(0, 2, 3, 1).reshape(5, -1))


class ShiftedPadding(Spoiled):
    """All of the padding above and to the left, for the small network."""

    faulty = "conv2"

    def spoil(self, node: Node, graph: Graph) -> Node:
        return replace(node, attributes={**node.attributes, "pads": [2, 2, 0, 0]})

"""What a user may say for a network: a graph, or what the zoo makes one of."""

from __future__ import annotations

import os

from columnar_nn.model.graph import Graph

NetworkSource = Graph | str | os.PathLike[str]
"""A graph, a built-in network's name or the path of an ONNX file."""


def graph_of(source: NetworkSource) -> Graph:
    """The graph itself, or the one that `zoo.resolve` gives."""
    if isinstance(source, Graph):
        return source
    from columnar_nn.model import zoo  # every network built in, of which a graph needs none

    return zoo.resolve(source)

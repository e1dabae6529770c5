"""Which tensors of a network are looked at, in graph order."""

from __future__ import annotations

from collections.abc import Sequence

from columnar_nn.errors import UsageError
from columnar_nn.model.graph import Graph, Shape, TensorSpec
from columnar_nn.model.operators import OPERATORS
from columnar_nn.model.shapes import infer_shapes

ALL = "all"
OUTPUTS = "outputs"


def parse(text: str) -> tuple[str, ...]:
    """The words of "all", "outputs" or "name,name"; raises UsageError if there are none."""
    words = tuple(word.strip() for word in text.split(",") if word.strip())
    if not words:
        raise UsageError(f'--taps {text!r}: expected "all", "outputs" or tensor names')
    return words


def select(graph: Graph, words: Sequence[str]) -> tuple[TensorSpec, ...]:
    """The tensors meant by `words`: "all", "outputs" and names, each tensor once.

    Only tensors of float32 with one row an image can be tapped; of a network tied to a batch size,
    those whose first dimension is that. Raises UsageError for other names.
    """
    shapes = infer_shapes(graph)
    outputs = {spec.name for spec in graph.outputs}
    nodes = [node for node in graph.nodes if OPERATORS[node.op_type].result == "float32"]
    made = [tensor for node in nodes for tensor in node.outputs if tensor]
    tappable = [name for name in made if _is_row_per_image(shapes[name], graph.batch)]
    wanted: set[str] = set()
    for word in words:
        if word == ALL:
            wanted.update(tappable)
        elif word == OUTPUTS:
            wanted.update(outputs)
        else:
            wanted.add(word)
    unknown = sorted(wanted - set(tappable))
    if unknown:
        computed = {tensor for node in graph.nodes for tensor in node.outputs}
        why = " (only float32 with a row an image can be)" if computed & set(unknown) else ""
        choices = ", ".join((ALL, OUTPUTS, *tappable))
        raise UsageError(f"cannot tap {', '.join(unknown)}{why}: choose from {choices}")
    return tuple(TensorSpec(name, shapes[name]) for name in tappable if name in wanted)


def _is_row_per_image(shape: Shape, batch: int | None) -> bool:
    return bool(shape) and shape[0] == batch and None not in shape[1:]

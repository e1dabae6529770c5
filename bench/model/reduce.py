"""The smallest part of an ONNX model that still fails: delta debugging (Zeller and Hildebrandt,
"Simplifying and Isolating Failure-Inducing Input", 2002) over its outputs, nodes and attributes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import onnx
from google.protobuf.message import Message
from onnx import inliner, shape_inference

Fails = Callable[[onnx.ModelProto], bool]
MOST_CALLS = 400
"""How often a model is tried: one of 300 nodes takes about 150 calls."""


def reduce(model: onnx.ModelProto, fails: Fails, most_calls: int = MOST_CALLS) -> onnx.ModelProto:
    """A part of `model`, in general far smaller, for which `fails` holds as it does for `model`.

    Functions are inlined, outputs moved forward, inputs moved backward, nodes left out,
    attributes and optional inputs dropped, images made smaller, until none of it helps or `fails`
    was called `most_calls` times. `fails` is asked about valid models only (onnx.checker), with
    an input, and no more of them than `model`; it must say False of a model that fails in another
    way, or cannot be run, and must not raise.
    """
    trials = _Trials(fails, most_calls, len(_sources(model)))
    if model.functions and (
        inlined := trials.first([_part(inliner.inline_local_functions(model))])
    ):
        model = inlined
    smaller: onnx.ModelProto | None = model
    while smaller is not None:
        model = smaller
        smaller = (
            _with_earlier_output(model, trials)
            or _with_later_input(model, trials)
            or trials.first(_with_stored_constants(model))
            or trials.first(_without_a_node(model))
            or trials.first(_with_plainer_nodes(model))
            or trials.first(_with_smaller_images(model))
        )
    return model


class _Trials:
    """Calls of the predicate, of which there is a limited number."""

    def __init__(self, fails: Fails, most_calls: int, most_inputs: int) -> None:
        self._fails = fails
        self._calls_left = most_calls
        self._most_inputs = most_inputs

    def fail(self, model: onnx.ModelProto) -> bool:
        """Whether a model is valid and fails; False when there are no calls left."""
        if not self._calls_left or not 0 < len(_sources(model)) <= self._most_inputs:
            return False
        try:
            onnx.checker.check_model(model)
        except (onnx.checker.ValidationError, ValueError):
            return False
        self._calls_left -= 1
        return self._fails(model)

    def first(self, models: Iterable[onnx.ModelProto]) -> onnx.ModelProto | None:
        """The first of some models that fails."""
        return next(filter(self.fail, models), None)


def _with_earlier_output(model: onnx.ModelProto, trials: _Trials) -> onnx.ModelProto | None:
    """Only one output, of a node as early as possible: halving finds it where all that read what
    is wrong are wrong, one by one the nodes before it what halving missed."""
    values = _values(model)
    made = [name for name in _computed(model) if name in values]
    present = [value.name for value in model.graph.output]
    tensors = made if len(present) > 1 else [name for name in made if name != present[0]]
    found = None
    low, high = 0, len(tensors)
    while low < high:
        middle = (low + high) // 2
        candidate = _part(model, outputs=[values[tensors[middle]]])
        if trials.fail(candidate):
            found, high = candidate, middle
        else:
            low = middle + 1
    return found or trials.first(
        _part(model, outputs=[values[tensor]]) for tensor in tensors if len(present) > 1
    )


def _computed(model: onnx.ModelProto) -> list[str]:
    """What nodes make of the inputs, in their order; what they make of constants tells nothing."""
    known, made = {value.name for value in _sources(model)}, []
    for node in model.graph.node:
        if known.intersection(node.input):
            known.update(node.output)
            made += node.output
    return made


def _with_later_input(model: onnx.ModelProto, trials: _Trials) -> onnx.ModelProto | None:
    """A tensor as late as possible as an input, in place of those that nothing else needs."""
    values = _values(model)
    made = [name for node in model.graph.node for name in node.output if name in values]

    def candidates() -> Iterator[onnx.ModelProto]:
        for tensor in reversed(made):
            candidate = _part(model, sources=[values[tensor]])
            if candidate.graph.node and tensor in (v.name for v in _sources(candidate)):
                yield candidate

    return trials.first(candidates())


def _with_stored_constants(model: onnx.ModelProto) -> Iterator[onnx.ModelProto]:
    """The model with the tensors of its Constant nodes as initialisers."""
    candidate = _copy(model)
    nodes = candidate.graph.node
    stored = [n for n in nodes if n.op_type == "Constant" and n.attribute[0].name == "value"]
    for node in stored:
        tensor = candidate.graph.initializer.add()
        tensor.CopyFrom(node.attribute[0].t)
        tensor.name = node.output[0]
    if stored:
        _replace(nodes, [node for node in nodes if node not in stored])
        yield candidate


def _without_a_node(model: onnx.ModelProto) -> Iterator[onnx.ModelProto]:
    """Models in which what reads a node's output reads one of its inputs instead.

    A weight only where the node made one itself, of weights.
    """
    weights = {tensor.name for tensor in model.graph.initializer}
    for index, node in reversed(list(enumerate(model.graph.node))):
        for source in node.input:
            if source and (source not in weights or weights.issuperset(node.input)):
                candidate = _copy(model)
                del candidate.graph.node[index]
                for other in candidate.graph.node:
                    for place, tensor in enumerate(other.input):
                        if tensor == node.output[0]:
                            other.input[place] = source
                yield _part(candidate)


def _with_plainer_nodes(model: onnx.ModelProto) -> Iterator[onnx.ModelProto]:
    """Models in which a node lacks an attribute, has a neutral one, or lacks its last input."""
    for index, node in enumerate(model.graph.node):
        for place, attribute in enumerate(node.attribute):
            candidate = _copy(model)
            del candidate.graph.node[index].attribute[place]
            yield candidate
            neutral = 0 if attribute.name == "pads" else 1
            if any(value != neutral for value in attribute.ints):
                candidate = _copy(model)
                values = candidate.graph.node[index].attribute[place].ints
                values[:] = [neutral] * len(values)
                yield candidate
        if len(node.input) > 1:
            candidate = _copy(model)
            candidate.graph.node[index].input.pop()
            yield _part(candidate)


def _with_smaller_images(model: onnx.ModelProto) -> Iterator[onnx.ModelProto]:
    """Models in which a dimension of an input is 1, or half of what it is, or of all alike."""
    sources = _sources(model)
    for value in sources:
        for axis, size in enumerate(_sizes(value)):
            alike = [v for v in sources if _sizes(v)[axis : axis + 1] == [size]]
            for smaller in dict.fromkeys((1, size // 2)):
                if 0 < smaller < size:
                    for changed in [alike, [value]] if len(alike) > 1 else [alike]:
                        yield _part(model, sources=[_resized(v, axis, smaller) for v in changed])


def _sizes(value: onnx.ValueInfoProto) -> list[int]:
    """Dimensions of a tensor, 0 those that are free."""
    return [dimension.dim_value for dimension in value.type.tensor_type.shape.dim]


def _resized(value: onnx.ValueInfoProto, axis: int, size: int) -> onnx.ValueInfoProto:
    resized = onnx.ValueInfoProto()
    resized.CopyFrom(value)
    resized.type.tensor_type.shape.dim[axis].dim_value = size
    return resized


def _part(
    model: onnx.ModelProto,
    outputs: Sequence[onnx.ValueInfoProto] = (),
    sources: Sequence[onnx.ValueInfoProto] = (),
) -> onnx.ModelProto:
    """What some of the outputs (else all) need of the model, once `sources` are its inputs, too."""
    part = _copy(model)
    graph = part.graph
    if outputs:
        _replace(graph.output, outputs)
    given = {source.name for source in sources}
    if given:
        _replace(graph.input, [*sources, *(v for v in graph.input if v.name not in given)])
        _replace(graph.node, [node for node in graph.node if given.isdisjoint(node.output)])
    needed = {value.name for value in graph.output}
    kept = []
    for node in reversed(graph.node):
        if needed.intersection(node.output):
            kept.append(node)
            needed.update(_reads(node))
    _replace(graph.node, kept[::-1])
    for field in (graph.initializer, graph.input):
        _replace(field, [entry for entry in field if entry.name in needed])
    sparse = [t for t in graph.sparse_initializer if t.values.name in needed]
    _replace(graph.sparse_initializer, sparse)
    _replace(graph.value_info, [])
    known = _values(part)
    _replace(graph.output, [known.get(value.name, value) for value in graph.output])
    return part


def _reads(node: onnx.NodeProto) -> Iterator[str]:
    """Every tensor that a node, or a graph within it, reads."""
    yield from node.input
    for attribute in node.attribute:
        for graph in [attribute.g, *attribute.graphs]:
            yield from (value.name for value in graph.output)
            for inner in graph.node:
                yield from _reads(inner)


def _sources(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """The inputs that are no weights."""
    weights = {tensor.name for tensor in model.graph.initializer}
    return [value for value in model.graph.input if value.name not in weights]


def _values(model: onnx.ModelProto) -> dict[str, onnx.ValueInfoProto]:
    """Type and shape of the tensors that onnx infers from the inputs', by name."""
    bare = _copy(model)
    for value in bare.graph.output:
        value.ClearField("type")
    _replace(bare.graph.value_info, [])
    try:
        graph = shape_inference.infer_shapes(bare, data_prop=True).graph
    except shape_inference.InferenceError:
        return {}
    found = {value.name: value for value in [*graph.value_info, *graph.output]}
    return {name: v for name, v in found.items() if v.type.tensor_type.elem_type}


def _copy(model: onnx.ModelProto) -> onnx.ModelProto:
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    return copy


def _replace(field: object, entries: Sequence[Message]) -> None:
    """Gives a repeated field of a message other entries."""
    copies = [type(entry).FromString(entry.SerializeToString()) for entry in entries]
    del field[:]  # type: ignore[attr-defined]
    field.extend(copies)  # type: ignore[attr-defined]

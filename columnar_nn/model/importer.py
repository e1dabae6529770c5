"""The fourth step of the import: each node in canonical form, or the constant that it makes.

Nodes are taken in the file's order. What cannot be imported is left in the graph as it is, and
judged in the last step, once it is known whether an output needs it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.model import fold
from columnar_nn.model.canonical import (
    EXPRESSED,
    canonical_nodes,
    unsupported_reason,
)
from columnar_nn.model.custom_node import custom_node
from columnar_nn.model.graph import Graph, Node, Shape, TensorSpec
from columnar_nn.model.inline_functions import Inliner
from columnar_nn.model.node_check import check_constants, check_node, check_results
from columnar_nn.model.onnx_file import FileNode, Stored
from columnar_nn.model.operators import OPERATORS, OPSET, RENAMING, is_custom, with_defaults
from columnar_nn.model.places import places_as_numbers
from columnar_nn.model.precision import as_float32, is_float
from columnar_nn.model.prune import needed_nodes, without_unread_outputs
from columnar_nn.model.quantization import QUANTIZATION_FORMS, makes_integers
from columnar_nn.model.rewriting import Rewriting
from columnar_nn.model.scattering import SCATTER_FORMS
from columnar_nn.model.shape_rules.operands import FIXED_BATCH
from columnar_nn.model.shapes import infer_node
from columnar_nn.model.stored_tensors import StoredTensors

MAX_ELEMENTS = 2**28
"""Of one tensor of one image: 1 GiB. Larger ones are mistakes, and no backend could hold them."""


BATCH_KEPT = {"Expand": (1, 1), "Resize": (3, 0)}
"""Which input of an operator may hold the size of the batch, and what says there: as it is."""


_FOLDED_FIRST = QUANTIZATION_FORMS.keys() | SCATTER_FORMS.keys()
"""Operators whose canonical form asks for more than constants fulfil."""


class GraphImporter:
    """Nodes, constants and shapes collected while the nodes of a file are imported.

    `nodes` holds what is left to run, in canonical form, and what cannot be imported, as it is;
    `gaps` and `errors` say why, by name of the node. `constants` holds every value that is
    known, `computed` the names of those among them that a node still makes; `shapes` those of
    all tensors so far.
    """

    def __init__(
        self, stored: StoredTensors, inliner: Inliner, fold_constants: bool, precision: str
    ) -> None:
        """`precision` is the type that the file computes in: its constants become float32."""
        self.nodes: list[Node] = []
        self.gaps: dict[str, str] = {}
        self.errors: dict[str, InvalidModelError] = {}
        self.constants: dict[str, np.ndarray] = {}
        self.computed: set[str] = set()
        self.shapes: dict[str, Shape] = {}
        self.types: dict[str, str] = {}
        """Of what nodes compute that is not float32."""
        self.batch_sizes: dict[str, np.ndarray] = {}
        """Integers computed by nodes of which at least one is the size of the batch."""
        self._quantized: set[str] = set()
        """What stands for narrow integers, in float32."""
        self._unknown: set[str] = set()
        """What nodes that cannot be imported make, and what is computed from it."""
        self._perhaps_constant: set[str] = set()
        """Those of the unknown tensors that might be constants: sizes, and where errors are."""
        self._stored = stored
        self._inliner = inliner
        self._fold_constants = fold_constants
        self._precision = precision
        self._special: dict[str, Callable[[FileNode], Sequence[FileNode] | None]] = {
            "Cast": self._cast,
            "CastLike": self._cast,
            "Constant": self._constant,
            "ConstantOfShape": self._constant_of_shape,
            "If": self._if,
            "Shape": self._shape,
            "Size": self._shape,
        }

    def add_stored(self, name: str, stored: Stored) -> None:
        """A constant of the file."""
        self._add_constant(name, self._stored.array(stored, name))

    def add_inputs(self, inputs: Sequence[TensorSpec]) -> None:
        """The inputs of the network."""
        for spec in inputs:
            if self._is_made(spec.name):
                raise InvalidModelError(f"two inputs are called {spec.name!r}")
            self.shapes[spec.name] = spec.shape

    def add_weight(self, name: str, array: np.ndarray) -> str:
        """A new constant, called `name` or, if that is taken, by a longer name; returns it."""
        name = self._inliner.tensors.fresh(name)
        self._add_constant(name, array)
        return name

    def run(self, nodes: Sequence[FileNode]) -> None:
        """Imports nodes; raises InvalidModelError for edges that make no graph."""
        pending = list(reversed(nodes))
        while pending:
            node = pending.pop()
            self._check_edges(node)
            try:
                pending.extend(reversed(self._import(node) or ()))
            except fold.DependsOnBatchError as error:
                self._leave(node, error=f"the batch size is {error}; {FIXED_BATCH}")
            except InvalidModelError as error:
                self._leave(node, error=str(error))

    def graph(
        self,
        name: str,
        nodes: Sequence[Node],
        inputs: Sequence[TensorSpec],
        outputs: Sequence[str],
        prunes: bool,
    ) -> Graph:
        """The graph of those of the nodes that run, with the constants that it reads, or all.

        Raises InvalidModelError for an output that nothing makes, or whose value is the size of
        the batch, or integers.
        """
        for tensor in outputs:
            if not self._is_made(tensor):
                raise InvalidModelError(f"output {tensor!r} is made by no node")
            if tensor in self.batch_sizes:
                raise InvalidModelError(
                    f"output {tensor!r} holds the size of the batch, nothing of the images: take "
                    "it out of the model's outputs"
                )
            if tensor in self._quantized:
                raise InvalidModelError(
                    f"output {tensor!r} holds integers: end the network with DequantizeLinear"
                )
        read = {tensor for node in nodes for tensor in node.inputs}.union(outputs)
        weights = {}
        for tensor, array in self.constants.items():
            if tensor not in self.computed and (tensor in read or not prunes):
                if 0 in array.strides and array.size > 1:  # of ConstantOfShape: see there
                    self._stored.budget.take(array.nbytes, f"tensor {tensor!r}")
                weights[tensor] = np.ascontiguousarray(array).reshape(array.shape)
        specs = []
        for tensor in outputs:
            constant = self.constants.get(tensor)
            dtype = self.types.get(tensor, "float32") if constant is None else str(constant.dtype)
            specs.append(TensorSpec(tensor, self.shapes[tensor], dtype))
        return Graph(name, tuple(nodes), tuple(inputs), tuple(specs), weights)

    def _import(self, node: FileNode) -> Sequence[FileNode] | None:
        """Imports a node; returns the nodes that take its place, if it is an If."""
        reason = self._gap(node)
        if reason:
            self._leave(node, gap=reason)
            return None
        if self._unknown.intersection(node.reads()):
            self._leave(node, gap=self._gap_of_unknown(node))
            return None
        if node.domain:
            self._place(custom_node(node))
            return None
        check_node(node)
        if makes_integers(node, self._quantized) and not self._all_known(node):
            self._quantized.update(node.outputs)
        if node.op_type in self._special:
            return self._special[node.op_type](node)
        plain = Node(node.name, node.op_type, node.inputs, node.outputs, node.attributes)
        plain = replace(plain, attributes=self._with_arrays(node))
        if (node.op_type in _FOLDED_FIRST or _trains(node)) and self._all_known(plain):
            self._fold(plain, node.opset)
        elif node.op_type in OPERATORS or node.op_type in EXPRESSED:
            plain = self._batch_kept(plain)
            for canonical in canonical_nodes(plain, self._rewriting(node.opset)):
                self._place(canonical)
        elif self._all_known(plain):
            self._fold(plain, node.opset)
        else:
            self._leave(node, gap=self._not_ours(node))
        return None

    def _gap(self, node: FileNode) -> str | None:
        """Why a node cannot be imported, whatever it reads."""
        if node.domain:
            known = node.custom in OPERATORS
            return None if known else f"operator of another domain, {node.domain}"
        if node.subgraphs and node.op_type != "If":
            return "control flow is not supported"
        if node.op_type in self._special or node.op_type in fold.FOLDED - OPERATORS.keys():
            return None
        if _trains(node) and self._all_known(node):
            return None
        return unsupported_reason(node.op_type, node.outputs, node.attributes, node.opset)

    def _not_ours(self, node: FileNode) -> str:
        if node.op_type in ("Cast", "CastLike"):
            return "supported to float32 alone, or of constants: end the network before it"
        return "not an operator of this project"

    def _gap_of_unknown(self, node: FileNode) -> str | None:
        """Why a node that reads an unknown tensor cannot be imported; None if it might be."""
        unknown = self._unknown.intersection(node.reads())
        if node.op_type in ("Shape", "Size") or (
            node.op_type in fold.FOLDED | {"ConstantOfShape"} and unknown <= self._perhaps_constant
        ):
            self._perhaps_constant.update(filter(None, node.outputs))
            return None
        if (
            node.op_type == "If"
            or node.custom in OPERATORS
            or node.op_type in OPERATORS
            or node.op_type in EXPRESSED
        ):
            return None
        return self._not_ours(node)

    def _leave(self, node: FileNode | Node, gap: str | None = None, error: str = "") -> None:
        """Keeps a node that cannot be imported, for the judge."""
        reads = node.reads() if isinstance(node, FileNode) else node.inputs
        self.nodes.append(Node(node.name, node.op_type, tuple(reads), node.outputs))
        self._unknown.update(filter(None, node.outputs))
        if gap:
            self.gaps[node.name] = gap
        elif error:
            self._perhaps_constant.update(filter(None, node.outputs))
            at = f"node {node.name} ({node.op_type})"
            error = error if error.startswith(at) else f"{at}: {error}"
            self.errors[node.name] = InvalidModelError(error)

    def _is_made(self, tensor: str) -> bool:
        return tensor in self.shapes or tensor in self._unknown

    def _check_edges(self, node: FileNode) -> None:
        at = f"node {node.name} ({node.op_type})"
        for tensor in node.reads():
            if not self._is_made(tensor):
                raise InvalidModelError(
                    f"{at} reads {tensor!r}, which nothing before it makes: check the model's "
                    "edges and order"
                )
        made: set[str] = set()
        for tensor in filter(None, node.outputs):
            if tensor in made or self._is_made(tensor):
                raise InvalidModelError(
                    f"{at} makes {tensor!r} a second time: every tensor needs a name of its own"
                )
            made.add(tensor)

    def _add_constant(self, name: str, array: np.ndarray) -> None:
        if array.dtype == object:
            self.batch_sizes[name] = array
        else:
            self.constants[name] = as_float32(array, self._precision, f"tensor {name!r}")
        self.shapes[name] = array.shape

    def _value(self, tensor: str) -> np.ndarray | None:
        """What is known of a tensor: its value (some integers may be BATCH), else None."""
        value = self.constants.get(tensor)
        return self.batch_sizes.get(tensor) if value is None else value

    def _all_known(self, node: Node | FileNode) -> bool:
        given = [tensor for tensor in node.inputs if tensor]
        folds = node.op_type in fold.FOLDED or node.op_type in RENAMING
        return folds and all(self._value(tensor) is not None for tensor in given)

    def _fold(self, node: Node, opset: int) -> None:
        """Stores the value of a node that computes constants from constants."""
        values = [self._value(tensor) for tensor in node.inputs]
        results = fold.evaluate(node, opset, values, self._stored.budget)
        for tensor, value in zip(node.outputs, results, strict=False):
            if tensor:
                self._add_constant(tensor, value)

    def _rewriting(self, opset: int) -> Rewriting:
        names = (self._inliner.tensors.fresh, self._inliner.nodes.fresh)
        return Rewriting(opset, self.shapes, self.constants, self.add_weight, *names)

    def _place(self, node: Node) -> None:
        """Adds a canonical node to those that run, or folds it."""
        if self._all_known(node):
            self._fold(node, OPSET)
            folded = self.constants.get(node.outputs[0])
            if not self._fold_constants and folded is not None and folded.dtype == np.float32:
                self.nodes.append(node)
                self.computed.update(node.outputs)
            return
        if self.batch_sizes.keys() & set(node.inputs):
            node = self._without_batch_size(node)
        if not is_custom(node.op_type):
            check_constants(node, OPSET, self.constants)
            check_results(node, OPSET, self.types)
        shapes = infer_node(node, self.shapes, self.constants)
        for shape in shapes:
            if math.prod(d for d in shape[1:] if d is not None) > MAX_ELEMENTS:
                raise InvalidModelError(
                    f"makes {shape}, more than {MAX_ELEMENTS:,} elements of an image"
                )
        self.nodes.append(node)
        self.shapes.update(zip(node.outputs, shapes, strict=True))
        result = OPERATORS[node.op_type].result
        if result != "float32":
            self.types.update(dict.fromkeys(node.outputs, result))

    def _without_batch_size(self, node: Node) -> Node:
        """The node with the batch size in a Reshape's target expressed by 0 or -1."""
        if node.op_type != "Reshape" or node.inputs[0] in self.batch_sizes:
            raise fold.DependsOnBatchError(f"given to {node.op_type}")
        data, target = node.inputs
        value = fold.reshape_target(self.batch_sizes[target], self.shapes[data])
        inputs = (data, self.add_weight(f"{node.name}.shape", value))
        return replace(node, inputs=inputs, attributes={"allowzero": 0})

    def _batch_kept(self, node: Node) -> Node:
        """An Expand, or a Resize, whose target says nothing of the batch that it keeps.

        A constant that is repeated for every image stays as it is: it goes with each of them.
        """
        index, entry = BATCH_KEPT.get(node.op_type, (len(node.inputs), 0))
        target = node.inputs[index] if index < len(node.inputs) else ""
        if target not in self.batch_sizes:
            return node
        shape, entries = self.shapes[node.inputs[0]], list(self.batch_sizes[target].reshape(-1))
        aligned = [1] * (len(entries) - len(shape)) + list(shape)
        is_constant = self._value(node.inputs[0]) is not None
        for place, size in enumerate(aligned[-len(entries) :]):
            if entries[place] is fold.BATCH:
                if size is not None and not (is_constant and size == 1 and place == 0):
                    raise fold.DependsOnBatchError(f"given to {node.op_type}")
                entries[place] = entry
        values = np.array(entries, np.int64)
        inputs = list(node.inputs)
        inputs[index] = self.add_weight(f"{node.name}.target", values)
        return replace(node, inputs=tuple(inputs))

    def _with_arrays(self, node: FileNode) -> dict[str, object]:
        """The attributes of a node, tensors among them as arrays."""
        return {
            name: self._stored.array(value, f"{node.name}.{name}")
            if isinstance(value, Stored)
            else value
            for name, value in node.attributes.items()
        }

    def _cast(self, node: FileNode) -> None:
        """Cast to a float of a constant or of what a node computes: float32, a truth, a place."""
        plain = Node(node.name, node.op_type, node.inputs, node.outputs, node.attributes)
        if self._all_known(node):
            self._fold(plain, node.opset)
            return
        if node.op_type == "Cast":
            to_float = is_float(node.attributes["to"], self._precision)
        else:
            like = self._value(node.inputs[1])
            to_float = like is None or like.dtype == np.float32
        if to_float and self.types.get(node.inputs[0]) == "bool":
            one, zero = (
                self.add_weight(f"{node.name}.{value}", np.array(value, np.float32))
                for value in (1, 0)
            )
            self._place(Node(node.name, "Where", (node.inputs[0], one, zero), node.outputs, {}))
        elif to_float and self.types.get(node.inputs[0]) == "int64":
            (found,) = (made for made in self.nodes if node.inputs[0] in made.outputs)
            found = replace(found, name=node.name, outputs=node.outputs)
            for part in places_as_numbers(found, self._rewriting(node.opset)):
                self._place(with_defaults(part))
        elif to_float and self._value(node.inputs[0]) is None:
            self._place(Node(node.name, "Identity", node.inputs[:1], node.outputs, {}))
        else:
            self._leave(node, gap=self._not_ours(node))

    def _shape(self, node: FileNode) -> None:
        """Shape and Size, known but for the batch."""
        shape = self.shapes[node.inputs[0]]
        plain = Node(node.name, node.op_type, node.inputs, node.outputs, node.attributes)
        value = fold.size_value(shape) if node.op_type == "Size" else fold.shape_value(plain, shape)
        self._add_constant(node.outputs[0], value)

    def _constant(self, node: FileNode) -> None:
        if len(node.attributes) != 1:
            raise InvalidModelError("needs one value")
        kind, value = next(iter(node.attributes.items()))
        if isinstance(value, Stored):
            array = self._stored.array(value, node.outputs[0])
        elif kind in ("value_float", "value_floats"):
            array = np.array(value, np.float32)
        elif kind in ("value_int", "value_ints"):
            array = np.array(value, np.int64)
        else:
            raise InvalidModelError("its value is no number")
        self._add_constant(node.outputs[0], array)

    def _constant_of_shape(self, node: FileNode) -> None:
        """One value and a shape, which take no memory until they are used."""
        shape = self._value(node.inputs[0])
        if shape is None:
            raise InvalidModelError("the shape must be a constant")
        if shape.dtype == object:
            raise fold.DependsOnBatchError("given to ConstantOfShape")
        value = self._with_arrays(node).get("value", np.zeros(1, np.float32))
        assert isinstance(value, np.ndarray)
        value = as_float32(value, self._precision, f"the value of {node.name}")
        try:
            array = np.broadcast_to(value.reshape(()), tuple(int(d) for d in shape.reshape(-1)))
        except ValueError as error:
            raise InvalidModelError(f"{shape.reshape(-1)[:8].tolist()}: {error}") from None
        self._add_constant(node.outputs[0], array)

    def _if(self, node: FileNode) -> Sequence[FileNode] | None:
        """The branch that a constant condition takes."""
        condition = self._value(node.inputs[0])
        if condition is None or condition.dtype == object or condition.size != 1:
            self._leave(node, gap="its condition is not constant")
            return None
        branch = node.attributes["then_branch" if condition.reshape(-1)[0] else "else_branch"]
        nodes, stored = self._inliner.branch(node, branch)
        outputs = [tensor for tensor in node.outputs if tensor]
        nodes = self._inliner.flat(nodes)
        nodes = without_unread_outputs(needed_nodes(nodes, outputs), outputs)
        read = {tensor for n in nodes for tensor in n.reads()}
        for name, new_name in stored.items():
            if new_name in read:
                self.add_stored(new_name, branch.stored[name])
        return nodes


def _trains(node: FileNode) -> bool:
    """Whether it is a BatchNormalization by the statistics of what it reads.

    Of constants that is a constant: filters are normalised so.
    """
    return node.op_type == "BatchNormalization" and bool(node.attributes.get("training_mode", 0))

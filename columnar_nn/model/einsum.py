"""Einsum as products of matrices: dimensions are ordered and merged before, and parted after.

A sum over dimensions of one operand alone is a product with ones, a repeated index a Gather of the
diagonal.
"""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.node import Node
from columnar_nn.model.rewriting import Rewriting


def einsum(node: Node, rewriting: Rewriting) -> list[Node]:
    """The nodes that compute an Einsum node; raises InvalidModelError for what is no equation."""
    shapes = [rewriting.shapes[tensor] for tensor in node.inputs]
    terms, result = _parsed(node.attributes["equation"], list(map(len, shapes)))
    sums = _Sums(node, rewriting)
    for term, shape in zip(terms, shapes, strict=True):
        sums.learn(term, shape)
    operands = [
        sums.diagonal(tensor, term) for tensor, term in zip(node.inputs, terms, strict=True)
    ]
    if set(result) - set("".join(terms)) or len(set(result)) != len(result):
        raise InvalidModelError(f"the result {result} of {node.attributes['equation']} is unknown")
    while len(operands) > 1:
        left, right, *others = operands
        if left[0] in rewriting.weights:  # the images are on the left
            left, right = right, left
        needed = result + "".join(term for _, term in others)
        operands = [sums.product(left, right, needed), *others]
    return sums.end(operands[0], result)


def _parsed(equation: str, ranks: Sequence[int]) -> tuple[list[str], str]:
    """Letters of each operand and of the result, an ellipsis being letters of its own."""
    left, arrow, result = equation.replace(" ", "").partition("->")
    terms = left.split(",")
    if len(terms) != len(ranks):
        raise InvalidModelError(
            f"equation {equation!r} has {len(terms)} operands, not {len(ranks)}"
        )
    free = [letter for letter in string.ascii_letters if letter not in equation]
    widths = [rank - len(t.replace("...", "")) for t, rank in zip(terms, ranks, strict=True)]
    most = max((w for t, w in zip(terms, widths, strict=True) if "..." in t), default=0)
    spelled = []
    for term, width in zip(terms, widths, strict=True):
        if width < 0 or (width > 0 and "..." not in term) or most > len(free):
            raise InvalidModelError(f"equation {equation!r} does not fit operands of ranks {ranks}")
        spelled.append(term.replace("...", "".join(free[most - width : most])))
    whole = "".join(free[:most])
    if not arrow:
        letters = sorted(set("".join(spelled)) - set(whole))
        once = [letter for letter in letters if "".join(spelled).count(letter) == 1]
        return spelled, whole + "".join(once)
    return spelled, result.replace("...", whole)


Operand = tuple[str, str]
"""A tensor's name, and a letter for each of its dimensions."""


class _Sums:
    """The nodes of an Einsum so far, and the size of each letter, None for the batch."""

    def __init__(self, node: Node, rewriting: Rewriting) -> None:
        self._node, self._rewriting = node, rewriting
        self._nodes: list[Node] = []
        self._sizes: dict[str, int | None] = {}

    def learn(self, term: str, shape: Sequence[int | None]) -> None:
        """The sizes of a term's letters; raises InvalidModelError where they differ."""
        for letter, size in zip(term, shape, strict=True):
            if self._sizes.setdefault(letter, size) != size:
                raise InvalidModelError(
                    f"dimension {letter!r} of {self._node.attributes['equation']} is both "
                    f"{self._sizes[letter]} and {size}: broadcasting is not supported"
                )

    def diagonal(self, tensor: str, term: str) -> Operand:
        """The operand with one dimension for each letter."""
        for letter in sorted(set(term)):
            while term.count(letter) > 1:
                places = [place for place, other in enumerate(term) if other == letter][:2]
                kept = [place for place in range(len(term)) if place not in places]
                tensor = self._add("Transpose", tensor, perm=[*kept, *places])
                rest, size = "".join(term[place] for place in kept), self._size([letter])
                tensor = self._reshape(tensor, [*rest, letter * 2])
                indices = self._integers(np.arange(size) * (size + 1))
                tensor = self._add("Gather", tensor, indices, axis=len(rest))
                term = rest + letter
        return tensor, term

    def product(self, left: Operand, right: Operand, needed: str) -> Operand:
        """The product of two operands, summed over the letters that are not needed any more."""
        left = self._summed(left, needed + right[1])
        right = self._summed(right, needed + left[1])
        common = [letter for letter in left[1] if letter in right[1]]
        stacked = [letter for letter in common if letter in needed]
        inner = [letter for letter in common if letter not in needed]
        rows = [letter for letter in left[1] if letter not in common]
        columns = [letter for letter in right[1] if letter not in common]
        images = rows[:1] if stacked and left[1][0] in rows else []  # they stay in front
        rows = rows[len(images) :]
        stacked_left = [*images, *stacked]
        first = self._ordered(left, [*stacked_left, *rows, *inner])
        second = self._ordered(right, [*stacked, *inner, *columns])
        outer = rows if rows and not stacked else ["".join(rows)]
        first = self._reshape(first, [*stacked_left, *outer, "".join(inner)])
        second = self._reshape(second, [*stacked, "".join(inner), "".join(columns)])
        made = self._add("MatMul", first, second)
        letters = [*stacked_left, *rows, *columns]
        return self._reshape(made, letters), "".join(letters)

    def end(self, operand: Operand, result: str) -> list[Node]:
        """All nodes, the last one making the result of the Einsum."""
        tensor = self._ordered(self._summed(operand, result), result)
        if not self._nodes:
            return [Node(self._node.name, "Identity", (tensor,), self._node.outputs, {})]
        last = replace(self._nodes[-1], name=self._node.name, outputs=self._node.outputs)
        return [*self._nodes[:-1], last]

    def _summed(self, operand: Operand, needed: str) -> Operand:
        tensor, term = operand
        gone = [letter for letter in term if letter not in needed]
        if not gone:
            return operand
        kept = [letter for letter in term if letter in needed]
        tensor = self._reshape(self._ordered(operand, [*kept, *gone]), [*kept, "".join(gone)])
        ones = np.ones((self._size(gone), 1), np.float32)
        name = self._rewriting.add_weight(f"{self._node.name}.ones", ones)
        if not kept:
            tensor = self._reshape(tensor, ["", "".join(gone)])
        return self._reshape(self._add("MatMul", tensor, name), kept), "".join(kept)

    def _ordered(self, operand: Operand, letters: Sequence[str]) -> str:
        tensor, term = operand
        perm = [term.index(letter) for letter in letters]
        return tensor if perm == sorted(perm) else self._add("Transpose", tensor, perm=perm)

    def _reshape(self, tensor: str, dimensions: Sequence[str]) -> str:
        """The tensor with a dimension for each of these, of the product of its letters' sizes."""
        target = [-1 if None in map(self._sizes.get, d) else self._size(d) for d in dimensions]
        return self._add("Reshape", tensor, self._integers(np.array(target)))

    def _size(self, letters: Sequence[str]) -> int:
        sizes = [self._sizes[letter] for letter in letters]
        if None in sizes:
            raise InvalidModelError(f"{self._node.attributes['equation']} sums over the batch")
        return math.prod(size for size in sizes if size is not None)

    def _integers(self, values: np.ndarray) -> str:
        return self._rewriting.integers(self._node, "integers", values.tolist())

    def _add(self, op_type: str, *inputs: str, **attributes: object) -> str:
        tensor = self._rewriting.new_tensor(f"{self._node.outputs[0]}.{op_type.lower()}")
        name = self._rewriting.new_node(f"{self._node.name}.{op_type.lower()}")
        self._nodes.append(Node(name, op_type, inputs, (tensor,), dict(attributes)))
        return tensor

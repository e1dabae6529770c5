"""A whole network, operator by operator, each rounding once to float32."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Protocol

import numpy as np

from reference.operators import OPERATORS
from reference.rounding import calculating_in


class OperatorNode(Protocol):
    """What `evaluate` needs to know of a node; inputs that are absent are ""."""

    @property
    def name(self) -> str: ...
    @property
    def op_type(self) -> str: ...
    @property
    def inputs(self) -> Sequence[str]: ...
    @property
    def outputs(self) -> Sequence[str]: ...
    @property
    def attributes(self) -> Mapping[str, Any]: ...


def evaluate(
    nodes: Sequence[OperatorNode],
    weights: Mapping[str, np.ndarray],
    inputs: Mapping[str, np.ndarray],
    outputs: Iterable[str],
    around: Callable[[OperatorNode], AbstractContextManager[None]] = lambda node: nullcontext(),
    calculation: type[np.floating] = np.float64,
    bfloat16_factors: bool = False,
) -> dict[str, np.ndarray]:
    """The tensors called `outputs`, computed from `inputs` by `nodes` in their given order.

    Operators have the semantics of ONNX opset 21, calculate in float64 and round once, to
    float32; with float32 as `calculation` they are a plain backend, whose error is what float32
    itself does; with `bfloat16_factors` it is what bfloat16 does. Each runs inside the context
    manager that `around` gives for its node, by which a caller can take its time. A tensor is
    dropped after its last use. Raises NotImplementedError listing every operator that is not in
    `OPERATORS`.
    """
    unknown = [f"{node.name} ({node.op_type})" for node in nodes if node.op_type not in OPERATORS]
    if unknown:
        raise NotImplementedError(f"the reference has no operator for {', '.join(unknown)}")
    wanted = list(outputs)
    last_use = {name: i for i, node in enumerate(nodes) for name in node.inputs}
    tensors = dict(inputs)
    for index, node in enumerate(nodes):
        arguments = [
            None if not name else weights[name] if name in weights else tensors[name]
            for name in node.inputs
        ]
        # Infinities and NaNs are data here: they go through as IEEE 754 says.
        with np.errstate(all="ignore"), calculating_in(calculation, bfloat16_factors), around(node):
            tensors[node.outputs[0]] = OPERATORS[node.op_type](*arguments, **node.attributes)
        del arguments
        for name in set(node.inputs):
            if last_use[name] == index and name not in wanted:
                tensors.pop(name, None)
    return {name: weights[name] if name in weights else tensors[name] for name in wanted}

"""The attribute `activation` of a layer: the function that it applies to what it stores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from columnar_nn.expressions.expression import Call
from columnar_nn.kernels import NO_ACTIVATION, Activation
from columnar_nn.record import ValueRecord


class LayerActivation(ValueRecord):
    """A function of each element with its attributes, written as a call without arguments."""

    function: str
    attributes: Mapping[str, Any]
    kernel: Activation

    def __str__(self) -> str:
        given = ",".join(f"{name}={value}" for name, value in self.attributes.items())
        return f"{self.function}({given})" if given else self.function


def layer_activation(call: Call) -> Activation:
    """What the kernel of a layer's call applies."""
    given: LayerActivation | None = call.attributes.get("activation")
    return NO_ACTIVATION if given is None else given.kernel

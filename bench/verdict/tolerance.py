"""How far a backend in float32 may be from the float64 truth, tensor by tensor."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from bench.verdict.parity import Tolerance
from columnar_nn.errors import UsageError
from columnar_nn.model.graph import Graph
from columnar_nn.model.operators import SUMMING

UNIT = 2.0**-16
"""256 times float32's unit roundoff, 2^-24.

Measured on plain9, relative to the largest element of a tensor: direct convolution stays under
2.3e-6 and Winograd's F(6x6), the worst algorithm here, under 5.3e-6 after eight layers, which
may be 43e-6 off. Rounding to float16 (unit roundoff 2^-11) costs up to 490e-6, to bfloat16
3,900e-6: both are out.
"""


def depths(graph: Graph) -> dict[str, int]:
    """For each tensor, how many summing operators lie on the longest path that leads to it.

    What rounds matters, not what only moves or clips.
    """
    depth = {spec.name: 0 for spec in graph.inputs} | dict.fromkeys(graph.weights, 0)
    for node in graph.nodes:
        longest = max((depth[tensor] for tensor in node.inputs if tensor), default=0)
        depth.update(dict.fromkeys(node.outputs, longest + (node.op_type in SUMMING)))
    return depth


def default(largest: float, depth: int) -> Tolerance:
    """The tolerance of a tensor whose largest magnitude is `largest`, `depth` layers deep.

    Rounding errors of successive layers are as good as independent and add up like a random
    walk: atol = 2^-16 sqrt(depth) largest. rtol = 2^-16 lets the largest elements, whose last
    place is the coarsest, be as far off again.
    """
    atol = UNIT * math.sqrt(max(1, depth)) * largest
    return Tolerance(atol=float(f"{atol:.3g}"), rtol=float(f"{UNIT:.3g}"))


def parse_overrides(option: str, texts: Sequence[str], names: Iterable[str]) -> dict[str, float]:
    """Values of repeated "[name:]value" by tensor; one without a name goes for all others.

    Raises UsageError for a value that is no number of zero or more, or an unknown tensor.
    """
    known = list(names)
    general: dict[str, float] = {}
    special: dict[str, float] = {}
    for text in texts:
        name, _, number = text.rpartition(":")
        try:
            value = float(number)
        except ValueError:
            value = math.nan
        if not 0 <= value < math.inf:
            raise UsageError(f"{option} {text!r}: expected [name:]value such as 1e-4")
        if name and name not in known:
            raise UsageError(f"{option} {text!r}: no tensor {name!r}; it has {', '.join(known)}")
        if name:
            special[name] = value
        else:
            general = dict.fromkeys(known, value)
    return general | special

"""Operators alone, as they stand in networks of today: each a network of its own, and its inputs.

The shapes are those of a U-Net on images of 32 x 32, of a small vision transformer (197 tokens of
192 channels, three heads), of feature maps of 28 x 28 and of networks of sequences and volumes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from bench.data.dataset import Dataset
from bench.data.input_column import InputColumn
from bench.data.preparation import Preparation
from bench.data.source import Block, Source, scan
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph

SAMPLES = 32
"""Rows of a run: most inputs and outputs fit the cache, and calls into an engine cost little."""

SMALLEST = np.float32(1e-3)
"""Of a magnitude: no zero, whose logarithm is infinite."""

_OPSET = 21
_SEED = 21


@dataclass(frozen=True)
class Case:
    """An ONNX operator on rows of float32 of `shape`, with constants beside its computed input.

    A constant of a tuple is random numbers of that shape, None an input that is left out; the
    computed input is in `place` among them. `second` is a second computed one behind it: "x" again,
    or "transposed", as keys are of queries. Inputs are standard normal numbers, of a `positive`
    case their magnitudes, none below SMALLEST. Of a `shifted` case random numbers, one a column,
    are added to them first: where only ratios or places matter, dimmed inputs would give the same,
    and the verdict would have nothing to tell.
    """

    name: str
    op_type: str
    shape: tuple[int, ...]
    constants: Sequence[np.ndarray | tuple[int, ...] | None] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)
    positive: bool = False
    shifted: bool = False
    place: int = 0
    second: str = ""

    def graph(self) -> Graph:
        """The network of this operator, imported as a file would be."""
        random = np.random.default_rng(_SEED)
        weights = {
            f"constant{i}": random.standard_normal(given, dtype=np.float32)
            if isinstance(given, tuple)
            else given
            for i, given in enumerate(self.constants)
            if given is not None
        }
        names = [
            f"constant{i}" if f"constant{i}" in weights else "" for i in range(len(self.constants))
        ]
        nodes, x = [], "x"
        if self.shifted:
            weights["shift"] = random.standard_normal(self.shape[-1:], dtype=np.float32)
            nodes.append(helper.make_node("Add", ["x", "shift"], ["shifted"], "shift"))
            x = "shifted"
        if self.second == "transposed":
            rank = len(self.shape) + 1
            perm = [*range(rank - 2), rank - 1, rank - 2]
            nodes.append(helper.make_node("Transpose", [x], ["transposed"], "transpose", perm=perm))
        names[self.place : self.place] = [x, *([self.second] if self.second else [])]
        nodes.append(helper.make_node(self.op_type, names, ["y"], self.name, **self.attributes))
        model = helper.make_model(
            helper.make_graph(
                nodes,
                self.name,
                [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", *self.shape])],
                [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
                [numpy_helper.from_array(weight, name) for name, weight in weights.items()],
            ),
            opset_imports=[helper.make_opsetid("", _OPSET)],
        )
        model = onnx.shape_inference.infer_shapes(model)
        return zoo.from_bytes(model.SerializeToString())

    def dataset(self) -> Dataset:
        """SAMPLES rows of its inputs."""

        def read(shape: tuple[int, ...] = self.shape) -> Iterator[Block]:
            size = (SAMPLES, *shape)
            rows = np.random.default_rng(_SEED).standard_normal(size, dtype=np.float32)
            yield Block(np.maximum(np.abs(rows), SMALLEST) if self.positive else rows, None)

        name = "magnitudes of normal numbers" if self.positive else "normal numbers"
        source = Source("generated", (), scan(0, read()), self.shape, "float32", read)
        return Dataset(name, (InputColumn("image", source, self.shape, Preparation()),))


def _integers(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


_MAPS = (64, 28, 28)
_TOKENS, _HIDDEN = (197, 192), (197, 768)
_HEADS, _HEADS_FIRST = (197, 3, 64), (3, 197, 64)
_TWICE = np.array([1, 1, 2, 2], np.float32)
_TWO_BY_TWO = {"kernel_shape": [2, 2], "strides": [2, 2]}
_HALF = np.array(0.5, np.float32)
_EPSILON = {"epsilon": 1.0}
"""So large that dimmed inputs give other outputs, or the verdict would have nothing to tell."""


def _resize(mode: str) -> Case:
    return Case(f"resize_{mode}", "Resize", (64, 16, 16), (None, _TWICE), {"mode": mode})


def _conv(shape: tuple[int, ...], filters: int) -> Case:
    dimensions = len(shape) - 1
    weights = ((filters, shape[0], *[3] * dimensions), (filters,))
    return Case(f"conv_{dimensions}d", "Conv", shape, weights, {"pads": [1] * 2 * dimensions})


def _pool(kind: str, name: str, shape: tuple[int, ...]) -> Case:
    dimensions = len(shape) - 1
    window = {"kernel_shape": [2] * dimensions, "strides": [2] * dimensions}
    return Case(f"{name}_pool_{dimensions}d", f"{kind}Pool", shape, (), window)


def _of_elements(op_type: str, shape: tuple[int, ...] = _MAPS, positive: bool = False) -> Case:
    return Case(op_type.lower(), op_type, shape, positive=positive)


def _transpose(name: str, shape: tuple[int, ...], *perm: int) -> Case:
    return Case(name, "Transpose", shape, (), {"perm": perm})


CASES = (
    Case("up_conv_deep", "ConvTranspose", (128, 8, 8), ((128, 64, 2, 2), (64,)), _TWO_BY_TWO),
    Case("up_conv", "ConvTranspose", (64, 16, 16), ((64, 32, 2, 2), (32,)), _TWO_BY_TWO),
    _conv((64, 1024), 64),
    _conv((16, 16, 16, 16), 32),
    _resize("nearest"),
    _resize("linear"),
    _resize("cubic"),
    Case("depth_to_space", "DepthToSpace", _MAPS, (), {"blocksize": 2}),
    Case("space_to_depth", "SpaceToDepth", _MAPS, (), {"blocksize": 2}),
    Case("layer_norm", "LayerNormalization", _TOKENS, ((192,), (192,)), _EPSILON),
    Case("group_norm", "GroupNormalization", _MAPS, ((64,), (64,)), {"num_groups": 8, **_EPSILON}),
    Case("instance_norm", "InstanceNormalization", _MAPS, ((64,), (64,)), _EPSILON),
    Case("mean_variance", "MeanVarianceNormalization", _MAPS, (), {"axes": [2, 3]}, shifted=True),
    Case("lp_norm", "LpNormalization", _TOKENS, shifted=True),
    Case("softmax", "Softmax", (3, 197, 197), (), {"axis": -1}),
    Case("hardmax", "Hardmax", _TOKENS, shifted=True),
    _of_elements("Gelu", _HIDDEN),
    Case("gelu_tanh", "Gelu", _HIDDEN, (), {"approximate": "tanh"}),
    _of_elements("Mish"),
    _of_elements("HardSwish"),
    _of_elements("Sigmoid"),
    _of_elements("Softplus"),
    _of_elements("Exp"),
    _of_elements("Log", positive=True),
    _of_elements("Erf"),
    _of_elements("Abs"),
    _of_elements("Sqrt", positive=True),
    Case("pow", "Pow", _MAPS, (np.array(0.75, np.float32),), positive=True),
    Case("max", "Max", _MAPS, (_HALF,)),
    Case("min", "Min", _MAPS, (_HALF,)),
    Case("add", "Add", _TOKENS, second="x"),
    Case("bias", "Add", _TOKENS, ((192,),)),
    Case("layer_scale", "Mul", _TOKENS, ((192,),)),
    Case("where", "Where", (3, 64, 64), (np.tri(64, dtype=np.bool_), _HALF), place=1),
    Case("reduce_sum", "ReduceSum", _MAPS, (_integers(2, 3),)),
    Case("reduce_max", "ReduceMax", _MAPS, (_integers(2, 3),)),
    Case("reduce_mean", "ReduceMean", _TOKENS, (_integers(2),)),
    Case("reduce_l2", "ReduceL2", _MAPS, (_integers(1),)),
    Case("attention_scores", "MatMul", _HEADS_FIRST, second="transposed"),
    Case("token_matmul", "MatMul", _TOKENS, ((192, 576),)),
    _transpose("tokens", (192, 196), 0, 2, 1),
    _transpose("queries", _HEADS, 0, 2, 1, 3),
    _transpose("keys", _HEADS, 0, 2, 3, 1),
    Case("slice", "Slice", (197, 576), (_integers(192), _integers(384), _integers(2))),
    Case("concat", "Concat", _MAPS, (), {"axis": 1}, second="x"),
    Case("pad", "Pad", _MAPS, (_integers(0, 0, 1, 1, 0, 0, 1, 1),)),
    Case("gather", "Gather", _TOKENS, (np.arange(0, 197, 2),), {"axis": 1}),
    Case("tile", "Tile", (64, 14, 14), (_integers(1, 1, 2, 2),)),
    Case("expand", "Expand", (64, 1, 1), (_integers(1, 1, 28, 28),)),
    _pool("Max", "max", (64, 1024)),
    _pool("Average", "average", (64, 1024)),
    _pool("Max", "max", (16, 16, 16, 16)),
    _pool("Average", "average", (16, 16, 16, 16)),
)
"""In the order in which they are measured."""

"""The cases that every backend runs: small networks as data, each with its own tolerance.

To add a case: one `_operator(...)` line for one operator, or a function with `_Network` for
several. A backend that cannot run it needs an entry, with a reason, in backend_gaps.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from columnar_nn.model import onnx_io, zoo
from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.model.shapes import infer_shapes

NUM_IMAGES = 7
BATCH_SIZE = 3  # so that the last batch is ragged, and has one image


@dataclass(frozen=True)
class Case:
    """A graph with its images [7, ...], and how far outputs may be from the reference.

    `tolerance` is both rtol and, times the largest output, atol; 0 for operators that only
    move or choose elements.
    """

    name: str
    graph: Graph
    images: np.ndarray
    tolerance: float


class _Network:
    """Collects the nodes of a graph; weights are drawn from a generator seeded by its name."""

    def __init__(self, name: str, image: Sequence[int]) -> None:
        self.name = name
        self.random = np.random.default_rng(list(name.encode()))
        self.image = tuple(image)
        self.nodes: list[Node] = []
        self.weights: dict[str, np.ndarray] = {}

    def __call__(self, op_type: str, *inputs: str | np.ndarray | None, **attributes: Any) -> str:
        """Adds a node; arrays become weights, None is an absent input. The output's name."""
        output = f"{op_type.lower()}{len(self.nodes) + 1}"
        names = []
        for index, value in enumerate(inputs):
            if isinstance(value, np.ndarray):
                names.append(f"{output}.input{index}")
                self.weights[names[-1]] = value
            else:
                names.append(value or "")
        self.nodes.append(Node(output, op_type, tuple(names), (output,), attributes))
        return output

    def normal(self, *shape: int) -> np.ndarray:
        """Random weights, scaled so that a sum of products has a variance of about 1."""
        scale = np.sqrt(np.prod(shape[1:]) or 1.0)
        return (self.random.standard_normal(shape) / scale).astype(np.float32)

    def conv(self, x: str, channels: int, filters: int, kernel: int, **attributes: Any) -> str:
        """A square convolution with bias."""
        weights = self.normal(filters, channels, kernel, kernel)
        return self("Conv", x, weights, self.normal(filters), **attributes)

    def case(self, *outputs: str, tolerance: float, dtype: str = "float32") -> Case:
        """The graph as it would be loaded from its ONNX file, with random images."""
        inputs = (TensorSpec("image", (None, *self.image)),)
        last = outputs or (self.nodes[-1].outputs[0],)
        specs = tuple(TensorSpec(name, (None,)) for name in last)
        graph = Graph(self.name, tuple(self.nodes), inputs, specs, self.weights)
        canonical = onnx_io.from_proto(onnx_io.to_proto(graph), Path())
        shape = (NUM_IMAGES, *self.image)
        if dtype == "uint8":
            return Case(self.name, canonical, self.random.integers(0, 256, shape, "u1"), tolerance)
        images = self.random.standard_normal(shape, dtype=np.float32)
        return Case(self.name, canonical, images, tolerance)


def taps(graph: Graph) -> Graph:
    """The graph with the result of every node as an output, in order."""
    shapes = infer_shapes(graph)
    names = [node.outputs[0] for node in graph.nodes]
    return graph.with_outputs([TensorSpec(name, shapes[name]) for name in names])


SUMS = 2e-5
"""Tolerance where float32 products are summed; Winograd's rounding lies within it."""
CURVES = 4e-6
"""Where an engine approximates exp, tanh and such."""
FEW = 1e-6
"""Where a handful of float32 operations round."""
EXACT = 0.0


def _operator(
    name: str,
    op_type: str,
    image: Sequence[int],
    tolerance: float,
    *operands: np.ndarray | None,
    **attributes: Any,
) -> Case:
    network = _Network(name, image)
    network(op_type, "image", *operands, **attributes)
    return network.case(tolerance=tolerance)


def _conv(
    name: str, image: Sequence[int], filters: Sequence[int], bias: bool = True, **attributes: Any
) -> Case:
    network = _Network(f"conv_{name}", image)
    bias_weights = network.normal(filters[0]) if bias else None
    network("Conv", "image", network.normal(*filters), bias_weights, **attributes)
    return network.case(tolerance=SUMS)


def _ints(*values: int) -> np.ndarray:
    return np.array(values, np.int64)


def _floats(*shape: int) -> np.ndarray:
    """Fixed positive and negative values, none near zero."""
    values = np.random.default_rng(list(shape)).uniform(0.5, 2.0, shape)
    return (values * np.where(np.arange(values.size).reshape(shape) % 2, -1, 1)).astype(np.float32)


def _scalar(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def _convolutions() -> list[Case]:
    spread = {"dilations": [2, 2], "strides": [2, 2]}
    return [
        _conv("3x3", (3, 9, 11), (16, 3, 3, 3)),
        _conv("3x3_wide", (33, 12, 12), (40, 33, 3, 3)),
        _conv("1x1", (17, 5, 6), (9, 17, 1, 1)),
        _conv("one_filter", (20, 7, 7), (1, 20, 3, 3)),
        _conv("no_bias", (4, 8, 8), (5, 4, 3, 3), bias=False),
        _conv("5x5_pads", (3, 8, 9), (6, 3, 5, 5), pads=[2, 2, 2, 2]),
        _conv("asymmetric_pads", (3, 8, 9), (6, 3, 3, 3), pads=[1, 0, 2, 1]),
        _conv("oblong", (5, 9, 10), (7, 5, 1, 7), pads=[0, 3, 0, 3]),
        _conv("stride", (3, 15, 14), (8, 3, 3, 3), strides=[2, 2], pads=[1, 1, 1, 1]),
        _conv("7x7_stride", (3, 21, 21), (16, 3, 7, 7), strides=[2, 2], pads=[3, 3, 3, 3]),
        _conv("unequal_strides", (3, 11, 12), (4, 3, 3, 3), strides=[2, 1]),
        _conv("1x1_stride", (6, 9, 9), (8, 6, 1, 1), strides=[2, 2]),
        _conv("dilation", (4, 12, 12), (5, 4, 3, 3), dilations=[2, 3], pads=[2, 3, 2, 3]),
        _conv("dilation_stride", (4, 13, 13), (5, 4, 3, 3), dilations=[2, 2], strides=[2, 2]),
        _conv("groups", (6, 8, 8), (9, 2, 3, 3), group=3, pads=[1, 1, 1, 1]),
        _conv("depthwise", (18, 8, 8), (18, 1, 3, 3), group=18, pads=[1, 1, 1, 1]),
        _conv("depthwise_stride", (8, 9, 9), (16, 1, 3, 3), group=8, strides=[2, 2]),
        _conv("depthwise_dilation", (8, 9, 9), (8, 1, 3, 3), group=8, dilations=[2, 2]),
        _conv("depthwise_dilation_stride", (4, 9, 9), (4, 1, 3, 3), group=4, **spread),
        _conv("depthwise_unequal_strides", (4, 9, 9), (4, 1, 3, 3), group=4, strides=[1, 2]),
        _conv("same_upper", (3, 8, 7), (4, 3, 4, 4), auto_pad="SAME_UPPER", strides=[2, 2]),
        _conv("same_lower", (3, 8, 7), (4, 3, 4, 4), auto_pad="SAME_LOWER"),
        _conv("valid", (3, 8, 7), (4, 3, 3, 3), auto_pad="VALID", strides=[2, 2]),
        _conv("1d", (3, 20), (5, 3, 4), strides=[2], pads=[1, 2]),
        _conv("1d_groups", (6, 20), (4, 3, 3), group=2),
        _conv("one_channel_to_a_column", (1, 6, 4), (4, 1, 2, 3), strides=[1, 2]),
        _conv(
            "one_channel_to_a_column_pads",
            (1, 5, 3),
            (4, 1, 2, 4),
            strides=[1, 3],
            pads=[0, 1, 0, 2],
        ),
        _conv("3d", (2, 5, 6, 7), (3, 2, 2, 3, 3), pads=[0, 1, 1, 1, 1, 0]),
        _conv(
            "dilation_stride_3d", (2, 5, 6, 7), (3, 2, 2, 2, 3), dilations=[2] * 3, strides=[2] * 3
        ),
        _conv("unequal_dilations_3d", (2, 5, 6, 7), (3, 2, 2, 3, 3), dilations=[3, 2, 1]),
    ]


def _pools() -> list[Case]:
    image = (5, 9, 10)
    largest = {
        "2x2": {"kernel_shape": [2, 2], "strides": [2, 2]},
        "pads": {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]},
        "overlapping": {"kernel_shape": [3, 2]},
        "asymmetric_pads": {"kernel_shape": [3, 3], "strides": [2, 1], "pads": [0, 1, 2, 0]},
        "ceil_mode": {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        "ceil_mode_pads": {
            "kernel_shape": [3, 3],
            "strides": [2, 3],
            "pads": [1, 0, 1, 1],
            "ceil_mode": 1,
        },
        # the last window would start in the padding
        "ceil_mode_gaps": {"kernel_shape": [1, 1], "strides": [2, 3], "ceil_mode": 1},
        "dilation": {"kernel_shape": [2, 3], "dilations": [3, 2]},
        "dilation_stride": {"kernel_shape": [2, 2], "dilations": [2, 2], "strides": [2, 3]},
        "same_upper": {"kernel_shape": [2, 2], "strides": [2, 2], "auto_pad": "SAME_UPPER"},
    }
    means = {
        "2x2": {"kernel_shape": [2, 2], "strides": [2, 2]},
        "pads": {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
        "pads_counted": {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1], "count_include_pad": 1},
        "asymmetric_pads": {"kernel_shape": [3, 3], "strides": [2, 1], "pads": [0, 1, 2, 0]},
        "ceil_mode": {"kernel_shape": [3, 3], "strides": [2, 2], "ceil_mode": 1},
        "ceil_mode_pads_counted": {
            "kernel_shape": [3, 3],
            "strides": [2, 2],
            "ceil_mode": 1,
            "pads": [1, 1, 1, 1],
            "count_include_pad": 1,
        },
        "ceil_mode_gaps": {"kernel_shape": [1, 2], "strides": [2, 4], "ceil_mode": 1},
        "dilation": {"kernel_shape": [2, 3], "dilations": [3, 2]},
    }
    signal = {"kernel_shape": [3], "strides": [2], "pads": [1, 1]}
    volume = {"kernel_shape": [2, 3, 3], "strides": [2, 1, 2], "pads": [0, 1, 1, 1, 1, 0]}
    return [
        *(_operator(f"max_pool_{n}", "MaxPool", image, EXACT, **a) for n, a in largest.items()),
        *(_operator(f"average_pool_{n}", "AveragePool", image, FEW, **a) for n, a in means.items()),
        _operator("max_pool_1d", "MaxPool", (5, 12), EXACT, **signal),
        _operator("average_pool_1d", "AveragePool", (5, 12), FEW, **signal),
        _operator("max_pool_3d", "MaxPool", (2, 5, 6, 7), EXACT, **volume),
        _operator("average_pool_3d", "AveragePool", (2, 5, 6, 7), FEW, **volume),
        _operator("global_average_pool", "GlobalAveragePool", (19, 7, 5), FEW),
        _operator("global_average_pool_1d", "GlobalAveragePool", (3, 8), FEW),
    ]


def _elementwise() -> list[Case]:
    image = (5, 4, 6)
    positive = np.abs(_floats(5))
    statistics = (_floats(5), _floats(5), _floats(5), positive)
    channels = _floats(5, 1, 1)
    return [
        _operator("relu", "Relu", image, EXACT),
        _operator("relu_features", "Relu", (13,), EXACT),
        _operator("leaky_relu", "LeakyRelu", image, FEW, alpha=0.2),
        _operator("elu", "Elu", image, CURVES, alpha=0.7),
        _operator("selu", "Selu", image, CURVES),
        _operator("selu_constants", "Selu", image, CURVES, alpha=0.7, gamma=1.5),
        _operator("prelu_channels", "PRelu", image, FEW, channels),
        _operator("prelu_scalar", "PRelu", image, FEW, _floats(1)),
        _operator("prelu_last_axis", "PRelu", image, FEW, _floats(6)),
        _operator("prelu_last_axis_like_channels", "PRelu", (5, 4, 5), FEW, _floats(5)),
        _operator("clip", "Clip", image, EXACT, _scalar(-0.5), _scalar(0.75)),
        _operator("clip_below", "Clip", image, EXACT, _scalar(-0.5)),
        _operator("clip_above", "Clip", image, EXACT, None, _scalar(0.5)),
        _operator("sigmoid", "Sigmoid", image, CURVES),
        _operator("hard_sigmoid", "HardSigmoid", image, FEW, alpha=0.3, beta=0.4),
        _operator("hard_sigmoid_sixth", "HardSigmoid", image, FEW, alpha=1 / 6),
        _operator("hard_swish", "HardSwish", image, FEW),
        _operator("tanh", "Tanh", image, CURVES),
        _operator("softmax_channels", "Softmax", image, CURVES, axis=1),
        _operator("softmax_last_axis", "Softmax", image, CURVES, axis=-1),
        _operator("softmax_features", "Softmax", (10,), CURVES),
        _operator("log_softmax_channels", "LogSoftmax", image, CURVES, axis=1),
        _operator("log_softmax_features", "LogSoftmax", (10,), CURVES),
        _operator("batch_normalization", "BatchNormalization", image, SUMS, *statistics),
        _operator(
            "batch_normalization_epsilon",
            "BatchNormalization",
            (5, 7),
            SUMS,
            *statistics,
            epsilon=0.1,
        ),
        _operator("lrn", "LRN", (9, 4, 5), CURVES, size=5, alpha=0.5, beta=0.6, bias=2.0),
        _operator("lrn_even", "LRN", (9, 4, 5), CURVES, size=4, alpha=0.5),
        _operator("add_channels", "Add", image, FEW, channels),
        _operator("add_last_axis", "Add", image, FEW, _floats(6)),
        _operator("sub_scalar", "Sub", image, FEW, _scalar(0.3)),
        _operator("mul_channels", "Mul", image, FEW, channels),
        _operator("mul_image", "Mul", image, FEW, _floats(5, 4, 6)),
        _operator("div_rows", "Div", image, FEW, _floats(1, 4, 1)),
        _operator("dropout", "Dropout", image, EXACT),
        _operator("identity", "Identity", image, EXACT),
    ]


def _functions() -> list[Case]:
    """Functions of an element, several in a network, each an output."""
    elementary = _Network("functions_elementary", (5, 4, 6))
    positive = elementary("Abs", "image")
    computed = [
        *(elementary(op_type, "image") for op_type in ("Erf", "Exp", "Neg")),
        *(elementary(op_type, positive) for op_type in ("Log", "Sqrt")),
        elementary("Reciprocal", elementary("Add", positive, _scalar(0.5))),
    ]
    whole = _Network("functions_of_whole_numbers", (5, 4, 6))
    wider = whole("Mul", "image", _scalar(4.0))
    halves = whole("Mul", whole("Round", wider), _scalar(0.5))
    rounded = [whole(op_type, halves) for op_type in ("Floor", "Ceil", "Round", "Sign")]
    smooth = _Network("functions_activating", (5, 4, 6))
    forms = [smooth("Gelu", "image", approximate=form) for form in ("none", "tanh")]
    plain = [smooth(op_type, "image") for op_type in ("Mish", "Softplus", "Softsign")]
    more = [smooth(op_type, "image", alpha=0.3) for op_type in ("Celu", "ThresholdedRelu")]
    return [
        elementary.case(positive, *computed, tolerance=CURVES),
        whole.case(*rounded, tolerance=EXACT),
        smooth.case(*forms, *plain, *more, tolerance=CURVES),
    ]


def _choices() -> list[Case]:
    """Extremes, powers, comparisons and what is chosen by them, of tensors and of constants."""
    image, channels, row = (5, 4, 6), _floats(5, 1, 1), _floats(5, 4, 6)
    of_two = _Network("choices_of_extremes", image)
    other = of_two("Mul", "image", _scalar(-0.5))
    pooled = of_two("GlobalAveragePool", "image")
    extremes = [
        of_two("Max", "image", other, channels),
        of_two("Min", row, "image"),
        of_two("Max", pooled, "image"),
    ]
    powers = _Network("powers", image)
    positive = powers("Add", powers("Sigmoid", "image"), _scalar(0.5))
    raised = [
        *(powers("Pow", "image", _scalar(value)) for value in (2.0, 3.0)),
        powers("Pow", positive, _scalar(-1.5)),
        powers("Pow", positive, channels),
        powers("Pow", np.abs(channels), "image"),
        powers("Pow", positive, "image"),
        powers("Pow", "image", _ints(2)),
    ]
    masks = _Network("choices_by_masks", image)
    negative = masks("Less", "image", _scalar(0.0))
    small = masks("And", negative, masks("GreaterOrEqual", "image", _scalar(-1.0)))
    rounded = masks("Round", "image")
    same = masks("Equal", rounded, masks("Neg", rounded))
    either = masks("Or", masks("Greater", masks("Neg", "image"), channels), same)
    odd = (np.arange(120).reshape(1, 5, 4, 6) % 2).astype(bool)
    chosen = [
        masks("Where", small, "image", _scalar(0.0)),
        masks("Where", either, _floats(6), "image"),
        masks("Where", masks("Not", same), "image", rounded),
        masks("Where", odd, "image", _scalar(-1e9)),
        masks("Where", masks("LessOrEqual", row, "image"), _scalar(1.0), channels),
    ]
    return [
        of_two.case(*extremes, tolerance=FEW),
        powers.case(*raised, tolerance=CURVES),
        masks.case(*chosen, tolerance=EXACT),
    ]


def _reductions() -> list[Case]:
    """Of each several, over axes at the end, in the middle and apart, and places of extremes."""
    image = (6, 4, 5)
    sums = _Network("reductions_sums", image)
    summed = [
        sums("ReduceSum", "image", _ints(1), keepdims=0),
        sums("ReduceSum", "image", _ints(2, 3)),
        sums("ReduceMean", "image", _ints(1, -1)),
        sums("ReduceL1", "image", _ints(3), keepdims=0),
        sums("ReduceL2", "image", _ints(1)),
        sums("ReduceSumSquare", "image", _ints(1, 3), keepdims=0),
        sums("ReduceProd", sums("Tanh", "image"), _ints(-1, 2)),
        sums("ReduceL2", "image", noop_with_empty_axes=1),
        sums("LpNormalization", "image", axis=1),
        sums("LpNormalization", sums("Mul", "image", _scalar(1e-4)), axis=-1),
    ]
    chosen = _Network("reductions_chosen", image)
    greatest = [
        chosen("ReduceMax", "image", _ints(1)),
        chosen("ReduceMax", "image", _ints(2, 3), keepdims=0),
        chosen("ReduceMin", "image", _ints(-1, 1), keepdims=0),
        chosen("Hardmax", "image", axis=1),
        chosen("Hardmax", "image"),
    ]
    places = _Network("places_of_extremes", image)
    whole = places("Round", "image")
    found = [
        places(op_type, whole, axis=axis, keepdims=keepdims, select_last_index=last)
        for op_type, axis, keepdims, last in (
            ("ArgMax", 1, 1, 0),
            ("ArgMax", -1, 0, 1),
            ("ArgMin", 2, 0, 0),
            ("ArgMin", 1, 0, 1),
        )
    ]
    return [
        sums.case(*summed, tolerance=CURVES),
        chosen.case(*greatest, tolerance=EXACT),
        places.case(*found, tolerance=EXACT),
        _operator("lp_normalization_1", "LpNormalization", image, FEW, p=1),
    ]


def _matrices() -> list[Case]:
    names = iter(["gemm", "gemm_plain", "gemm_no_bias", "gemm_scalar_bias"])
    gemm, plain, no_bias, scalar = (_Network(next(names), (37,)) for _ in range(4))
    gemm("Gemm", "image", gemm.normal(10, 37), gemm.normal(10), transB=1)
    plain("Gemm", "image", plain.normal(37, 5), plain.normal(1, 5), alpha=0.5, beta=2.0)
    no_bias("Gemm", "image", no_bias.normal(37, 5))
    scalar("Gemm", "image", scalar.normal(5, 37), _floats(1), transB=1)
    ignored, scaled = _Network("gemm_ignored_addend", (37,)), _Network("gemm_zero_product", (37,))
    nothing = np.array([np.nan, np.inf, -np.inf, 1, 0], np.float32)
    ignored("Gemm", "image", ignored.normal(37, 5), nothing, beta=0.0)
    scaled("Gemm", "image", scaled.normal(37, 5), scaled.normal(5), alpha=0.0)
    product = _Network("mat_mul", (37,))
    product("MatMul", "image", product.normal(37, 6))
    vector = _Network("mat_mul_vector", (37,))
    vector("MatMul", vector("Relu", "image"), vector.normal(37, 1))
    stacked = _Network("mat_mul_stacked", (3, 4, 6))
    stacked("MatMul", "image", stacked.normal(6, 5))
    computed = _Network("mat_mul_of_two", (3, 4, 6))
    computed("MatMul", "image", computed("Transpose", "image", perm=[0, 1, 3, 2]))
    channels = _Network("mat_mul_add_channels", (3, 4, 6))
    channels("Add", channels("MatMul", "image", channels.normal(6, 5)), _floats(3, 1, 1))
    addend = _Network("gemm_computed_addend", (37,))
    features = addend("Gemm", "image", addend.normal(37, 5))
    addend("Gemm", "image", addend.normal(37, 5), addend("Relu", features), beta=0.5)
    gemms = (gemm, plain, no_bias, scalar, ignored, scaled, addend)
    made = (*gemms, product, vector, stacked, computed, channels)
    return [network.case(tolerance=SUMS) for network in made]


def _movement() -> list[Case]:
    image = (6, 4, 5)

    def pad(name: str, mode: str, *widths: int) -> Case:
        return _operator(f"pad_{name}", "Pad", image, EXACT, _ints(*widths), mode=mode)

    def slices(name: str, *operands: list[int]) -> Case:
        return _operator(f"slice_{name}", "Slice", image, EXACT, *(_ints(*o) for o in operands))

    spatial, channels = _ints(2, 3), _ints(1)
    gate = _Network("reduce_mean_1d_mul_channels", (5, 7))
    gate("Mul", gate("ReduceMean", "image", _ints(2)), _floats(5, 1))
    concat = _Network("concat_last_axis", image)
    concat("Concat", "image", concat("Relu", "image"), axis=3)
    return [
        gate.case(tolerance=FEW),
        concat.case(tolerance=EXACT),
        _operator("flatten", "Flatten", image, EXACT),
        _operator("reshape", "Reshape", image, EXACT, _ints(0, 3, -1, 5)),
        _operator("transpose", "Transpose", image, EXACT, perm=[0, 2, 3, 1]),
        _operator("transpose_features", "Transpose", (6, 4), EXACT, perm=[0, 2, 1]),
        _operator("squeeze", "Squeeze", (6, 1, 5), EXACT, _ints(2)),
        _operator("unsqueeze", "Unsqueeze", (6, 5), EXACT, _ints(1, 4)),
        pad("constant", "constant", 0, 1, 0, 2, 0, 0, 3, 1),
        pad("reflect", "reflect", 0, 0, 2, 1, 0, 0, 1, 3),
        pad("edge", "edge", 0, 2, 1, 0, 0, 0, 1, 2),
        pad("wrap", "wrap", 0, 0, 2, 1, 0, 0, 1, 3),
        pad("crop", "constant", 0, -1, 0, 2, 0, -2, -1, 0),
        slices("channels", [1], [5], [1]),
        slices("steps", [0, 1], [4, 5], [2, 3], [2, 3]),
        slices("backward", [-1, 3], [-7, 0], [1, 2], [-1, -2]),
        _operator("reduce_mean_spatial", "ReduceMean", image, FEW, spatial),
        _operator("reduce_mean_dropped", "ReduceMean", image, FEW, spatial, keepdims=0),
        _operator("reduce_mean_channels", "ReduceMean", image, FEW, channels, keepdims=0),
    ]


def _normalizations() -> Case:
    """Every operator that normalises by the tensor's own statistics, of one image."""
    network = _Network("normalizations", (6, 4, 5))
    channels = (_floats(6), -_floats(6))
    outputs = [
        network("InstanceNormalization", "image", *channels, epsilon=0.01),
        network("GroupNormalization", "image", *channels, num_groups=3),
        network("LayerNormalization", "image", _floats(5), _floats(4, 5), axis=2),
        network("LayerNormalization", "image", _floats(5)),
        network("MeanVarianceNormalization", "image", axes=[1, 3]),
    ]
    return network.case(*outputs, tolerance=SUMS)


def _moved_by_constants() -> Case:
    """Elements repeated and picked."""
    network = _Network("moved_by_constants", (6, 4, 1))
    outputs = [
        network("Expand", "image", _ints(1, 1, 5)),
        network("Tile", "image", _ints(1, 2, 1, 3)),
        network("Tile", network("Gather", "image", _ints(4), axis=1), _ints(1, 3, 2, 1)),
        network("Gather", "image", _ints(3, -1, 0, 3), axis=2),
        network("Gather", "image", np.array([[0, 5], [2, -2]]), axis=1),
        network("Gather", "image", np.array(-2), axis=1),
    ]
    return network.case(*outputs, tolerance=EXACT)


def _rows_of_one_number() -> list[Case]:
    """Rows without a dimension, as mean(dim=1) or squeeze(-1) leave them, and one place each."""
    network = _Network("rows_of_one_number", (6, 4))
    mean = network("ReduceMean", "image", _ints(1, 2), keepdims=0)
    flat = network("Reshape", "image", _ints(0, 24))
    picked = network("Gather", flat, np.array(3), axis=1)
    summed = network("MatMul", flat, network.normal(24))
    outputs = [
        network("Add", mean, _scalar(0.5)),
        network("Div", picked, network("Exp", summed)),
        network("Clip", network("PRelu", summed, _floats_of(0.3)), _scalar(-0.5), _scalar(0.5)),
        network("Where", network("Greater", mean, picked), mean, _scalar(2.0)),
        network("Mul", network("Unsqueeze", mean, _ints(1)), flat),
    ]
    places = _Network("place_of_an_extreme", (6,))
    place = places("ArgMax", places("Round", "image"), axis=1, keepdims=0)
    return [network.case(*outputs, tolerance=SUMS), places.case(place, tolerance=EXACT)]


def _resized() -> Case:
    """Images resized in every mode, some as the frameworks do it and some as none does."""
    network = _Network("resized", (3, 6, 7))
    half, twice, spatial = _floats_of(0.5, 0.75), _floats_of(2, 2), [2, 3]

    def resized(mode: str, coordinates: str, **attributes: Any) -> str:
        attributes = {"mode": mode, "coordinate_transformation_mode": coordinates, **attributes}
        return network("Resize", "image", None, twice, axes=spatial, **attributes)

    outputs = [
        resized("nearest", "asymmetric", nearest_mode="floor"),
        resized("nearest", "half_pixel"),
        resized("linear", "half_pixel"),
        resized("linear", "align_corners"),
        resized("linear", "asymmetric"),
        resized("linear", "pytorch_half_pixel"),
        resized("cubic", "half_pixel", cubic_coeff_a=-0.5),
        network("Resize", "image", None, half, axes=spatial, nearest_mode="ceil"),
        network("Resize", "image", None, None, _ints(9, 5), axes=spatial, mode="linear"),
    ]
    return network.case(*outputs, tolerance=CURVES)


def _resized_otherwise() -> list[Case]:
    """Modes and axes that not every backend has."""
    crop = {"coordinate_transformation_mode": "tf_crop_and_resize", "extrapolation_value": 0.5}
    region, spatial = _floats_of(0.2, -0.1, 0.9, 1.2), {"axes": [2, 3], "mode": "linear"}
    symmetric = {"coordinate_transformation_mode": "half_pixel_symmetric", "mode": "linear"}

    def resized(name: str, *operands: np.ndarray | None, **attributes: Any) -> Case:
        name, image = f"resized_{name}", (3, 6, 7)
        return _operator(name, "Resize", image, CURVES, *operands, **attributes)

    return [
        resized("crop", region, None, _ints(5, 9), **crop, **spatial),
        resized("symmetric", None, _floats_of(0.6, 1.7), axes=[2, 3], **symmetric),
        resized("antialias", None, _floats_of(0.5, 0.75), **spatial, antialias=1),
        resized("inside", None, _floats_of(2, 1.5), axes=[2, 3], mode="cubic", exclude_outside=1),
        resized(
            "within", None, None, _ints(5, 9), **spatial, keep_aspect_ratio_policy="not_larger"
        ),
        resized("channels", None, None, _ints(5, 4), axes=[3, 1], mode="linear"),
        _operator(
            "resized_1d", "Resize", (3, 7), CURVES, None, _floats_of(1.5), axes=[2], mode="linear"
        ),
        _operator(
            "resized_3d", "Resize", (2, 3, 4, 5), EXACT, None, _floats_of(2, 2, 0.5), axes=[2, 3, 4]
        ),
    ]


def _attention() -> Case:
    """A block of a transformer: two heads, whose queries, keys and values are one product."""
    network = _Network("network_attention", (5, 6))
    x = network("LayerNormalization", "image", _floats(6), _floats(6))
    apart = network("Reshape", network("MatMul", x, network.normal(6, 18)), _ints(0, 5, 3, 2, 3))
    heads = network("Transpose", apart, perm=[2, 0, 3, 1, 4])
    query, key, value = (network("Gather", heads, np.array(i), axis=0) for i in range(3))
    scores = network("MatMul", query, network("Transpose", key, perm=[0, 1, 3, 2]))
    weights = network("Softmax", network("Mul", scores, _scalar(3**-0.5)), axis=-1)
    mixed = network("Transpose", network("MatMul", weights, value), perm=[0, 2, 1, 3])
    joined = network("Reshape", mixed, _ints(0, 5, 6))
    network("Add", network("MatMul", joined, network.normal(6, 6)), "image")
    return network.case(tolerance=SUMS)


def _floats_of(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def _transposed_convolutions() -> Case:
    """Every attribute of ConvTranspose, of images."""
    network = _Network("transposed_convolutions", (4, 5, 6))

    def transposed(filters: int, *kernel: int, **attributes: Any) -> str:
        weights, bias = network.normal(4, filters, *kernel), None
        if "group" in attributes:
            bias = network.normal(filters * attributes["group"])
        return network("ConvTranspose", "image", weights, bias, **attributes)

    outputs = [
        transposed(20, 2, 2, strides=[2, 2], group=1),
        transposed(3, 3, 3, strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1]),
        transposed(3, 2, 3, strides=[3, 1], pads=[0, 1, 2, 0], output_padding=[2, 0], group=1),
        transposed(2, 3, 2, dilations=[2, 3], strides=[1, 2]),
        transposed(2, 3, 3, auto_pad="SAME_UPPER", strides=[2, 2], group=1),
        transposed(2, 3, 3, auto_pad="SAME_LOWER", strides=[2, 1]),
        transposed(2, 2, 2, output_shape=[10, 13], strides=[2, 2], group=1),
        transposed(2, 3, 3, auto_pad="VALID"),
    ]
    return network.case(*outputs, tolerance=SUMS)


def _transposed(name: str, image: Sequence[int], *kernel: int, **attributes: Any) -> Case:
    network = _Network(f"transposed_convolution_{name}", image)
    weights = network.normal(image[0], 3, *kernel)
    bias = network.normal(3 * attributes.get("group", 1))
    network("ConvTranspose", "image", weights, bias, **attributes)
    return network.case(tolerance=SUMS)


def _quantized() -> Case:
    """Integers of both types, one scale and one a channel; many values lie between two of them."""
    edges = {
        "QuantizeLinear": ["image one zero > a", "image each zeros > b"],
        "MaxPool": ["a > c"],
        "DequantizeLinear": ["c one zero > d", "b each zeros > e"],
        "Concat": ["d e > f"],
    }
    attributes: dict[str, dict[str, Any]] = {
        "MaxPool": {"kernel_shape": [3, 3], "pads": [1, 1, 1, 1]},
        "Concat": {"axis": 1},
    }
    nodes = [
        onnx.helper.make_node(
            op_type, *(names.split() for names in edge.split(">")), **attributes.get(op_type, {})
        )
        for op_type, of_type in edges.items()
        for edge in of_type
    ]
    stored = {
        "one": _scalar(0.25),
        "zero": np.array(3, np.uint8),
        "each": _floats_of(0.25, 0.5, 1.0, 2.0),
        "zeros": np.array([0, -7, 5, 0], np.int8),
    }
    weights = [onnx.numpy_helper.from_array(array, name) for name, array in stored.items()]
    image, made = (
        onnx.helper.make_tensor_value_info(name, 1, ["n", channels, 6, 5])
        for name, channels in (("image", 4), ("f", 8))
    )
    graph = onnx.helper.make_graph(nodes, "quantized", [image], [made], weights)
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)])
    eighths = np.random.default_rng(6).integers(-600, 600, (NUM_IMAGES, 4, 6, 5))
    images = (eighths / 8).astype(np.float32)
    return Case("quantized", onnx_io.from_proto(model, Path()), images, EXACT)


def _residual() -> Case:
    """Two blocks of convolution, batch normalisation and ReLU with an edge around each."""
    network = _Network("network_residual", (3, 12, 12))
    same = {"pads": [1, 1, 1, 1]}
    x = network("Relu", network.conv("image", 3, 16, 3, **same))
    for channels, filters, stride in ((16, 16, 1), (16, 24, 2)):
        y = network.conv(x, channels, filters, 3, strides=[stride, stride], **same)
        variance = np.abs(network.normal(filters)) + np.float32(0.5)
        parameters = (network.normal(filters), network.normal(filters), network.normal(filters))
        y = network("Relu", network("BatchNormalization", y, *parameters, variance))
        y = network.conv(y, filters, filters, 3, **same)
        if stride == 2:
            x = network.conv(x, channels, filters, 1, strides=[2, 2])
        x = network("Relu", network("Add", y, x))
    features = network("Flatten", network("GlobalAveragePool", x))
    network("Gemm", features, network.normal(10, 24), network.normal(10), transB=1)
    return network.case(tolerance=SUMS, dtype="uint8")


def _branches() -> Case:
    """Pooled branches joined along the channels; the image's features leave it as well."""
    network = _Network("network_branches", (4, 10, 10))
    left = network("Relu", network.conv("image", 4, 8, 1))
    right = network.conv("image", 4, 5, 3, pads=[1, 1, 1, 1])
    pooled = network("MaxPool", "image", kernel_shape=[3, 3], pads=[1, 1, 1, 1])
    joined = network("Concat", left, right, pooled, axis=1)
    logits = network.conv(joined, 17, 6, 1)
    means = network("ReduceMean", logits, _ints(2, 3), keepdims=0)
    network("Softmax", means)
    return network.case(network.nodes[-1].outputs[0], joined, tolerance=SUMS)


def _mobile() -> Case:
    """Depthwise and pointwise convolutions, a squeeze-and-excitation gate, a channel shuffle."""
    network = _Network("network_mobile", (8, 8, 8))
    six = (_scalar(0.0), _scalar(6.0))
    depthwise = network.conv("image", 1, 8, 3, group=8, pads=[1, 1, 1, 1])
    x = network("Clip", depthwise, *six)
    gate = network.conv(network("GlobalAveragePool", x), 8, 8, 1)
    x = network("Mul", x, network("HardSigmoid", gate))
    x = network("HardSwish", network.conv(x, 8, 12, 1))
    x = network("Reshape", x, _ints(0, 3, 4, 8, 8))
    x = network("Reshape", network("Transpose", x, perm=[0, 2, 1, 3, 4]), _ints(0, 12, 8, 8))
    features = network("Flatten", x)
    network("MatMul", features, network.normal(768, 4))
    return network.case(tolerance=SUMS)


def _joined() -> Case:
    """A dilated pool after a convolution; a dense layer read by its normalisation and beside it."""
    network = _Network("network_joined", (3, 9, 9))
    x = network.conv("image", 3, 8, 3)
    x = network("MaxPool", x, kernel_shape=[2, 2], dilations=[2, 3], strides=[2, 1])
    weights, bias = network.normal(6, 96), network.normal(6)
    features = network("Gemm", network("Flatten", x), weights, bias, transB=1)
    statistics = (_floats(6), _floats(6), _floats(6), np.abs(_floats(6)))
    network("Concat", network("BatchNormalization", features, *statistics), features, axis=1)
    return network.case(tolerance=SUMS)


def plain(name: str) -> Case:
    """Convolutions and ReLUs, then a dense layer, as plain9 in small; weights depend on `name`."""
    network = _Network(name, (3, 12, 12))
    x = network("Relu", network.conv("image", 3, 16, 3))
    x = network("Relu", network.conv(x, 16, 16, 3))
    x = network("Relu", network.conv(x, 16, 1, 3))
    network("Gemm", network("Flatten", x), network.normal(10, 36), network.normal(10), transB=1)
    return network.case(tolerance=SUMS, dtype="uint8")


def _plain9() -> Case:
    images = np.random.default_rng(9).integers(0, 256, (NUM_IMAGES, 3, 32, 32), "u1")
    return Case("plain9", zoo.build("plain9"), images, SUMS)


PLAIN = plain("network_plain")
NETWORKS = [PLAIN, _residual(), _branches(), _mobile(), _joined()]
"""These run in every configuration of a backend, the others in its default one."""
CASES = [
    *NETWORKS,
    _plain9(),
    *_convolutions(),
    *_pools(),
    *_elementwise(),
    *_functions(),
    *_choices(),
    *_reductions(),
    *_matrices(),
    *_movement(),
    _normalizations(),
    _moved_by_constants(),
    _attention(),
    _resized(),
    *_rows_of_one_number(),
    *_resized_otherwise(),
    _quantized(),
    _transposed_convolutions(),
    _transposed("groups", (4, 5, 6), 4, 4, strides=[2, 2], pads=[1, 1, 1, 1], group=2),
    _transposed("1d", (4, 7), 3, strides=[2], pads=[1, 0]),
    _transposed("3d", (2, 3, 4, 3), 3, 2, 3, strides=[2, 2, 1], pads=[1, 0, 1, 0, 0, 1]),
    _transposed("of_one_pixel", (4, 1, 1), 3, 3, strides=[2, 2], pads=[2, 2, 0, 0]),
]

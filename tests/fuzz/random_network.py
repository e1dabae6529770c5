"""Random small networks as ONNX models: every operator that the import knows, in the forms of
opsets 7 to 21, with the images to run them on.

To add an operator: a function that takes the Writer and a tensor and returns the tensor it made,
and a line in OPERATORS. A form that ONNX refuses is drawn again.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from fuzz.local_functions import with_function
from onnx import TensorProto, helper, numpy_helper, shape_inference

from columnar_nn.model.operators import OPERATORS as TABLE
from columnar_nn.model.operators import REDUCTIONS, UNARY

OPSETS = range(7, 22)
MOST_NODES = 8
KEEP_SHAPE = frozenset({"GroupNormalization", "MeanVarianceNormalization"})
"""Operators that ONNX defines as functions, of which it infers no shape."""

MOST_ELEMENTS = 4096
"""Of one image in any tensor."""
MOST_IMAGES = 17
MOST_PRODUCTS = 2
_DRAWS = 30
"""How often a network is given another node in place of one that did not fit."""


@dataclass(frozen=True)
class Sample:
    """A model with one input, and images for it: float32, or uint8 pixels.

    `plain` is the same network without local functions.
    """

    model: onnx.ModelProto
    images: np.ndarray
    plain: onnx.ModelProto

    def pixels(self) -> np.ndarray:
        """The images as the file takes them."""
        images = self.images
        return images / np.float32(255) if images.dtype == np.uint8 else images


class DoesNotFitError(Exception):
    """An operator cannot take the tensor, or ONNX refuses the node."""


@dataclass
class Writer:
    """A model being written; `shapes` are those of tensors that have the batch as first axis."""

    random: np.random.Generator
    opset: int
    num_images: int
    fixed_batch: bool
    most_elements: int = MOST_ELEMENTS
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    initializers: list[onnx.TensorProto] = field(default_factory=list)
    shapes: dict[str, tuple[int, ...]] = field(default_factory=dict)
    _types: dict[str, onnx.TypeProto] = field(default_factory=dict)
    values: dict[str, onnx.TensorProto] = field(default_factory=dict)
    _num_names: int = 0
    _num_products: int = 0

    def integer(self, low: int, high: int) -> int:
        """Between `low` and `high`, both included."""
        return int(self.random.integers(low, high + 1))

    def integers(self, count: int, low: int, high: int) -> list[int]:
        return [self.integer(low, high) for _ in range(count)]

    def chance(self, probability: float) -> bool:
        return bool(self.random.random() < probability)

    def choice(self, options: Sequence[Any]) -> Any:
        return options[self.integer(0, len(options) - 1)]

    def normal(self, *shape: int) -> np.ndarray:
        """Weights whose products with as many values of variance 1 sum up to variance 1."""
        scale = math.sqrt(math.prod(shape[1:]) or 1)
        return (self.random.standard_normal(shape) / scale).astype(np.float32)

    def add_input(self, name: str, shape: tuple[int, ...]) -> None:
        self.shapes[name] = shape
        self._types[name] = helper.make_tensor_type_proto(TensorProto.FLOAT, shape)

    def name(self) -> str:
        """A new tensor's name: a number, as exporters give, or one that looks like another's."""
        self._num_names += 1
        return f"{self._num_names}{self.choice(['', '', '.1', '_', '.shape', '/x'])}"

    def constant(self, array: np.ndarray) -> str:
        """A weight or a list of integers: stored, made by a node, or computed by nodes."""
        name = self.name()
        tensor = numpy_helper.from_array(array, name)
        if self.chance(0.6):
            self.initializers.append(tensor)
        elif array.size and self.chance(0.3):
            op_type, inputs, attributes = self._computed(array)
            self.nodes.append(helper.make_node(op_type, inputs, [name], **attributes))
        else:
            self.nodes.append(helper.make_node("Constant", [], [name], **self._value(tensor)))
        self._types[name] = helper.make_tensor_type_proto(tensor.data_type, array.shape)
        self.values[name] = tensor
        return name

    def _value(self, tensor: onnx.TensorProto) -> dict[str, Any]:
        """The attribute of a Constant node."""
        kind = {TensorProto.INT64: "int", TensorProto.FLOAT: "float"}.get(tensor.data_type)
        listable = kind and len(tensor.dims) <= 1 and 0 not in tensor.dims
        if not listable or self.opset < 12 or self.chance(0.5):
            return {"value": tensor}
        value = numpy_helper.to_array(tensor).tolist()
        return {f"value_{kind}s" if tensor.dims else f"value_{kind}": value}

    def _computed(self, array: np.ndarray) -> tuple[str, list[str], dict[str, Any]]:
        """A node that computes a constant, which has elements, from others, exactly."""
        kinds = ["Identity", "Reshape", "Transpose"]
        if (array == array.flat[0]).all() and self.opset >= 9:
            kinds += ["ConstantOfShape"] * 3
        if array.dtype == np.float32:
            kinds += ["Cast", "Mul"] + ["Relu"] * bool((array >= 0).all())
        kind = self.choice(kinds)
        if kind == "Reshape":
            return kind, [self.constant(array.reshape(-1)), self.ints(array.shape)], {}
        if kind == "Transpose":
            return kind, [self.constant(array.T)], {}
        if kind == "ConstantOfShape":
            value = numpy_helper.from_array(array.reshape(-1)[:1])
            return kind, [self.ints(array.shape)], {"value": value}
        if kind == "Cast":
            return kind, [self.constant(array.astype(np.float64))], {"to": TensorProto.FLOAT}
        if kind == "Mul":
            return kind, [self.constant(array / 2), self.constant(np.array(2, np.float32))], {}
        return kind, [self.constant(array)], {}

    def ints(self, values: Sequence[int]) -> str:
        return self.constant(np.array(values, np.int64))

    def node(self, op_type: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Adds a node; the name of its first output. Raises DoesNotFitError."""
        names = [self.name() for _ in range(outputs)]
        label = "" if self.chance(0.3) else f"{op_type}_{len(self.nodes)}"
        node = helper.make_node(op_type, inputs, names, label, **attributes)
        given = {name: self._types[name] for name in inputs if name}
        values = {name: self.values[name] for name in inputs if name in self.values}
        try:
            types = shape_inference.infer_node_outputs(
                onnx.defs.get_schema(op_type, self.opset), node, given, values,
                opset_imports=[helper.make_opsetid("", self.opset)],
            )  # fmt: skip
        except (shape_inference.InferenceError, onnx.defs.SchemaError) as error:
            raise DoesNotFitError(str(error)) from None
        if op_type in KEEP_SHAPE:
            types = {names[0]: self._types[inputs[0]]}
        self._types.update(types)
        self.nodes.append(node)
        for name in names:
            if name in types and types[name].tensor_type.elem_type == TensorProto.FLOAT:
                dims = types[name].tensor_type.shape.dim
                shape = tuple(dim.dim_value for dim in dims)
                if not shape or shape[0] != self.num_images or len(shape) < 2 or min(shape) < 1:
                    raise DoesNotFitError(f"{op_type} gives {shape}")
                if math.prod(shape[1:]) > self.most_elements:
                    raise DoesNotFitError("too large")
                self.shapes[name] = shape
        return names[0]

    def parameters(self, first_opset: int, name: str, values: Sequence[int]) -> dict[str, Any]:
        """A list that is an attribute before `first_opset`; see `inputs`, its counterpart."""
        return {} if self.opset >= first_opset else {name: list(values)}

    def inputs(self, first_opset: int, values: Sequence[int]) -> list[str]:
        """A list that is an input from `first_opset` on."""
        return [self.ints(values)] if self.opset >= first_opset else []

    def spatial(self, x: str) -> tuple[int, ...]:
        """The image's dimensions; raises DoesNotFitError for a tensor without any."""
        if len(self.shapes[x]) < 3:
            raise DoesNotFitError("no image")
        return self.shapes[x][2:]

    def axis(self, x: str) -> int:
        """Any but the batch's, counted from either end."""
        rank = len(self.shapes[x])
        axis = self.integer(1, rank - 1)
        return axis - rank if self.chance(0.3) and self.opset >= 11 else axis

    def multiply(self) -> None:
        """Allows few products of computed tensors: many reach infinity, by one path or another."""
        self._num_products += 1
        if self._num_products > MOST_PRODUCTS:
            raise DoesNotFitError("too many products")

    def other(self, x: str) -> str:
        """A tensor of the same shape, or the tensor itself."""
        return self.choice([t for t, shape in self.shapes.items() if shape == self.shapes[x]])


def _window(w: Writer, x: str, kernel: Sequence[int], dilates: bool = True) -> dict[str, Any]:
    """Attributes of a sliding window that fits."""
    sizes = w.spatial(x)
    strides = [w.choice([1, 1, 2, 3]) for _ in sizes]
    dilations = [w.choice([1, 1, 1, 2, 3]) if dilates else 1 for _ in sizes]
    attributes: dict[str, Any] = {}
    if w.chance(0.6) or max(strides) > 1:
        attributes["strides"] = strides
    if max(dilations) > 1:
        attributes["dilations"] = dilations
    extents = [d * (k - 1) + 1 for d, k in zip(dilations, kernel, strict=True)]
    kind = w.random.random()
    if kind < 0.2:
        attributes["auto_pad"] = w.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])
    elif kind < 0.7:
        attributes["pads"] = [w.integer(0, max(k - 1, 0)) for k in [*kernel, *kernel]]
    pads = attributes.get("pads", [0] * 2 * len(sizes))
    same = attributes.get("auto_pad", "").startswith("SAME")
    for size, extent, before, after in zip(sizes, extents, pads, pads[len(sizes) :], strict=False):
        if not same and size + before + after < extent:
            raise DoesNotFitError("window")
    if same and max(dilations) > 1:
        raise DoesNotFitError("ONNX Runtime has no such window")
    return attributes


def conv(w: Writer, x: str) -> str:
    sizes, channels = w.spatial(x), w.shapes[x][1]
    group = w.choice([g for g in range(1, channels + 1) if channels % g == 0])
    group = group if w.chance(0.4) else 1
    filters = group * w.integer(1, max(1, 20 // group))
    kernel = [w.choice([3] if w.chance(0.5) else [1, 2, 3, 4, 5]) for _ in sizes]
    inputs = [x, w.constant(w.normal(filters, channels // group, *kernel))]
    if w.chance(0.7):
        inputs.append(w.constant(w.normal(filters)))
    attributes = _window(w, x, kernel)
    if group > 1:
        attributes["group"] = group
    if w.chance(0.5):
        attributes["kernel_shape"] = kernel
    return w.node("Conv", *inputs, **attributes)


def _pool(w: Writer, x: str, op_type: str, dilation_opset: int, **more: Any) -> str:
    kernel = [w.integer(1, 4) for _ in w.spatial(x)]
    attributes = _window(w, x, kernel, dilates=w.opset >= dilation_opset and w.chance(0.5))
    if w.opset >= 10 and w.chance(0.4):
        attributes["ceil_mode"] = 1
    if min(map(int.__sub__, w.spatial(x), attributes.get("dilations", kernel))) < 0:
        raise DoesNotFitError("a window may see nothing but padding")
    if attributes.get("auto_pad", "").startswith("SAME"):
        # ONNX Runtime refuses windows with gaps between them: they would need negative pads
        kernel = [max(k, s) for k, s in zip(kernel, attributes.get("strides", kernel), strict=True)]
    made = w.node(op_type, x, kernel_shape=kernel, **attributes, **more)
    for size, count, before, stride in zip(
        w.spatial(x),
        w.spatial(made),
        attributes.get("pads", [0] * len(kernel)),
        attributes.get("strides", [1] * len(kernel)),
        strict=False,
    ):
        if "ceil_mode" in attributes and (count - 1) * stride >= size + before:
            # ONNX Runtime's kernel drops a last window that starts in the padding, as the
            # operator's text says; its shape inference, which is onnx's, does not.
            raise DoesNotFitError("ONNX Runtime contradicts itself")
    return made


def max_pool(w: Writer, x: str) -> str:
    outputs = 1 + (w.opset >= 8 and w.chance(0.2))  # the indices, which nothing reads
    return _pool(w, x, "MaxPool", 10, outputs=outputs)


def average_pool(w: Writer, x: str) -> str:
    more = {"count_include_pad": w.integer(0, 1)} if w.chance(0.5) else {}
    return _pool(w, x, "AveragePool", 19, **more)


def global_pool(w: Writer, x: str) -> str:
    w.spatial(x)
    return w.node(w.choice(["GlobalAveragePool", "GlobalMaxPool"]), x)


JUMPS = frozenset(
    {"And", "ArgMax", "ArgMin", "Ceil", "Equal", "Floor", "Greater", "GreaterOrEqual", "Hardmax"}
    | {"Less", "LessOrEqual", "Not", "Or", "Round", "Sign", "ThresholdedRelu", "Where"}
)
"""Functions that jump, by which rounding before them would say nothing of an engine: not drawn."""
POSITIVE = ("Exp", "Log", "Reciprocal", "Sqrt")
"""Functions that are not defined everywhere, or grow without bounds: see `positive`."""
TAME = sorted({*UNARY, "Gelu"} - JUMPS.union(POSITIVE))


def unary(w: Writer, x: str) -> str:
    """A function of each element, some of its parameters given."""
    op_type = w.choice(["Relu", "Relu", "Identity", *TAME, *(["Gelu"] * 2 * (w.opset >= 20))])
    if op_type == "Gelu":
        return w.node(op_type, x, approximate=w.choice(["none", "tanh"]))
    names = [name for name in TABLE[op_type].defaults if w.chance(0.7)]
    values = {name: round(float(w.random.uniform(0.05, 0.9)), 3) for name in names}
    return w.node(op_type, x, **values)


def positive(w: Writer, x: str) -> str:
    """A function of numbers from 0.5 to 1.5."""
    half = w.constant(np.array(0.5, np.float32))
    made = w.node("Add", w.node("Sigmoid", x), half)
    if w.chance(0.3):
        exponent = np.array(w.choice([-1.5, 0.5, 2.0, 3.0]), np.float32)
        return w.node("Pow", made, w.constant(exponent))
    return w.node(w.choice(POSITIVE), made)


def prelu(w: Writer, x: str) -> str:
    shape = w.shapes[x]
    slope = w.choice([(1,), (shape[1], *(1 for _ in shape[2:])), shape[-1:]])
    return w.node("PRelu", x, w.constant(w.normal(*slope)))


def clip(w: Writer, x: str) -> str:
    low, high = sorted(np.float32(w.random.uniform(-1.5, 2.0, 2)))
    present = w.choice([(True, True), (True, False), (False, True), (False, False)])
    if w.opset < 11:
        attributes = {"min": float(low), "max": float(high)}
        given = zip(attributes.items(), present, strict=True)
        return w.node("Clip", x, **{name: value for (name, value), is_given in given if is_given})
    bounds = zip((low, high), present, strict=True)
    inputs = [w.constant(np.array(value)) if is_given else "" for value, is_given in bounds]
    while inputs and not inputs[-1]:
        inputs.pop()
    return w.node("Clip", x, *inputs)


def softmax(w: Writer, x: str) -> str:
    attributes = {"axis": w.axis(x)} if w.chance(0.8) or len(w.shapes[x]) < 2 else {}
    return w.node(w.choice(["Softmax", "LogSoftmax"]), x, **attributes)


def batch_normalization(w: Writer, x: str) -> str:
    channels = w.shapes[x][1]
    vectors = [w.normal(channels) for _ in range(3)]
    vectors.append(w.random.uniform(0.5, 2.0, channels).astype(np.float32))
    more = {"epsilon": w.choice([1e-3, 0.1])} if w.chance(0.3) else {}
    return w.node("BatchNormalization", x, *map(w.constant, vectors), **more)


def lrn(w: Writer, x: str) -> str:
    if len(w.shapes[x]) != 4:
        raise DoesNotFitError("ONNX Runtime has LRN of two dimensions and of odd size only")
    more = {n: float(w.random.uniform(0.1, 1.0)) for n in ("alpha", "beta") if w.chance(0.6)}
    return w.node("LRN", x, size=w.choice([1, 3, 5]), **more)


def arithmetic(w: Writer, x: str) -> str:
    """With a constant that broadcasts, on either side."""
    shape = [1, *w.shapes[x][1:]]
    shape = [1 if w.chance(0.5) else size for size in shape]
    shape = shape[w.integer(0, len(shape)) :]
    array = w.random.uniform(0.5, 2.0, shape) * w.choice([-1, 1])
    pair = [x, w.constant(array.astype(np.float32))]
    op_type = w.choice(["Add", "Sub", "Mul", "Div"])
    if op_type != "Div" and w.chance(0.3):
        pair.reverse()
    return w.node(op_type, *pair)


def residual(w: Writer, x: str) -> str:
    """Two computed tensors, of one shape or of shapes that broadcast."""
    op_type = w.choice(["Add", "Add", "Sub", "Mul"])
    if op_type == "Mul":
        w.multiply()
    if len(w.shapes[x]) > 2 and w.chance(0.3):
        return w.node(op_type, x, w.node("GlobalAveragePool", x))
    return w.node(op_type, x, w.other(x))


def sum_(w: Writer, x: str) -> str:
    op_type = w.choice(["Sum", "Max", "Min", "Mean"] if w.opset >= 8 else ["Sum"])
    return w.node(op_type, x, *(w.other(x) for _ in range(w.integer(0, 2))))


def quotient(w: Writer, x: str) -> str:
    divisor = w.node("Add", w.node("Sigmoid", w.other(x)), w.constant(np.array(0.5, np.float32)))
    return w.node("Div", x, divisor)


def dropout(w: Writer, x: str) -> str:
    outputs = 1 + (w.opset >= 10 and w.chance(0.3))  # the mask, which nothing reads
    if w.opset >= 12:
        return w.node("Dropout", x, w.constant(np.array(0.3, np.float32)), outputs=outputs)
    return w.node("Dropout", x, ratio=0.3, outputs=outputs)


def cast(w: Writer, x: str) -> str:
    return w.node("Cast", x, to=TensorProto.FLOAT)


def gemm(w: Writer, x: str) -> str:
    if len(w.shapes[x]) != 2:
        x = w.node("Flatten", x)
    features, count = w.shapes[x][1], w.integer(1, 20)
    transposed = w.integer(0, 1)
    weights = w.normal(count, features) if transposed else w.normal(features, count)
    more = {n: round(float(w.random.uniform(0.1, 2.0)), 3) for n in ("alpha", "beta")}
    attributes = more if w.chance(0.3) else {}
    bias = [w.constant(w.normal(*w.choice([(count,), (1, count), (1,)])))]
    if w.opset >= 11 and w.chance(0.2):
        bias = []
    elif w.chance(0.2):
        bias = [w.node("MatMul", x, w.constant(w.normal(features, count)))]
    return w.node("Gemm", x, w.constant(weights), *bias, transB=transposed, **attributes)


def mat_mul(w: Writer, x: str) -> str:
    shape = w.shapes[x]
    if len(shape) > 2 and w.chance(0.3):
        w.multiply()
        perm = [*range(len(shape) - 2), len(shape) - 1, len(shape) - 2]
        return w.node("MatMul", x, w.node("Transpose", w.other(x), perm=perm))
    return w.node("MatMul", x, w.constant(w.normal(shape[-1], w.integer(1, 9))))


def flatten(w: Writer, x: str) -> str:
    return w.node("Flatten", x, **({"axis": 1} if w.chance(0.5) else {}))


def _batch_entry(w: Writer, x: str, rest: Sequence[int]) -> str:
    """A Reshape's new shape whose first entry is worked out of the tensor's shape."""
    index = w.choice([0, -len(w.shapes[x])]) if w.opset >= 11 else 0
    shape = w.node("Shape", x)
    kind = w.random.random()
    if kind < 0.3:
        size = w.node("Gather", shape, w.ints([index]), axis=0)
    elif kind < 0.6:
        scalar = w.node("Gather", shape, w.constant(np.array(index, np.int64)), axis=0)
        size = w.node("Unsqueeze", scalar, *w.inputs(13, [0]), **w.parameters(13, "axes", [0]))
    else:
        lists = {"starts": [0], "ends": [1], "axes": [0]}
        inputs = [] if w.opset < 10 else [w.ints(values) for values in lists.values()]
        size = w.node("Slice", shape, *inputs, **(lists if w.opset < 10 else {}))
    whole = w.node("Concat", size, w.ints(rest), axis=0)
    w.values[whole] = numpy_helper.from_array(np.array([w.num_images, *rest], np.int64))
    return whole


def reshape(w: Writer, x: str) -> str:
    """The elements of each image in another shape; the batch said in any of its ways."""
    left = math.prod(w.shapes[x][1:])
    rest = []
    for _ in range(w.integer(0, 3)):
        rest.append(w.choice([d for d in range(1, left + 1) if left % d == 0]))
        left //= rest[-1]
    rest.insert(w.integer(0, len(rest)), left)
    first = w.choice(["copied", "left", "named", "computed"])
    if first != "left" and w.chance(0.4):
        rest[w.integer(0, len(rest) - 1)] = -1
    if first == "computed":
        return w.node("Reshape", x, _batch_entry(w, x, rest))
    named = w.num_images if w.fixed_batch else 0
    entry = {"copied": 0, "left": -1, "named": named}[first]
    return w.node("Reshape", x, w.ints([entry, *rest]))


def squeeze(w: Writer, x: str) -> str:
    axes = [axis for axis, size in enumerate(w.shapes[x]) if axis and size == 1]
    if not axes:
        raise DoesNotFitError("no axis of size 1")
    return w.node("Squeeze", x, *w.inputs(13, axes), **w.parameters(13, "axes", axes))


def unsqueeze(w: Writer, x: str) -> str:
    rank = len(w.shapes[x])
    if rank > 4:
        raise DoesNotFitError("rank")
    axes = [w.integer(1, rank)]
    return w.node("Unsqueeze", x, *w.inputs(13, axes), **w.parameters(13, "axes", axes))


def transpose(w: Writer, x: str) -> str:
    perm = [0, *(1 + w.random.permutation(len(w.shapes[x]) - 1)).tolist()]
    return w.node("Transpose", x, perm=perm)


def concat(w: Writer, x: str) -> str:
    return w.node("Concat", *(w.other(x) for _ in range(w.integer(1, 3))), axis=w.axis(x))


def split(w: Writer, x: str) -> str:
    axis = w.axis(x)
    size, count = w.shapes[x][axis], w.integer(2, 3)
    if size < count:
        raise DoesNotFitError("too few elements")
    cuts = sorted(w.random.choice(np.arange(1, size), count - 1, replace=False).tolist())
    sizes = np.diff([0, *cuts, size]).tolist()
    if size % count == 0 and w.chance(0.5):
        more = {"num_outputs": count} if w.opset >= 18 else {}
        return w.node("Split", x, outputs=count, axis=axis, **more)
    attributes = w.parameters(13, "split", sizes)
    return w.node("Split", x, *w.inputs(13, sizes), outputs=count, axis=axis, **attributes)


def pad(w: Writer, x: str) -> str:
    shape = w.shapes[x]
    mode = w.choice(["constant", "constant", "reflect", "edge"] + ["wrap"] * (w.opset >= 19))
    befores, afters = ([0, *w.integers(len(shape) - 1, -1, 2)] for _ in range(2))
    if mode != "constant":  # ONNX does not say whether these crop first
        befores, afters = ([max(0, v) for v in values] for values in (befores, afters))
    limit = {"reflect": 1, "wrap": 0}
    for size, before, after in zip(shape, befores, afters, strict=True):
        if max(before, after) > size - limit.get(mode, -9) or size + before + after < 1:
            raise DoesNotFitError("padding")
    pads, value = befores + afters, round(float(w.random.uniform(-1, 1)), 3)
    if w.opset < 11:
        return w.node("Pad", x, pads=pads, mode=mode, value=value)
    inputs = [w.ints(pads)]
    if mode == "constant" and w.chance(0.7):
        inputs.append(w.constant(np.array(value, np.float32)))
    return w.node("Pad", x, *inputs, mode=mode)


def slice_(w: Writer, x: str) -> str:
    axis = w.axis(x)
    size = w.shapes[x][axis]
    start, end = w.integer(-size - 1, size), w.choice([w.integer(-size, size + 3), 2**31 - 1])
    lists = {"starts": [start], "ends": [end], "axes": [axis]}
    if w.opset < 10:
        return w.node("Slice", x, **lists)
    inputs = [w.ints(values) for values in lists.values()]
    if w.chance(0.5):
        inputs.append(w.ints([w.choice([1, 2, 3, -1, -2])]))
    return w.node("Slice", x, *inputs)


def lp_normalization(w: Writer, x: str) -> str:
    half = w.constant(np.array(0.5, np.float32))
    away = w.node("Add", w.node("Sigmoid", x), half)  # from zero
    return w.node("LpNormalization", away, axis=w.axis(x), p=w.choice([1, 2]))


def reduction(w: Writer, x: str) -> str:
    op_type = w.choice(["ReduceMean", *REDUCTIONS])
    if op_type in ("ReduceProd", "ReduceSumSquare"):  # of many large ones they leave float32
        w.multiply()
        x = w.node("Tanh", x)
    rank = len(w.shapes[x])
    axes = sorted(w.random.choice(np.arange(1, rank), w.integer(1, rank - 1), replace=False))
    axes = [int(axis) - rank * (w.opset >= 11 and w.chance(0.3)) for axis in axes]
    keepdims = w.integer(0, 1)
    first = 13 if op_type == "ReduceSum" else 18
    inputs, attributes = w.inputs(first, axes), w.parameters(first, "axes", axes)
    return w.node(op_type, x, *inputs, keepdims=keepdims, **attributes)


def normalization(w: Writer, x: str) -> str:
    """By the tensor's own statistics, with an epsilon that keeps what is alike from exploding."""
    kinds = {"InstanceNormalization": 6, "LayerNormalization": 17, "GroupNormalization": 21}
    kinds["MeanVarianceNormalization"] = 9
    op_type = w.choice([kind for kind, opset in kinds.items() if opset <= w.opset])
    op_type = "GroupNormalization" if w.opset == 21 and len(w.shapes[x]) > 2 else op_type
    shape, more = w.shapes[x], {"epsilon": w.choice([1e-2, 0.1])}
    if op_type == "LayerNormalization":
        axis = w.integer(1, len(shape) - 1)
        constants = [w.constant(w.normal(*shape[axis:])) for _ in range(w.integer(1, 2))]
        return w.node(op_type, x, *constants, axis=axis, **more)
    spatial = w.spatial(x)
    if math.prod(spatial) < 2:
        raise DoesNotFitError("one element of a kind")
    if op_type == "MeanVarianceNormalization":
        noisy = w.node("Add", x, w.constant(w.random.uniform(-1, 1, shape[1:]).astype(np.float32)))
        return w.node(op_type, noisy, axes=list(range(2, len(shape))))
    if op_type == "GroupNormalization":
        more["num_groups"] = w.choice([g for g in range(1, shape[1] + 1) if shape[1] % g == 0])
    return w.node(op_type, x, *(w.constant(w.normal(shape[1])) for _ in range(2)), **more)


def gather(w: Writer, x: str) -> str:
    axis = w.axis(x)
    size, kinds = w.shapes[x][axis], [(), (3,), (2, 2)]
    indices = w.random.integers(-size, size, w.choice(kinds[: 3 if len(w.shapes[x]) < 5 else 2]))
    return w.node("Gather", x, w.constant(np.array(indices, np.int64)), axis=axis)


def expand(w: Writer, x: str) -> str:
    target = [w.integer(1, 3) if size == 1 else size for size in w.shapes[x][1:]]
    return w.node("Expand", x, w.ints([1, *target]))


def tile(w: Writer, x: str) -> str:
    return w.node("Tile", x, w.ints([1, *w.integers(len(w.shapes[x]) - 1, 1, 2)]))


def conv_transpose(w: Writer, x: str) -> str:
    sizes, channels = w.spatial(x), w.shapes[x][1]
    group = 2 if channels % 2 == 0 and w.chance(0.3) else 1
    filters, kernel = w.integer(1, 5), w.integers(len(sizes), 1, 4)
    inputs = [x, w.constant(w.normal(channels, filters, *kernel))]
    if w.chance(0.7):
        inputs.append(w.constant(w.normal(filters * group)))
    strides = w.integers(len(sizes), 1, 3)
    attributes: dict[str, Any] = {"strides": strides, "group": group}
    kind = w.random.random()
    if kind < 0.2 and min(np.subtract(kernel, strides)) >= 0:
        attributes["auto_pad"] = w.choice(["SAME_UPPER", "SAME_LOWER", "VALID"])
    elif kind < 0.6:
        attributes["pads"] = [w.integer(0, k - 1) for k in [*kernel, *kernel]]
    elif kind < 0.8:
        attributes["output_padding"] = [w.integer(0, stride - 1) for stride in strides]
    return w.node("ConvTranspose", *inputs, **attributes)


def resize(w: Writer, x: str) -> str:
    if len(w.shapes[x]) != 4:
        raise DoesNotFitError("ONNX Runtime resizes images")
    mode = w.choice(["nearest", "linear"])
    if w.opset < 9:
        scales = [1.0, 1.0, *map(float, w.integers(2, 1, 3))]
        return w.node("Upsample", x, mode=mode, scales=scales)
    if w.opset < 11 or not w.fixed_batch:
        raise DoesNotFitError("by sizes alone: scales are weights that the tolerances change")
    coordinates = w.choice(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"])
    attributes = {"mode": mode, "coordinate_transformation_mode": coordinates}
    if mode == "nearest":
        attributes |= {"nearest_mode": "floor", "coordinate_transformation_mode": "asymmetric"}
    absent = "" if w.opset >= 13 else w.constant(np.zeros(0, np.float32))
    sizes = w.ints([*w.shapes[x][:2], *w.integers(2, 1, 9)])
    return w.node("Resize", x, absent, absent, sizes, **attributes)


def blocks(w: Writer, x: str) -> str:
    """Channels to pixels, or pixels to channels."""
    shape = w.shapes[x]
    if len(shape) != 4:
        raise DoesNotFitError("no image")
    if shape[1] % 4 == 0:
        mode = {"mode": w.choice(["DCR", "CRD"])} if w.opset >= 11 else {}
        return w.node("DepthToSpace", x, blocksize=2, **mode)
    return w.node("SpaceToDepth", x, blocksize=2 if shape[2] % 2 == shape[3] % 2 == 0 else 1)


def gather_elements(w: Writer, x: str) -> str:
    if w.opset < 11:
        raise DoesNotFitError("opset")
    axis = w.axis(x) % len(w.shapes[x])
    row = [
        size if place == axis - 1 else w.integer(1, size)
        for place, size in enumerate(w.shapes[x][1:])
    ]
    indices = w.random.integers(0, w.shapes[x][axis], (1, *row)).repeat(w.num_images, 0)
    if w.num_images > 1 and not w.fixed_batch:
        raise DoesNotFitError("as many rows of indices as images")
    return w.node("GatherElements", x, w.constant(indices), axis=axis)


Draw = Callable[[Writer, str], str]
"""Adds nodes that read a tensor; the name of what they make. Raises DoesNotFitError."""

OPERATORS: dict[Draw, float] = {
    conv: 6,
    max_pool: 2,
    average_pool: 2,
    global_pool: 0.5,
    unary: 4.5,
    positive: 0.5,
    prelu: 1,
    clip: 1.5,
    softmax: 1,
    batch_normalization: 2,
    lrn: 0.7,
    arithmetic: 2,
    residual: 2,
    sum_: 0.7,
    quotient: 0.5,
    dropout: 0.5,
    cast: 0.5,
    gemm: 1.5,
    mat_mul: 1,
    flatten: 0.5,
    reshape: 1.5,
    squeeze: 2,
    unsqueeze: 0.5,
    transpose: 1,
    concat: 1,
    split: 1,
    pad: 1.5,
    slice_: 1.5,
    reduction: 1.5,
    lp_normalization: 0.5,
    normalization: 1.5,
    gather: 0.7,
    expand: 0.5,
    tile: 0.5,
    conv_transpose: 1.5,
    resize: 1.5,
    blocks: 1,
    gather_elements: 0.7,
}
"""How often each is drawn, relative to the others."""


def sample(seed: int, num_images: int | None = None) -> Sample:
    """The network and images of a seed; with `num_images` of so many, in a batch of any size."""
    random = np.random.default_rng(seed)
    opset = int(random.choice(OPSETS))
    drawn = int(random.choice([1, 2, 3, 5, 8, MOST_IMAGES]))
    fixed_batch = bool(random.random() < 0.3) and num_images is None
    num_images = num_images or drawn
    w = Writer(random, opset, num_images, fixed_batch)
    rank = w.choice([2, 2, 2, 2, 2, 2, 1, 3, 0])
    most = {0: 40, 1: 30, 2: 13, 3: 6}[rank]
    image = ([w.integer(1, 19)] if rank else []) + w.integers(max(rank, 1), 2, most)
    w.add_input("x", (num_images, *image))
    last = "x"
    for _ in range(w.integer(1, MOST_NODES)):
        last = extended(w, last if w.chance(0.8) else w.choice(list(w.shapes)), OPERATORS)
    made = [name for name in w.shapes if name != "x"]
    outputs = {last: None} | dict.fromkeys(w.choice(made) for _ in range(w.choice([0, 0, 0, 1, 2])))
    plain, images = model_of(w, list(outputs)), images_of(w)
    model = with_function(plain, random) if plain.ir_version >= 9 and w.chance(0.25) else plain
    return Sample(model, images, plain)


def extended(w: Writer, x: str, operators: Mapping[Draw, float]) -> str:
    """The tensor made by a random operator from `x`, of Relu if none was found that fits."""
    weights = np.array(list(operators.values()))
    for _ in range(_DRAWS):
        operator = list(operators)[w.random.choice(len(operators), p=weights / weights.sum())]
        num_nodes, known = len(w.nodes), dict(w.shapes)
        try:
            return operator(w, x)
        except DoesNotFitError:
            del w.nodes[num_nodes:]
            w.shapes = known
    return w.node("Relu", x)


def images_of(w: Writer) -> np.ndarray:
    """Random ones for the input x."""
    shape = w.shapes["x"]
    if w.chance(0.3):
        return w.random.integers(0, 256, shape, np.uint8)
    images = w.random.standard_normal(shape, np.float32)
    if w.chance(0.15):
        for _ in range(w.integer(1, 2)):
            images.flat[w.integer(0, images.size - 1)] = w.choice([np.nan, np.inf, -np.inf])
    return images


def model_of(w: Writer, outputs: Sequence[str]) -> onnx.ModelProto:
    """The nodes that the outputs need and, now and then, others."""
    needed, kept = set(outputs), []
    keep_dead = w.chance(0.1)
    for node in reversed(w.nodes):
        if keep_dead or needed.intersection(node.output):
            kept.append(node)
            needed.update(node.input)
    nodes = kept[::-1]
    batch = w.num_images if w.fixed_batch else "N"

    def value(name: str) -> onnx.ValueInfoProto:
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, [batch, *w.shapes[name][1:]])

    stored = [tensor for tensor in w.initializers if tensor.name in needed]
    inputs = [value("x")]
    least = helper.find_min_ir_version_for([helper.make_opsetid("", w.opset)])
    ir_version = w.integer(least, 10)
    if ir_version < 4:
        inputs += [helper.make_tensor_value_info(t.name, t.data_type, t.dims) for t in stored]
    graph = helper.make_graph(nodes, "random", inputs, list(map(value, outputs)), stored)
    opsets = [helper.make_opsetid("", w.opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=ir_version)

"""One form for every operator, whichever ONNX version wrote it.

A canonical node has ONNX's current form (opset 21): bounds, axes, pads and shapes are constant
inputs, not attributes; every attribute is present, with ONNX's default if it was not given;
auto_pad is resolved into pads. Training-only inputs, outputs and attributes are gone.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import onnx

from columnar_nn.errors import InvalidModelError
from columnar_nn.model.chains import CHAIN_FORMS
from columnar_nn.model.expressed import EXPRESSED_FORMS
from columnar_nn.model.graph import Node
from columnar_nn.model.logarithmic_sums import LOGARITHMIC_FORMS
from columnar_nn.model.lp_pools import LP_POOL_FORMS
from columnar_nn.model.normalizing import NORMALIZATION_FORMS
from columnar_nn.model.operators import OPERATORS, OPSET, REDUCTIONS, with_defaults
from columnar_nn.model.quantization import QUANTIZATION_FORMS
from columnar_nn.model.resizing import RESIZE_FORMS
from columnar_nn.model.rewriting import Rewriting
from columnar_nn.model.scattering import SCATTER_FORMS
from columnar_nn.model.shape_rules.movement import permutation
from columnar_nn.model.shape_rules.operands import Operands, fixed, normalized_axis
from columnar_nn.model.shape_rules.window import Window, conv_transpose_window, conv_window
from columnar_nn.model.shapes import operands_of

TRAINING = frozenset(
    {"consumed_inputs", "is_test", "momentum", "ratio", "seed", "spatial", "storage_order"}
    | {"training_mode", "broadcast"}
)
"""Attributes without a meaning in inference, or replaced by broadcasting in later versions."""


def unsupported_reason(
    op_type: str, outputs: Sequence[str], attributes: Mapping[str, Any], opset: int
) -> str | None:
    """Why a node cannot run whatever its shapes are; None if it can."""
    if op_type not in OPERATORS:
        return None if op_type in EXPRESSED else "not an operator of this project"
    if any(outputs[1:]):
        return "its optional outputs are not supported"
    batch_norm = op_type == "BatchNormalization"
    old = batch_norm and opset < 7 and not attributes.get("is_test", 0)
    if old or attributes.get("training_mode", 0):
        return "training mode is not supported"
    if batch_norm and not attributes.get("spatial", 1):
        return "spatial = 0 is not supported"
    newer = sorted(attributes.keys() - _attribute_names(op_type)) if opset > OPSET else []
    return f"attribute {newer[0]} is newer than opset {OPSET}" if newer else None


@cache
def _attribute_names(op_type: str) -> frozenset[str]:
    """The attributes of an operator of the current opset."""
    return frozenset(onnx.defs.get_schema(op_type, OPSET).attributes)


def canonical_nodes(node: Node, rewriting: Rewriting) -> Iterator[Node]:
    """The node, or the nodes that replace it, in canonical form.

    The shapes of what one of them makes must be known before the next is asked for. Raises
    InvalidModelError when an attribute is missing or makes no sense.
    """
    if node.op_type not in EXPRESSED:
        node = replace(node, outputs=node.outputs[:1])  # nothing reads the others: see above
    form = CANONICAL_FORMS.get(node.op_type)
    try:
        for canonical in form(node, rewriting) if form else [node]:
            yield _explicit(canonical, rewriting)
    except InvalidModelError as error:
        raise InvalidModelError(f"node {node.name} ({node.op_type}): {error}") from None


def _explicit(node: Node, rewriting: Rewriting) -> Node:
    """The node with every attribute of the current opset present and no other."""
    inputs = list(node.inputs)
    while inputs and not inputs[-1]:
        inputs.pop()
    known = _attribute_names(node.op_type) - TRAINING
    given = {name: value for name, value in node.attributes.items() if name in known}
    node = with_defaults(replace(node, inputs=tuple(inputs), attributes=given))
    operands = operands_of(node, rewriting.shapes, rewriting.weights)
    attributes = dict(node.attributes)
    window = OPERATORS[node.op_type].window
    if window:
        attributes.update(_window_attributes(operands, window(operands)))
    if node.op_type == "Transpose":
        attributes["perm"] = permutation(operands)
    attributes.pop("auto_pad", None)
    return replace(node, attributes={name: attributes[name] for name in sorted(attributes)})


def _window_attributes(operands: Operands, window: Window) -> dict[str, Any]:
    """Explicit geometry of a sliding window, auto_pad resolved."""
    attributes: dict[str, Any] = {
        "kernel_shape": list(window.kernel_shape),
        "strides": list(window.strides),
        "dilations": list(window.dilations),
        "pads": list(window.pads),
    }
    same = operands.node.attributes.get("auto_pad", "").startswith("SAME")
    if same and operands.node.op_type != "Conv":
        attributes["ceil_mode"] = 0  # auto_pad alone decides the output size
    return attributes


def _attribute_to_input(
    node: Node, rewriting: Rewriting, names: Sequence[str], dtype: Any = np.int64
) -> list[Node]:
    """The node with the attributes `names` turned into constant inputs, absent ones skipped."""
    if not any(name in node.attributes for name in names):
        return [node]
    inputs = [node.inputs[0]]
    for name in names:
        value = node.attributes.get(name)
        array = None if value is None else np.array(value, dtype)
        inputs.append("" if array is None else rewriting.add_weight(f"{node.name}.{name}", array))
    attributes = {k: v for k, v in node.attributes.items() if k not in names}
    return [replace(node, inputs=tuple(inputs), attributes=attributes)]


def _clip(node: Node, rewriting: Rewriting) -> list[Node]:
    """A bound that is not given is the largest float32, which cuts infinities."""
    (node,) = _attribute_to_input(node, rewriting, ("min", "max"), np.float32)
    data = rewriting.weights.get(node.inputs[0])
    if data is not None and data.dtype != np.float32:
        return [node]
    largest = np.finfo(np.float32).max
    inputs = [*node.inputs, "", ""][:3]
    for index, name, bound in ((1, "min", -largest), (2, "max", largest)):
        inputs[index] = inputs[index] or rewriting.add_weight(
            f"{node.name}.{name}", np.array(bound, np.float32)
        )
    return [replace(node, inputs=tuple(inputs))]


def _conv(node: Node, rewriting: Rewriting) -> list[Node]:
    """What auto_pad crops is left out by a Slice, so that no pad is negative."""
    window = conv_window(operands_of(node, rewriting.shapes, rewriting.weights))
    rank = len(window.output)
    cropped = [axis for axis in range(rank) if min(window.pads[axis], window.pads[axis + rank]) < 0]
    if not cropped:
        return [node]
    size = rewriting.shapes[node.inputs[0]]
    starts = [-window.pads[axis] for axis in cropped]
    ends = [fixed(size[axis + 2], "an axis") + window.pads[axis + rank] for axis in cropped]
    tensor = rewriting.new_tensor(f"{node.outputs[0]}.cropped")
    inputs = (
        node.inputs[0],
        rewriting.integers(node, "starts", starts),
        rewriting.integers(node, "ends", ends),
        rewriting.integers(node, "axes", [axis + 2 for axis in cropped]),
    )
    pads = [max(pad, 0) for pad in window.pads]
    attributes = {**node.attributes, "auto_pad": "NOTSET", "pads": pads}
    return [
        Node(rewriting.new_node(f"{node.name}.crop"), "Slice", inputs, (tensor,), {}),
        replace(node, inputs=(tensor, *node.inputs[1:]), attributes=attributes),
    ]


def _conv_transpose(node: Node, rewriting: Rewriting) -> list[Node]:
    """What auto_pad and output_shape ask for is said by pads and output_padding."""
    window = conv_transpose_window(operands_of(node, rewriting.shapes, rewriting.weights))
    sizes, rank = rewriting.shapes[node.inputs[0]][2:], len(window.output)
    added = []
    for i, size in enumerate(sizes):
        reach = (fixed(size, "an axis") - 1) * window.strides[i] + 1
        reach += (window.kernel_shape[i] - 1) * window.dilations[i]
        added.append(window.output[i] + window.pads[i] + window.pads[i + rank] - reach)
    attributes = {**node.attributes, "pads": list(window.pads), "output_padding": added}
    for name in ("auto_pad", "output_shape"):
        attributes.pop(name, None)
    return [replace(node, attributes=attributes)]


def _axes(node: Node, rewriting: Rewriting) -> list[Node]:
    return _attribute_to_input(node, rewriting, ("axes",))


def _squeeze(node: Node, rewriting: Rewriting) -> list[Node]:
    """Without axes it drops every 1, but never a free batch, also where that is of one image."""
    (node,) = _axes(node, rewriting)
    if len(node.inputs) > 1:
        return [node]
    ones = [axis for axis, size in enumerate(rewriting.shapes[node.inputs[0]]) if size == 1]
    if not ones:
        return [replace(node, op_type="Identity")]
    return [replace(node, inputs=(*node.inputs, rewriting.integers(node, "axes", ones)))]


def _reshape(node: Node, rewriting: Rewriting) -> list[Node]:
    return _attribute_to_input(node, rewriting, ("shape",))


def _slice(node: Node, rewriting: Rewriting) -> list[Node]:
    return _attribute_to_input(node, rewriting, ("starts", "ends", "axes"))


def _pad(node: Node, rewriting: Rewriting) -> list[Node]:
    pads = node.attributes.get("pads", node.attributes.get("paddings"))
    if pads is None:
        return [node]
    value = np.float32(node.attributes.get("value", 0.0))
    inputs = (
        node.inputs[0],
        rewriting.integers(node, "pads", pads),
        rewriting.add_weight(f"{node.name}.value", np.array(value)),
    )
    return [
        replace(node, inputs=inputs, attributes={"mode": node.attributes.get("mode", "constant")})
    ]


def _broadcast(node: Node, rewriting: Rewriting) -> list[Node]:
    """Before opset 7, `axis` said which dimension of A the first one of B lines up with.

    A constant may not have more dimensions than the tensor it is combined with: the batch would
    no longer be the first.
    """
    constants = [tensor for tensor in node.inputs if tensor in rewriting.weights]
    if len(constants) == 1:
        (other,) = {*node.inputs} - {*constants}
        constant, shape = rewriting.shapes[constants[0]], rewriting.shapes[other]
        if len(constant) > len(shape):
            raise InvalidModelError(
                f"a constant of shape {constant} has more dimensions than {shape}, and would put "
                "the batch elsewhere; export it with as many"
            )
    axis = node.attributes.get("axis")
    node = replace(node, attributes={})
    if axis is None or rewriting.opset >= 7:
        return [node]
    left, right = (len(rewriting.shapes[tensor]) for tensor in node.inputs)
    return _with_trailing_axes(node, rewriting, left - normalized_axis(axis, left) - right)


def _prelu(node: Node, rewriting: Rewriting) -> list[Node]:
    """Before opset 7 a slope [C] belonged to the channels, not to the last dimension."""
    data, slope = (rewriting.shapes[tensor] for tensor in node.inputs)
    if rewriting.opset >= 7 or len(slope) != 1 or slope == (1,):
        return [node]
    return _with_trailing_axes(node, rewriting, len(data) - 2)


def _with_trailing_axes(node: Node, rewriting: Rewriting, count: int) -> list[Node]:
    """The node, its second input with `count` dimensions of size 1 behind its own."""
    if count < 1:
        return [node]
    (first, second), aligned = node.inputs, rewriting.new_tensor(f"{node.outputs[0]}.aligned")
    rank = len(rewriting.shapes[second])
    axes = rewriting.integers(node, "axes", range(rank, rank + count))
    name = rewriting.new_node(f"{node.name}.unsqueeze")
    unsqueeze = Node(name, "Unsqueeze", (second, axes), (aligned,), {})
    return [unsqueeze, replace(node, inputs=(first, aligned))]


def _softmax(node: Node, rewriting: Rewriting) -> list[Node]:
    """Before opset 13 all dimensions from `axis` (default 1) on were normalised together."""
    if rewriting.opset >= 13:
        return [node]
    shape = rewriting.shapes[node.inputs[0]]
    axis = normalized_axis(node.attributes.get("axis", 1), len(shape))
    if all(dimension == 1 for dimension in shape[axis + 1 :]):
        return [replace(node, attributes={"axis": axis})]
    if None in shape[axis:]:
        raise InvalidModelError("softmax over the batch; export with opset 13 or newer")
    flat, normalized = (
        rewriting.new_tensor(f"{node.outputs[0]}.{what}") for what in ("flat", "normalized")
    )
    original = [-1 if dimension is None else dimension for dimension in shape]
    targets = {"flatten": [*original[:axis], math.prod(original[axis:])], "reshape": original}
    merged, restored = (rewriting.integers(node, *target) for target in targets.items())
    before, after = (rewriting.new_node(f"{node.name}.{what}") for what in targets)
    return [
        Node(before, "Reshape", (node.inputs[0], merged), (flat,), {}),
        replace(node, inputs=(flat,), outputs=(normalized,), attributes={"axis": -1}),
        Node(after, "Reshape", (normalized, restored), node.outputs, {}),
    ]


def _concat(node: Node, rewriting: Rewriting) -> list[Node]:
    """Constants before and after the images' own elements, the same for every image, are added.

    Zeros make room for them: a constant has no rows to be put beside those of a batch.
    """
    constants = [rewriting.weights.get(tensor) for tensor in node.inputs]
    computed = [index for index, array in enumerate(constants) if array is None]
    shape = rewriting.shapes[node.inputs[0]]
    axis = normalized_axis(node.attributes.get("axis", 1), len(shape))
    if not computed or len(computed) == len(constants) or axis == 0:
        return [node]
    first, last = computed[0], computed[-1]
    around = [*constants[:first], *constants[last + 1 :]]
    if any(array is None or not _alike_in_rows(array) for array in around) or (
        last - first + 1 > len(computed)
    ):
        return [node]
    before, after = (
        sum(rewriting.shapes[tensor][axis] or 0 for tensor in tensors)
        for tensors in (node.inputs[:first], node.inputs[last + 1 :])
    )
    inner = sum(rewriting.shapes[tensor][axis] or 0 for tensor in node.inputs[first : last + 1])
    parts = [array[:1] for array in around if array is not None]
    room = list(parts[0].shape)
    room[axis] = inner
    parts.insert(first, np.zeros(room, np.float32))
    constant = rewriting.add_weight(f"{node.name}.constants", np.concatenate(parts, axis))
    pads = [0] * (2 * len(shape))
    pads[axis], pads[len(shape) + axis] = before, after
    nodes, tensor = [], node.inputs[first]
    if len(computed) > 1:
        tensor = rewriting.new_tensor(f"{node.outputs[0]}.computed")
        name = rewriting.new_node(f"{node.name}.computed")
        inputs = node.inputs[first : last + 1]
        nodes.append(replace(node, name=name, inputs=inputs, outputs=(tensor,)))
    padded = rewriting.new_tensor(f"{node.outputs[0]}.padded")
    name = rewriting.new_node(f"{node.name}.pad")
    inputs = (tensor, rewriting.integers(node, "pads", pads))
    nodes.append(Node(name, "Pad", inputs, (padded,), {"mode": "constant"}))
    return [*nodes, Node(node.name, "Add", (padded, constant), node.outputs, {})]


def _alike_in_rows(array: np.ndarray) -> bool:
    """Whether an array is the same for each image, its first axis being the batch."""
    return array.dtype == np.float32 and len(array) > 0 and bool((array == array[:1]).all())


def _expand(node: Node, rewriting: Rewriting) -> list[Node]:
    """The target is 1 where the tensor stays as it is, so that it says nothing of the batch."""
    operands = operands_of(node, rewriting.shapes, rewriting.weights)
    shape, target = operands.shape(0), operands.integer_input(1, "the shape") or []
    aligned = (None,) * (len(target) - len(shape)) + shape[max(len(shape) - len(target), 0) :]
    entries = [1 if entry == size else entry for entry, size in zip(target, aligned, strict=True)]
    return [replace(node, inputs=(node.inputs[0], rewriting.integers(node, "shape", entries)))]


def _dropout(node: Node, rewriting: Rewriting) -> list[Node]:
    """Nothing but its first input matters, unless a third one asks for training mode."""
    training = node.inputs[2] if len(node.inputs) > 2 else ""
    if training and (training not in rewriting.weights or rewriting.weights[training].any()):
        raise InvalidModelError("training mode is not supported; export for inference")
    return [replace(node, inputs=node.inputs[:1])]


def _gemm(node: Node, rewriting: Rewriting) -> list[Node]:
    """A C that beta = 0 leaves out altogether, NaN and all, is no input."""
    ignored = node.attributes.get("beta", 1.0) == 0
    return [replace(node, inputs=node.inputs[:2]) if ignored else node]


def _global_max_pool(node: Node, rewriting: Rewriting) -> list[Node]:
    """GlobalMaxPool as a MaxPool whose window is the whole image."""
    spatial = rewriting.shapes[node.inputs[0]][2:]
    sizes = [fixed(size, f"dimension {axis}") for axis, size in enumerate(spatial, start=2)]
    return [replace(node, op_type="MaxPool", attributes={"kernel_shape": sizes})]


def _split(node: Node, rewriting: Rewriting) -> list[Node]:
    """Split as one Slice for each output."""
    shape = rewriting.shapes[node.inputs[0]]
    axis = normalized_axis(node.attributes.get("axis", 0), len(shape))
    size, count = shape[axis], len(node.outputs)
    if size is None:
        raise InvalidModelError("a batch cannot be split")
    sizes = node.attributes.get("split")
    if sizes is None and len(node.inputs) > 1 and node.inputs[1]:
        sizes = operands_of(node, rewriting.shapes, rewriting.weights).integer_input(1, "split")
    if sizes is None:
        chunk = -(-size // count)
        sizes = [min(chunk, size - chunk * index) for index in range(count)]
    if sum(sizes) != size or min(sizes) < 0 or len(sizes) != count:
        raise InvalidModelError(f"{size} elements cannot be split into {list(sizes)}")
    bounds = np.cumsum([0, *sizes])
    slices = []
    for index, output in enumerate(node.outputs):
        if not output:
            continue
        name = rewriting.new_node(f"{node.name}.{index}")
        part = replace(node, name=name, op_type="Slice", attributes={})
        inputs = (
            node.inputs[0],
            rewriting.integers(part, "starts", [bounds[index]]),
            rewriting.integers(part, "ends", [bounds[index + 1]]),
            rewriting.integers(part, "axes", [axis]),
        )
        slices.append(replace(part, inputs=inputs, outputs=(output,)))
    return slices


def _pow(node: Node, rewriting: Rewriting) -> list[Node]:
    """An exponent of integers, which ONNX allows beside a float32 base, is float32."""
    base, exponent = node.inputs
    value = rewriting.weights.get(exponent)
    if base not in rewriting.weights and value is not None and value.dtype.kind in "iu":
        made = rewriting.add_weight(f"{node.name}.exponent", value.astype(np.float32))
        node = replace(node, inputs=(base, made))
    return _broadcast(node, rewriting)


CANONICAL_FORMS: dict[str, Callable[[Node, Rewriting], list[Node]]] = {
    **dict.fromkeys(("Add", "And", "Div", "Equal", "Greater", "GreaterOrEqual"), _broadcast),
    **dict.fromkeys(("Less", "LessOrEqual", "Mul", "Or", "Sub"), _broadcast),
    **dict.fromkeys(("Softmax", "LogSoftmax", "Hardmax"), _softmax),
    **dict.fromkeys(("Unsqueeze", *REDUCTIONS), _axes),
    "Squeeze": _squeeze,
    **CHAIN_FORMS,
    **EXPRESSED_FORMS,
    **LOGARITHMIC_FORMS,
    **LP_POOL_FORMS,
    **NORMALIZATION_FORMS,
    **QUANTIZATION_FORMS,
    **RESIZE_FORMS,
    **SCATTER_FORMS,
    "Clip": _clip,
    "Concat": _concat,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "Dropout": _dropout,
    "Expand": _expand,
    "Gemm": _gemm,
    "GlobalMaxPool": _global_max_pool,
    "PRelu": _prelu,
    "Pad": _pad,
    "Pow": _pow,
    "Reshape": _reshape,
    "Slice": _slice,
    "Split": _split,
}

EXPRESSED = CANONICAL_FORMS.keys() - OPERATORS.keys()
"""Operators that supported ones express at import."""

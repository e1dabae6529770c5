"""Files in every form that the importer reads, by kind: see test_import_reads.py."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from generated import normal
from model.onnx_models import (
    CONV,
    FILTERS,
    branch,
    call,
    constant,
    function,
    model,
    node,
    referring,
    value,
)
from onnx import AttributeProto, TensorProto, helper, numpy_helper

FLOAT = AttributeProto.FLOAT


def _functions() -> Mapping[str, onnx.ModelProto]:
    leaky = referring(node("LeakyRelu", "a", "b"), "alpha", "slope", FLOAT)
    two = [call("F", "a", "t", slope=0.3), call("F", "t", "b")]
    gated = node(
        "If",
        "on",
        "b",
        then_branch=branch([referring(node("Elu", "a", "t"), "alpha", "slope", FLOAT)], "t"),
        else_branch=branch([node("Relu", "a", "t")], "t"),
    )
    local = {"domains": ["local"]}
    passing = function("F", [node("Sub", "a b", "c"), node("Identity", "a", "d")], "b a", "c d")
    squeezed = [
        node("Unsqueeze", "a", "u", axes=[1]),
        node("Squeeze", "u", "b", axes=[1]),
    ]
    return {
        "an attribute's default": model(
            [CONV, call("F", "c", "y")],
            {"w": FILTERS},
            functions=[function("F", [leaky], slope=0.4)],
            **local,
        ),
        "an attribute in a function in a function": model(
            [call("G", "x", "y")],
            functions=[function("G", two), function("F", [leaky], slope=0.7)],
            **local,
        ),
        "an attribute in a branch of a function": model(
            [constant("on", True), call("F", "on x", "y", slope=2.5)],
            functions=[function("F", [gated], "on a", slope=0.5)],
            **local,
        ),
        "an attribute given and one left out": model(
            [call("F", "x", "y", slope=0.25)],
            functions=[
                function(
                    "F",
                    [
                        referring(node("LeakyRelu", "a", "t"), "alpha", "slope", FLOAT),
                        referring(node("Elu", "t", "b"), "alpha", "height", FLOAT),
                    ],
                    height=1.5,
                    slope=0.1,
                )
            ],
            **local,
        ),
        "an input that reaches an output": model(
            [call("F", "x z", "y u"), node("Add", "y u", "v")],
            {"z": normal(7, 3, 1, 1)},
            "v",
            functions=[passing],
            **local,
        ),
        "names used in the function and outside": model(
            [node("Relu", "x", "t"), call("F", "t", "a"), node("Add", "a t", "y")],
            functions=[function("F", [node("Tanh", "a", "t"), node("Sigmoid", "t", "b")])],
            **local,
        ),
        "names used in a branch of the function and outside": model(
            [node("Relu", "x", "t"), constant("u", True), call("F", "u t", "y")],
            functions=[
                function(
                    "F",
                    [
                        node(
                            "If",
                            "on",
                            "b",
                            then_branch=branch(
                                [node("Tanh", "a", "t"), node("Mul", "t a", "u")], "u"
                            ),
                            else_branch=branch([node("Relu", "a", "u")], "u"),
                        )
                    ],
                    "on a",
                )
            ],
            **local,
        ),
        "an operator that changed between the function's opset and the file's": model(
            [call("F", "x", "y")],
            functions=[function("F", [node("Softmax", "a", "b", axis=1)], opset=11)],
            **local,
        ),
        "an operator alike in the function's opset and the file's": model(
            [call("F", "x", "y")],
            functions=[function("F", [node("HardSwish", "a", "b")], opset=14)],
            **local,
        ),
        "a function of an older file": model(
            [call("F", "x", "y")],
            opset=11,
            functions=[function("F", squeezed, opset=11)],
            **local,
        ),
    }


def _integers() -> Mapping[str, onnx.ModelProto]:
    def sliced(op_type: str, a: list[int], b: list[int], **attributes: int) -> onnx.ModelProto:
        nodes = [
            node(op_type, "a b", "end", **attributes),
            node("Slice", "x start end axis", "y"),
        ]
        weights = {"a": a, "b": b, "start": [0], "axis": [3]}
        return model(nodes, {name: np.array(w, np.int64) for name, w in weights.items()})

    return {
        "-3 / 2": sliced("Div", [-3], [2]),
        "7 / -2": sliced("Div", [7], [-2]),
        "-7 mod 4": sliced("Mod", [-7], [4]),
        "-7 fmod 4": sliced("Mod", [-7], [4], fmod=1),
        "3 ** 1": sliced("Pow", [3], [1]),
        "-2.7 as an integer": model(
            [
                node("Mul", "a a", "b"),
                node("Cast", "b", "end", to=TensorProto.INT64),
                node("Neg", "end", "start"),
                node("Slice", "x start nine axis", "y"),
            ],
            {
                "a": np.array([1.65], np.float32),
                "nine": np.array([9], np.int64),
                "axis": np.array([3], np.int64),
            },
        ),
        "half of the size of x": model(
            [
                node("Shape", "x", "shape"),
                node("Gather", "shape three", "size"),
                node("Div", "size two", "half"),
                node("Unsqueeze", "half zero", "end"),
                node("Slice", "x zero end three_1", "y"),
            ],
            {
                "three": np.array(3, np.int64),
                "two": np.array(2, np.int64),
                "zero": np.array([0], np.int64),
                "three_1": np.array([3], np.int64),
            },
        ),
    }


def _windows() -> Mapping[str, onnx.ModelProto]:
    return {
        f"{mode} {kernel} {strides}": model(
            [
                node(
                    "Conv",
                    "x w",
                    "y",
                    auto_pad=mode,
                    kernel_shape=list(kernel),
                    strides=list(strides),
                )
            ],
            {"w": normal(3, 4, 3, *kernel)},
            inputs=[value("x", ["N", 3, 23, 24])],
        )
        for mode in ("SAME_UPPER", "SAME_LOWER")
        for kernel, strides in (
            ((5, 6), (10, 2)),
            ((1, 2), (2, 5)),
            ((2, 2), (7, 7)),
            ((1, 1), (4, 9)),
            ((3, 1), (6, 6)),
        )
    }


def _not_needed() -> Mapping[str, onnx.ModelProto]:
    return {
        "the mask of a Dropout": model(
            [node("Dropout", "x", "d mask", ratio=0.3), node("Relu", "d", "y")], opset=7
        ),
        "the mask of a Dropout of today": model(
            [node("Dropout", "x ratio", "d mask"), node("Relu", "d", "y")],
            {"ratio": np.float32(0.3)},
        ),
        "indices of a MaxPool": model([node("MaxPool", "x", "y i", kernel_shape=[2, 2])]),
        "indices that a dead node reads": model(
            [
                node("MaxPool", "x", "y i", kernel_shape=[2, 2]),
                node("Cast", "i", "dead", to=TensorProto.FLOAT),
            ]
        ),
        "a dead node of another operator": model(
            [CONV, node("Sin", "x", "dead"), node("Relu", "c", "y")], {"w": FILTERS}
        ),
        "a dead chain": model(
            [CONV, node("Sin", "x", "d"), node("NonZero", "d", "dead"), node("Relu", "c", "y")],
            {"w": FILTERS},
        ),
        "an unused float64 weight": model(
            [CONV, node("Relu", "c", "y")], {"w": FILTERS, "unused": np.zeros(100)}
        ),
        "a weight whose dead reader has another type": model(
            [CONV, node("Cast", "half", "dead", to=1), node("Relu", "c", "y")],
            {"w": FILTERS, "half": FILTERS.astype(np.float16)},
        ),
    }


def _computed_weights() -> Mapping[str, onnx.ModelProto]:
    def convolved(weights: Mapping[str, np.ndarray], *nodes: onnx.NodeProto) -> onnx.ModelProto:
        return model([*nodes, CONV, node("Relu", "c", "y")], weights)

    last = np.array([-1], np.int64)
    scale, one = np.float32(0.01), np.ones(1, np.float32)
    return {
        "Cast": convolved(
            {"h": FILTERS.astype(np.float16)}, node("Cast", "h", "w", to=TensorProto.FLOAT)
        ),
        "Cast of float64": convolved(
            {"h": FILTERS.astype(np.float64)}, node("Cast", "h", "w", to=TensorProto.FLOAT)
        ),
        "CastLike": convolved(
            {"h": FILTERS.astype(np.float16), "like": scale}, node("CastLike", "h like", "w")
        ),
        "DequantizeLinear": convolved(
            {"q": (FILTERS * 50).astype(np.int8), "s": scale, "z": np.int8(3)},
            node("DequantizeLinear", "q s z", "w"),
        ),
        "Expand": convolved(
            {"v": FILTERS[:, :, :1, :1], "shape": np.array([5, 3, 3, 3], np.int64)},
            node("Expand", "v shape", "w"),
        ),
        "Sqrt and Abs": convolved({"v": FILTERS}, node("Abs", "v", "a"), node("Sqrt", "a", "w")),
        "Relu": convolved({"v": FILTERS}, node("Relu", "v", "w")),
        "weight standardization": convolved(
            {"v": FILTERS},
            node("ReduceMean", "v", "m", axes=[1, 2, 3]),
            node("Sub", "v m", "d"),
            node("Mul", "d d", "dd"),
            node("ReduceMean", "dd", "var", axes=[1, 2, 3]),
            node("Sqrt", "var", "s"),
            node("Div", "d s", "w"),
        ),
        "filters normalised by their own statistics": convolved(
            {
                "v": FILTERS.reshape(1, 5, 27),
                "g": np.abs(normal(4, 5)),
                "zeros": np.zeros(5, np.float32),
                "ones": np.ones(5, np.float32),
                "shape": np.array(FILTERS.shape),
            },
            node("BatchNormalization", "v g zeros zeros ones", "n m s", training_mode=1),
            node("Reshape", "n shape", "w"),
        ),
        "Conv": convolved(
            {"v": normal(2, 5, 1, 6, 6), "u": normal(3, 3, 1, 2, 3), "b": normal(4, 3)},
            node("Conv", "v u b", "w", dilations=[1, 2], strides=[2, 1], pads=[0, 0, 1, 1]),
        ),
        "weight norm": convolved(
            {"v": FILTERS, "g": normal(4, 5, 1, 1, 1)},
            node("ReduceL2", "v", "n", axes=[1, 2, 3]),
            node("Div", "v n", "d"),
            node("Mul", "d g", "w"),
        ),
        "Where, Greater and Exp": convolved(
            {"v": FILTERS, "zero": np.float32(0)},
            node("Greater", "v zero", "g"),
            node("Exp", "v", "e"),
            node("Where", "g v e", "w"),
        ),
        "Tile and Pad": convolved(
            {
                "v": FILTERS[:, :, :1, :2],
                "times": np.array([1, 1, 3, 1], np.int64),
                "pads": np.array([0, 0, 0, 1, 0, 0, 0, 0], np.int64),
            },
            node("Tile", "v times", "t"),
            node("Pad", "t pads", "p"),
            node("Neg", "p", "w"),
        ),
        "MatMul and Reshape": convolved(
            {
                "a": normal(5, 5, 2),
                "b": normal(6, 2, 27),
                "shape": np.array([5, 3, 3, 3], np.int64),
            },
            node("MatMul", "a b", "m"),
            node("Reshape", "m shape", "w"),
        ),
        "Split": convolved(
            {"v": np.concatenate([FILTERS, FILTERS])}, node("Split", "v", "w other", axis=0)
        ),
        "ConstantOfShape and Range": convolved(
            {"v": FILTERS, "shape": np.array([5, 1, 1, 1], np.int64)},
            node("ConstantOfShape", "shape", "ones", value=numpy_helper.from_array(one)),
            constant("from", np.float32(0)),
            constant("to", np.float32(3)),
            constant("by", np.float32(1)),
            node("Range", "from to by", "row"),
            node("Add", "v row", "r"),
            node("Sub", "r ones", "w"),
        ),
        "ConstantOfShape as it is": model(
            [node("ConstantOfShape", "shape", "zeros"), node("Add", "x zeros", "y")],
            {"shape": np.array([1, 3, 7, 8], np.int64)},
        ),
        "Gather backwards and ScatterElements": convolved(
            {
                "v": FILTERS,
                "order": np.array([4, 3, -3, 1, 0], np.int64),
                "at": np.zeros((1, 3, 3, 3), np.int64),
                "row": normal(8, 1, 3, 3, 3),
            },
            node("Gather", "v order", "g"),
            node("ScatterElements", "g at row", "w"),
        ),
        "the size of the image along its last dimension": model(
            [node("Shape", "x", "s"), node("Gather", "s last", "n"), node("Cast", "n", "f", to=1),
             node("Div", "x f", "y")],
            {"last": last},
        ),
    }  # fmt: skip


def _conditions() -> Mapping[str, onnx.ModelProto]:
    relu = branch([node("Relu", "c", "t")], "t")
    same = branch([node("Identity", "c", "same")], "same")
    weighted = branch([node("Mul", "c k", "t")], "t", k=normal(5, 5, 1, 1))
    unknown = branch([node("Gelu", "c", "t", domain="com.microsoft")], "t")
    inner = branch([node("If", "off", "t", then_branch=unknown, else_branch=weighted)], "t")
    domains = ["com.microsoft"]

    def chosen(then: onnx.GraphProto, other: onnx.GraphProto, on: bool = True) -> onnx.ModelProto:
        nodes = [
            CONV,
            constant("off", np.array([False])),
            node("If", "on", "z", then_branch=then, else_branch=other),
            node("Add", "z c", "y"),
        ]
        return model(nodes, {"w": FILTERS, "on": on}, domains=domains)

    by_rank = [
        CONV,
        node("Shape", "c", "s"),
        node("Size", "s", "rank"),
        constant("four", np.int64(4)),
        node("Equal", "rank four", "on"),
        node("If", "on", "y", then_branch=relu, else_branch=unknown),
    ]
    return {
        "the first branch": chosen(relu, same),
        "the second branch": chosen(relu, weighted, on=False),
        "a tensor of outside as the output": chosen(same, relu),
        "a branch with an unknown operator that is not taken": chosen(weighted, unknown),
        "a condition in a branch": chosen(inner, unknown),
        "a condition that is computed": model(by_rank, {"w": FILTERS}, domains=domains),
    }


def _names_and_forms() -> Mapping[str, onnx.ModelProto]:
    aliased = model([CONV, node("Relu", "c", "y", domain="ai.onnx")], {"w": FILTERS})
    del aliased.opset_import[:]
    aliased.opset_import.append(helper.make_opsetid("ai.onnx", 17))
    numbered = [
        node("Relu", "x", "y.1", name="s.1"),
        node("Sum", "x x y.1", "s", name="s"),
        node("Add", "s y.1", "y"),
    ]
    split = [
        node("Relu", "x", "s.starts", name="s.1"),
        node("Split", "s.starts", "a b c", name="s", axis=1),
        node("Sub", "a c", "y", name="s.0"),
    ]
    softmax = [
        node("Relu", "x", "y.flat", name="y.flatten"),
        node("Softmax", "y.flat", "y", name="y", axis=1),
    ]
    truths = model(
        [node("Greater", "x zero", "g"), node("Where", "g x zero", "y"), node("Not", "g", "n")],
        {"zero": np.float32(0)},
        "y g n",
    )
    for output in truths.graph.output[1:]:
        output.type.tensor_type.elem_type = TensorProto.BOOL
    return {
        "a name that the importer would make for a Sum": model(numbered),
        "names that the importer would make for a Split": model(split, opset=11),
        "names that the importer would make for a Softmax": model(softmax, opset=11),
        "the other name of ONNX's domain": aliased,
        "an output listed twice": model([CONV], {"w": FILTERS}, "c c"),
        "weights of IR 3 that are no inputs": model(
            [CONV, node("Relu", "c", "y")], {"w": FILTERS}, opset=9, ir_version=3
        ),
        "weights of IR 3 that are inputs": model(
            [CONV, node("Relu", "c", "y")],
            {"w": FILTERS},
            opset=9,
            ir_version=3,
            inputs=[value("x"), value("w", FILTERS.shape)],
        ),
        "Gemm that does not read its C": model(
            [node("Flatten", "x", "f"), node("Gemm", "f g c", "y", beta=0.0)],
            {"g": normal(1, 168, 4), "c": np.full(4, np.nan, np.float32)},
        ),
        "Cast of the image": model([node("Cast", "x", "y", to=TensorProto.FLOAT)]),
        "CastLike of the image": model([node("CastLike", "x x", "y")]),
        "truth values as outputs": truths,
        "the image itself": model([node("Identity", "x", "y")]),
        "the image as an output too": model([node("Relu", "x", "y")], outputs="y x"),
    }


CASES = {
    f"{kind}: {name}": made
    for kind, cases in (
        ("function", _functions()),
        ("integers", _integers()),
        ("auto_pad", _windows()),
        ("not needed", _not_needed()),
        ("weight", _computed_weights()),
        ("If", _conditions()),
        ("form", _names_and_forms()),
    )
    for name, made in cases.items()
}

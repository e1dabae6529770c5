"""ONNX files damaged in their bytes or their structure, imported."""

from __future__ import annotations

import os
import random
from pathlib import Path

import numpy as np
import onnx
from fuzz.documents import changed_message
from fuzz.mutations import mutated
from fuzz.outcome import MEBIBYTE, emptied, problem
from fuzz.random_network import sample
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
)
from onnx import AttributeProto, TensorProto

from columnar_nn.model import onnx_io
from columnar_nn.model.shapes import infer_shapes

MEMORY = 3 * 1024 * MEBIBYTE
"""The importer may take 1 GiB for constants, and folds them with onnx.reference."""
EXTERNAL = b"\0" * 2000


def _external() -> onnx.ModelProto:
    """Weights in a file of their own, and sparse ones."""
    stored = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[5, 3, 3, 3])
    stored.data_location = TensorProto.EXTERNAL
    for key, value in (("location", "w.bin"), ("offset", "20"), ("length", "540")):
        stored.external_data.add(key=key, value=value)
    made = model([CONV, node("Mul", "c s", "y")])
    made.graph.initializer.append(stored)
    made.graph.sparse_initializer.add(
        values=onnx.numpy_helper.from_array(np.float32([2]), "s"),
        indices=onnx.numpy_helper.from_array(np.int64([3])),
        dims=[5, 1, 1],
    )
    return made


def _functions() -> onnx.ModelProto:
    """A function that calls another, with attributes; an If; shapes that are computed."""
    leaky = referring(node("LeakyRelu", "a", "b"), "alpha", "slope", AttributeProto.FLOAT)
    nodes = [
        CONV,
        call("Outer", "c", "o", slope=0.3),
        constant("yes", np.array(True)),
        constant("axes", np.int64([0, -1])),
        _if(),
        node("Shape", "i", "shape"),
        node("Reshape", "i axes", "y"),
    ]
    functions = [
        function("Inner", [leaky], slope=0.1),
        function("Outer", [call("Inner", "a", "b", slope=0.2)], slope=0.4),
    ]
    return model(nodes, {"w": FILTERS}, functions=functions, domains=["local"])


def _if() -> onnx.NodeProto:
    """An If whose branches read a tensor of outside."""
    return node(
        "If",
        "yes",
        "i",
        then_branch=branch([node("Relu", "o", "t")], "t"),
        else_branch=branch([node("Add", "o k", "e")], "e", k=np.float32([1])),
    )


MODELS = [_external(), _functions(), *(sample(seed).model for seed in range(24))]


def check(seed: int, folder: Path) -> str:
    """What is wrong with how the file of a seed is imported; it is kept in `folder`."""
    chance = random.Random(seed)
    made = onnx.ModelProto()
    made.CopyFrom(chance.choice((*MODELS, *MODELS[:2] * 4)))
    structure = seed % 3 != 0
    if structure:
        changed_message(made, chance)
    content = made.SerializeToString()
    path = emptied(folder) / "sample.onnx"
    path.write_bytes(content if structure else mutated(content, chance))
    _write_external(folder / "w.bin", chance)
    return problem(lambda: infer_shapes(onnx_io.load(path)), MEMORY)


def _write_external(path: Path, chance: random.Random) -> None:
    match chance.randrange(20):
        case 0:
            os.mkfifo(path)
        case 1:
            path.symlink_to(chance.choice(("/dev/zero", "/proc/self/mem", path.name)))
        case 2:
            pass
        case _:
            path.write_bytes(EXTERNAL[: chance.choice((2000, 2000, 100))])

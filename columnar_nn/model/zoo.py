"""The networks by name, and a name or an ONNX path resolved to a graph."""

from __future__ import annotations

import inspect
import os
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from columnar_nn.errors import CnnBenchError, InvalidModelError, UsageError, printable
from columnar_nn.model.graph import Graph
from columnar_nn.model.input_shapes import Sizes
from columnar_nn.model.networks.alexnet import alexnet
from columnar_nn.model.networks.convnext import convnext_tiny
from columnar_nn.model.networks.densenet import densenet121
from columnar_nn.model.networks.efficientnet import efficientnet_b0
from columnar_nn.model.networks.googlenet import googlenet
from columnar_nn.model.networks.mobilenet import mobilenet_v2, mobilenet_v3
from columnar_nn.model.networks.plain9 import plain9
from columnar_nn.model.networks.resnet import resnet18, resnet20, resnet50, resnext50
from columnar_nn.model.networks.shufflenet import shufflenet_v2
from columnar_nn.model.networks.squeezenet import squeezenet
from columnar_nn.model.networks.unet import unet
from columnar_nn.model.networks.vgg import vgg16
from columnar_nn.model.networks.vit import vit_tiny
from columnar_nn.model.networks.wide_resnet import wide_resnet28_10
from columnar_nn.model.shape_rules.operands import FIXED_BATCH
from columnar_nn.model.symbolic_batch import with_symbolic_batch

WEIGHTS = Path(__file__).parent / "weights"

SOME_IMAGES = ((1, 2), (23, 34))
"""Pairs of batch sizes. Constants of the first take little memory; the others are hardly any other
dimension of a network, nor divide one. One of each is even."""

_NUMBER = re.compile(r"[1-9]\d{0,3}")

BUILDERS: dict[str, Callable[..., Graph]] = {
    "plain9": plain9,
    "resnet20": resnet20,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "mobilenet_v2": mobilenet_v2,
    "squeezenet": squeezenet,
    "alexnet": alexnet,
    "vgg16": vgg16,
    "googlenet": googlenet,
    "resnext50": resnext50,
    "densenet121": densenet121,
    "wide_resnet28_10": wide_resnet28_10,
    "shufflenet_v2": shufflenet_v2,
    "mobilenet_v3": mobilenet_v3,
    "efficientnet_b0": efficientnet_b0,
    "convnext_tiny": convnext_tiny,
    "unet": unet,
    "vit_tiny": vit_tiny,
}

FACTORS = ("width", "depth", "resolution")
"""What variants of networks differ in: NAME@FACTOR=NUMBER, several factors one after the other.
A network has those that its builder takes by name, whose defaults are the network itself."""


def build(name: str) -> Graph:
    """The network called `name`, a variant perhaps, with seeded random weights.

    Raises UsageError if it is unknown, or no such variant can be made.
    """
    return _built(name)


def outline(name: str) -> Graph:
    """The layers of `build`, made at once: their filters and matrices are all zeros."""
    return _built(name, seed=None)


def _built(name: str, **options: Any) -> Graph:
    if os.path.isfile(name) and name not in BUILDERS:
        raise UsageError(
            f"model {name!r} is a file that is not called .onnx: export the network to ONNX, or, "
            "if that is what it is, rename it"
        )
    base, factors = _factors(name)
    if base not in BUILDERS:
        raise UsageError(
            f"unknown model {name!r}: choose from {', '.join(BUILDERS)}, "
            "or give the path of an .onnx file"
        )
    usual = _usual_factors(base)
    if not factors.keys() <= usual.keys():
        raise UsageError(f"model {name!r}: {base} has variants of {' and '.join(usual)} alone")
    try:
        graph = BUILDERS[base](**factors, **options)
    except InvalidModelError as error:
        raise UsageError(f"model {name!r}: {error}: choose another resolution") from None
    return replace(graph, name=_name(base, factors))


def is_file(name_or_path: str) -> bool:
    """Whether `resolve` takes it for the path of an .onnx file."""
    return name_or_path.lower().endswith(".onnx")


def resolve(
    name_or_path: str | os.PathLike[str],
    without: Collection[str] = (),
    input_shapes: Mapping[str, Sizes] | None = None,
) -> Graph:
    """The graph meant by a user: a path to an .onnx file, or a network's name.

    A file's network is named after the file, exporters' own names being all alike, and read with
    the rules of `model.rewrites` but those named in `without`; `input_shapes` fix the sizes that it
    leaves free. One made for one batch size is made
    to take any if it keeps the images of a batch apart; otherwise `Graph.batch` says the size that
    it is tied to. A name takes the trained weights shipped in `weights/<name>.onnx` if there are
    any, else the seeded random ones, as every variant has. Raises as `onnx_io.load` and
    `with_symbolic_batch` do, and UsageError for an unknown name.
    """
    if not isinstance(name_or_path, (str, os.PathLike)):
        raise UsageError(
            f"{type(name_or_path).__name__} is no network: give a name, of "
            f"{', '.join(BUILDERS)}, or the path of an .onnx file"
        )
    from columnar_nn.model import onnx_io  # loads onnx, which no network in memory needs

    name_or_path = os.fspath(name_or_path)
    if is_file(name_or_path):
        name = printable(Path(name_or_path).stem)

        def load(batch: int | None) -> Graph:
            graph = onnx_io.load(name_or_path, without, input_shapes, batch)
            return _symbolic(replace(graph, name=name), name_or_path)

        return _freed(load)
    if input_shapes:
        raise UsageError(f"--input-shape: {name_or_path} has its sizes; it is for .onnx files")
    name = _name(*_factors(name_or_path))
    shipped = WEIGHTS / f"{name}.onnx"
    if name in BUILDERS and shipped.exists():
        return onnx_io.load(shipped, without)
    return build(name_or_path)


def from_bytes(content: bytes) -> Graph:
    """The network in what an ONNX file holds, all of its weights included.

    It is made to take any batch size, and raises, as `resolve` of the file.
    """
    from columnar_nn.model import onnx_io

    def load(batch: int | None) -> Graph:
        graph = onnx_io.load_bytes(content, batch)
        return _symbolic(graph, graph.name)

    return _freed(load)


def _freed(load: Callable[[int | None], Graph]) -> Graph:
    """The network that `load` reads for the batch it is given, None being the file's own.

    One for any batch that calculates with its size is read for two numbers of images, and taken if
    that frees it from them and both are the same network. Raises what reading it as it is raises.
    """
    try:
        return load(None)
    except InvalidModelError as error:
        if FIXED_BATCH not in str(error):
            raise
        for sizes in SOME_IMAGES:
            try:
                first, second = map(load, sizes)
            except CnnBenchError:
                continue
            if first.batch is None and second.batch is None:
                if _is_same(first, second):
                    return first
                break
        raise


def _is_same(first: Graph, second: Graph) -> bool:
    """Whether two networks differ in nothing but the names of their weights."""
    if [replace(n, inputs=()) for n in first.nodes] != [
        replace(n, inputs=()) for n in second.nodes
    ]:
        return False
    return (first.inputs, first.outputs) == (second.inputs, second.outputs) and all(
        one == other
        if one not in first.weights
        else np.array_equal(first.weights[one], second.weights.get(other, np.zeros(0)))
        for node, alike in zip(first.nodes, second.nodes, strict=True)
        for one, other in zip_longest(node.inputs, alike.inputs, fillvalue="")
    )


def _symbolic(graph: Graph, what: str) -> Graph:
    try:
        return with_symbolic_batch(graph)
    except InvalidModelError as error:
        raise InvalidModelError(f"{what}: {error}") from None


def _factors(name: str) -> tuple[str, dict[str, int]]:
    """The network of which a name means a variant, and the factors that the name gives it."""
    base, *texts = name.split("@")
    factors: dict[str, int] = {}
    for text in texts:
        factor, _, number = text.partition("=")
        if factor not in FACTORS or factor in factors or not _NUMBER.fullmatch(number):
            raise UsageError(
                f"model {name!r}: expected each of {', '.join(f'@{f}=NUMBER' for f in FACTORS)} "
                "at most once, and a positive number"
            )
        factors[factor] = int(number)
    return base, factors


def _name(base: str, factors: Mapping[str, int]) -> str:
    """The one name of a variant; without factors that change nothing."""
    usual = _usual_factors(base)
    given = [f"@{f}={factors[f]}" for f in FACTORS if f in factors and factors[f] != usual.get(f)]
    return "".join([base, *given])


def _usual_factors(base: str) -> dict[str, int]:
    """What the variants of a network may have more of, and how much the network itself has."""
    if base not in BUILDERS:
        return {}
    parameters = inspect.signature(BUILDERS[base]).parameters
    return {factor: parameters[factor].default for factor in FACTORS if factor in parameters}

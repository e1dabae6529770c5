"""The networks by name, and a name or an ONNX path resolved to a graph."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import replace
from pathlib import Path

from columnar_nn.errors import InvalidModelError, UsageError, printable
from columnar_nn.model import onnx_io
from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.mobilenet import mobilenet_v2
from columnar_nn.model.networks.plain9 import plain9
from columnar_nn.model.networks.resnet import resnet18, resnet20, resnet50
from columnar_nn.model.networks.squeezenet import squeezenet
from columnar_nn.model.symbolic_batch import with_symbolic_batch

WEIGHTS = Path(__file__).parent / "weights"

BUILDERS: dict[str, Callable[[], Graph]] = {
    "plain9": plain9,
    "resnet20": resnet20,
    "resnet18": resnet18,
    "resnet50": resnet50,
    "mobilenet_v2": mobilenet_v2,
    "squeezenet": squeezenet,
}


def build(name: str) -> Graph:
    """The network called `name` with seeded random weights; raises UsageError if unknown."""
    if name not in BUILDERS:
        raise UsageError(
            f"unknown model {name!r}: choose from {', '.join(BUILDERS)}, "
            "or give the path of an .onnx file"
        )
    return BUILDERS[name]()


def is_file(name_or_path: str) -> bool:
    """Whether `resolve` takes it for the path of an .onnx file."""
    return name_or_path.endswith(".onnx")


def resolve(name_or_path: str, without: Collection[str] = ()) -> Graph:
    """The graph meant by a user: a path to an .onnx file, or a network's name.

    A file's network is named after the file, exporters' own names being all alike, and read with
    the rules of `model.rewrites` but those named in `without`. One made for one batch size is made
    to take any if it keeps the images of a batch apart; otherwise `Graph.batch` says the size that
    it is tied to. A name takes the trained weights shipped in `weights/<name>.onnx` if there are
    any, else the seeded random ones. Raises as `onnx_io.load` and `with_symbolic_batch` do, and
    UsageError for an unknown name.
    """
    if is_file(name_or_path):
        name = printable(Path(name_or_path).stem)
        return _symbolic(replace(onnx_io.load(name_or_path, without), name=name), name_or_path)
    shipped = WEIGHTS / f"{name_or_path}.onnx"
    if name_or_path in BUILDERS and shipped.exists():
        return onnx_io.load(shipped, without)
    return build(name_or_path)


def from_bytes(content: bytes) -> Graph:
    """The network in what an ONNX file holds, all of its weights included.

    It is made to take any batch size, and raises, as `resolve` of the file.
    """
    graph = onnx_io.load_bytes(content)
    return _symbolic(graph, graph.name)


def _symbolic(graph: Graph, what: str) -> Graph:
    try:
        return with_symbolic_batch(graph)
    except InvalidModelError as error:
        raise InvalidModelError(f"{what}: {error}") from None

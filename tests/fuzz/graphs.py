"""Random networks: what the import, the reference and the columnar engine make of a file, against
what the file itself gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from conformance.columnar_runner import run_columnar
from fuzz.file_truth import File, difference
from fuzz.random_network import Sample, sample

from bench.reduce import reduce
from columnar_nn.errors import UnsupportedOperatorError
from columnar_nn.model import zoo
from reference.evaluate import evaluate

FUSIONS = ("none", "layer", "pipeline")
ALGORITHMS = ("auto", "direct", "winograd")
WINOGRAD = 8.0
"""How many times less exact than the others an engine may be that may choose Winograd."""


def check(seed: int, folder: Path) -> str:
    """What is wrong with the network of a seed, or nothing; it and its smallest part are written
    into `folder` then, with the images that show it."""
    drawn, configuration = sample(seed), configuration_of(seed)
    found = problem(drawn, folder, *configuration)
    if found:
        kind = found.partition(":")[0]
        smallest = reduce(drawn.model, lambda m: _fails(m, drawn, kind, folder, *configuration))
        (folder / "network.onnx").write_bytes(drawn.model.SerializeToString())
        (folder / "smallest.onnx").write_bytes(smallest.SerializeToString())
        np.save(folder / "images.npy", drawn.images)
        operators = ", ".join(node.op_type for node in smallest.graph.node)
        found += f" (smallest part: {operators})"
    return found


def configuration_of(seed: int) -> tuple[str, str]:
    """The engine's fusion and algorithm: all pairs take their turn."""
    return FUSIONS[seed % 3], ALGORITHMS[seed // 3 % 3]


def problem(drawn: Sample, folder: Path, fusion: str, algorithm: str) -> str:
    """What is wrong with a sample's outputs, first its kind and then ": " and more; or nothing."""
    path = folder / "sample.onnx"
    path.write_bytes(drawn.model.SerializeToString())
    pixels = drawn.pixels()
    file = File(path, drawn.plain)
    truth = file.run(pixels)
    tolerances = file.tolerances(pixels, truth)
    try:
        graph = zoo.resolve(str(path))
    except Exception as error:
        return f"import raises {type(error).__name__}: {error}"
    names, source = [spec.name for spec in graph.outputs], graph.inputs[0].name
    if names != list(truth):
        return f"import changes outputs: {names}, in the file {list(truth)}"
    reference = evaluate(graph.nodes, graph.weights, {source: pixels}, names)
    # What an operator makes of NaN and infinity is for each runtime to say.
    finite = np.isfinite(pixels).reshape(len(pixels), -1).all(axis=1)
    for name, array in reference.items():
        if why := difference(array, truth[name], tolerances[name], finite):
            return f"reference differs from the file: {name} {why}"
    try:
        results = run_columnar(graph, {source: drawn.images}, fusion, algorithm)
    except UnsupportedOperatorError as error:
        return f"columnar refuses: {error}"
    except Exception as error:
        return f"columnar raises {type(error).__name__}: {error}"
    scale = 1.0 if algorithm == "direct" else WINOGRAD
    everywhere = np.ones(len(pixels), bool)
    for name, array in zip(names, results, strict=True):
        if why := difference(array, reference[name], scale * tolerances[name], everywhere):
            return f"columnar {fusion}/{algorithm} differs from the reference: {name} {why}"
    return ""


def _fails(
    model: onnx.ModelProto, drawn: Sample, kind: str, folder: Path, fusion: str, algorithm: str
) -> bool:
    """Whether a part of a sample's model has a problem of this kind."""
    dims = model.graph.input[0].type.tensor_type.shape.dim
    shape = tuple(dim.dim_value or len(drawn.images) for dim in dims)
    images = drawn.images
    if shape != images.shape:
        images = np.random.default_rng(0).standard_normal(shape, np.float32)
    try:
        found = problem(Sample(model, images, model), folder, fusion, algorithm)
    except Exception:  # ONNX Runtime refuses this part
        return False
    return found.partition(":")[0] == kind

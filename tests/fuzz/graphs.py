"""Random networks: what the import, the reference and the columnar engine make of a file, against
what the file itself gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from conformance.columnar_runner import run_columnar
from fuzz.file_truth import File, difference
from fuzz.random_network import Sample, sample
from fuzz.smallest import keep_smallest

from columnar_nn.model import zoo
from reference.evaluate import evaluate

FUSIONS = ("none", "layer", "pipeline")
ALGORITHMS = ("auto", "direct", "winograd", "textbook")
HUGE = 1e36
WINOGRAD = 8.0
"""How many times less exact than the others an engine may be that may choose Winograd."""


def check(seed: int, folder: Path) -> str:
    """What is wrong with the network of a seed, or nothing; what shows it is kept in `folder`."""
    drawn, (fusion, algorithm) = sample(seed), configuration_of(seed)

    def wrong(part: Sample) -> str:
        return problem(part, folder, fusion, algorithm)

    found = wrong(drawn)
    return found and keep_smallest(drawn, found, wrong, folder)


def configuration_of(seed: int) -> tuple[str, str]:
    """The engine's fusion and algorithm: all pairs take their turn."""
    return FUSIONS[seed % 3], ALGORITHMS[seed // 3 % 4]


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
    reference = evaluate(graph.nodes, graph.weights, {source: pixels}, names)
    # What an operator makes of NaN and infinity is for each runtime to say.
    finite = np.isfinite(pixels).reshape(len(pixels), -1).all(axis=1)
    if why := difference(reference, truth, tolerances, finite):
        return f"reference differs from the file: {why}"
    try:
        results = run_columnar(graph, {source: drawn.images}, fusion, algorithm)
    except Exception as error:
        return f"columnar {fusion}/{algorithm} raises {type(error).__name__}: {error}"
    scale = 1.0 if algorithm in ("direct", "textbook") else WINOGRAD
    allowed = {name: scale * tolerance for name, tolerance in tolerances.items()}
    engine = dict(zip(names, results, strict=True))
    # Sums near the end of float32 overflow in one order and not in another.
    far = [np.isfinite(array) & (np.abs(array) > HUGE) for array in reference.values()]
    near = ~np.logical_or.reduce([f.reshape(len(pixels), -1).any(axis=1) for f in far])
    if why := difference(engine, reference, allowed, near):
        return f"columnar {fusion}/{algorithm} differs from the reference: {why}"
    return ""

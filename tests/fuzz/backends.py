"""Random networks through the adapters of the frameworks, against the reference."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
from fuzz.file_truth import File, difference
from fuzz.random_network import Sample, sample
from fuzz.smallest import keep_smallest

from adapters import registry
from adapters.base import Settings, Stopwatch
from columnar_nn.data import tensor_column
from columnar_nn.errors import UnsupportedOperatorError
from columnar_nn.model import zoo
from reference.evaluate import evaluate

os.environ |= {"ORT_DISABLE_TELEMETRY": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}

ENGINES = (
    "openvino:float32",
    "pytorch:eager",
    "onnxruntime:default",
    "tensorflow:function",
    "pytorch:torchscript",
)
"""They take turns: a seed is of one."""
NOISES = 4.0
"""How many times less exact than ONNX Runtime without optimisations they may be."""


def check(seed: int, folder: Path) -> str:
    """What is wrong with the outputs for a seed, or nothing; what shows it is kept in `folder`."""
    drawn, engine = sample(seed), ENGINES[seed % len(ENGINES)]

    def wrong(part: Sample) -> str:
        return problem(part, folder, engine)

    found = wrong(drawn)
    return found and keep_smallest(drawn, found, wrong, folder)


def problem(drawn: Sample, folder: Path, engine: str) -> str:
    """What is wrong with the outputs of an engine that takes the network, or nothing."""
    path = folder / "sample.onnx"
    path.write_bytes(drawn.model.SerializeToString())
    pixels = drawn.pixels()
    file = File(path, drawn.plain)
    tolerances = file.tolerances(pixels, file.run(pixels))
    allowed = {name: NOISES * tolerance for name, tolerance in tolerances.items()}
    graph = zoo.resolve(str(path))
    names, source = [spec.name for spec in graph.outputs], graph.inputs[0].name
    reference = evaluate(graph.nodes, graph.weights, {source: pixels}, names)
    name, _, configuration = engine.partition(":")
    backend_class = registry.load(name)
    backend_class.import_framework()
    batch = pa.RecordBatch.from_arrays([tensor_column.from_numpy(drawn.images)], names=["image"])
    try:
        backend = backend_class(graph, Settings(configuration, 1, len(pixels)))
        (output,) = backend.infer([batch], Stopwatch())
    except UnsupportedOperatorError:
        return ""
    except Exception as error:
        return f"{engine} raises {type(error).__name__}: {error}"
    outputs = {n: tensor_column.to_numpy(output.column(n)) for n in output.schema.names}
    backend.close()
    finite = np.isfinite(pixels).reshape(len(pixels), -1).all(axis=1)
    why = difference(outputs, reference, allowed, finite)
    return why and f"{engine} differs from the reference: {why}"

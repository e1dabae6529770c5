"""Random networks through the frameworks' adapters, against the reference."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pyarrow as pa
from fuzz.file_truth import File, difference
from fuzz.random_network import Sample, sample

from adapters import registry
from adapters.base import Settings, Stopwatch
from bench.reduce import reduce
from columnar_nn import tensor_column
from columnar_nn.errors import UnsupportedOperatorError
from columnar_nn.model import zoo
from reference.evaluate import evaluate

os.environ |= {"ORT_DISABLE_TELEMETRY": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
CONFIGURATIONS = (
    "openvino:float32",
    "pytorch:eager",
    "onnxruntime:default",
    "tensorflow:function",
    "pytorch:torchscript",
)
NOISE = 4.0
"""How many times less exact than ONNX Runtime without optimisations; PyTorch uses Winograd, too."""


def check(seed: int, folder: Path) -> str:
    """What is wrong with the outputs of the backend whose turn it is."""
    drawn, engine = sample(seed), CONFIGURATIONS[seed % len(CONFIGURATIONS)]
    found = problem(drawn, folder, engine)
    if found:
        kind = found.partition(":")[0]

        def fails(model):
            dims = model.graph.input[0].type.tensor_type.shape.dim
            shape = tuple(dim.dim_value or len(drawn.images) for dim in dims)
            images = drawn.images
            if shape != images.shape:
                images = np.random.default_rng(0).standard_normal(shape, np.float32)
            try:
                return (
                    problem(Sample(model, images, model), folder, engine).partition(":")[0] == kind
                )
            except Exception:
                return False

        smallest = reduce(drawn.model, fails, 100)
        (folder / "smallest.onnx").write_bytes(smallest.SerializeToString())
        import onnx.printer

        found += f" (smallest part: {onnx.printer.to_text(smallest.graph)})"
    return found


def problem(drawn: Sample, folder: Path, engine: str) -> str:
    path = folder / "sample.onnx"
    path.write_bytes(drawn.model.SerializeToString())
    pixels = drawn.pixels()
    file = File(path, drawn.plain)
    tolerances = file.tolerances(pixels, file.run(pixels))
    try:
        graph = zoo.resolve(str(path))
    except Exception:
        return ""  # graphs.py says so
    names, source = [spec.name for spec in graph.outputs], graph.inputs[0].name
    reference = evaluate(graph.nodes, graph.weights, {source: pixels}, names)
    name, _, configuration = engine.partition(":")
    backend_class = registry.load(name)
    backend_class.import_framework()
    batch = pa.RecordBatch.from_arrays([tensor_column.from_numpy(drawn.images)], names=["image"])
    try:
        backend = backend_class(graph, Settings(configuration, 1, len(pixels)))
        (outputs,) = backend.infer([batch], Stopwatch())
    except UnsupportedOperatorError:
        return ""
    except Exception as error:
        return f"{engine} raises {type(error).__name__}: {' '.join(str(error).split())[:300]}"
    finite = np.isfinite(pixels).reshape(len(pixels), -1).all(axis=1)
    for column, array in zip(outputs.columns, reference.items(), strict=True):
        actual = tensor_column.to_numpy(column)
        tensor, truth = array
        if tensor not in tolerances or tolerances[tensor].ndim != truth.ndim:
            return ""
        if why := difference(actual, truth, NOISE * tolerances[tensor], finite):
            return f"{engine} differs from the reference: {tensor} {why}"
    backend.close()
    return ""

"""Right backends on real networks stay well within the noise's tolerance; float16 does not."""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

import numpy as np
import pyarrow as pa
import pytest

from adapters import registry
from adapters.base import Settings, Stopwatch, image_array
from bench.data.dataset import open_dataset
from bench.verdict.noise import DIMMED, K, Noise, NoiseAccumulator
from bench.verdict.parity import Tolerance
from bench.verdict.rule import Judge, Verdict
from bench.verdict.status import FAILED, PASSED
from columnar_nn.data import tensor_column
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph
from reference.evaluate import evaluate

BATCH = 4
NETWORKS = {"plain9": 16, "squeezenet": 4}
BACKENDS = ("columnar:pipeline/auto", "columnar:pipeline/direct", "onnxruntime:default")


class Truth:
    """A network's images, the reference's outputs for them, and their noise."""

    def __init__(self, network: str) -> None:
        self.graph: Graph = zoo.resolve(network)
        dataset = open_dataset("photo10").fitted_to(self.graph)
        self.batches = list(dataset.batches(NETWORKS[network], BATCH))
        accumulator = NoiseAccumulator()
        outputs = []
        for batch in self.batches:
            images = image_array(batch)
            outputs.append(self._evaluate(images, np.float64))
            plain = self._evaluate(images, np.float32)
            dimmed = self._evaluate(images * np.float32(DIMMED), np.float32)
            accumulator.add(outputs[-1], plain, dimmed)
        self.reference = np.concatenate(outputs)
        self.noise: Noise = accumulator.result()

    def _evaluate(self, images: np.ndarray, calculation: type[np.floating]) -> np.ndarray:
        name = self.graph.outputs[0].name
        inputs = {self.graph.inputs[0].name: images}
        graph = self.graph
        return evaluate(graph.nodes, graph.weights, inputs, [name], calculation=calculation)[name]

    def judge(self, output: np.ndarray) -> Verdict:
        judge = Judge(Tolerance(np.inf, 0.0), self.noise)
        judge.add(output, self.reference)
        return judge.verdict()


truth = cache(Truth)


def run(label: str, graph: Graph, batches: list[pa.RecordBatch]) -> np.ndarray:
    name, _, configuration = label.partition(":")
    backend = registry.load(name)(graph, Settings(configuration, 1, BATCH))
    outputs = list(backend.infer(iter(batches), Stopwatch()))
    backend.close()
    return np.concatenate([tensor_column.to_numpy(batch.column(0)) for batch in outputs])


@pytest.mark.parametrize("network", ["plain9", pytest.param("squeezenet", marks=pytest.mark.slow)])
@pytest.mark.parametrize("backend", BACKENDS)
def test_right_backends_pass(network: str, backend: str) -> None:
    if find_spec(backend.partition(":")[0].replace("columnar", "columnar_nn")) is None:
        pytest.skip("not installed")
    known = truth(network)
    output = run(backend, known.graph, known.batches)
    judged = known.judge(output)
    assert judged.status == PASSED, judged.reason
    assert max(judged.column_ratio, judged.row_ratio) < K / 2
    rounded = known.judge(output.astype(np.float16).astype(np.float32))
    assert rounded.status == FAILED
    assert rounded.column_ratio > 4 * K


def test_dead_images_of_plain9_are_found() -> None:
    """photo10's first image is all zeros before plain9's last layer: bias whatever was computed."""
    known = truth("plain9")
    graph = known.graph
    name = graph.nodes[-2].outputs[0]
    inputs = {graph.inputs[0].name: np.concatenate([image_array(b) for b in known.batches])}
    last = evaluate(graph.nodes, graph.weights, inputs, [name])[name]
    alive = (last.reshape(len(last), -1) != 0).any(axis=1)
    assert not alive[0]
    assert known.noise.telling.tolist() == alive.tolist()

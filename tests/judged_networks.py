"""Networks on photographs, their reference outputs and noise, and engines judged by these."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from adapters import registry
from adapters.base import Settings, Stopwatch, image_array
from bench.data.dataset import open_dataset
from bench.verdict.noise import DIMMED, Noise, NoiseAccumulator
from bench.verdict.parity import Tolerance
from bench.verdict.precision import BFLOAT16, FLOAT32, Precision
from bench.verdict.rule import Judge, Verdict
from columnar_nn.data import tensor_column
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph
from reference.evaluate import evaluate

BATCH = 4

SMALL = {
    "alexnet": 64,
    "vgg16": 32,
    "googlenet": 64,
    "resnext50": 32,
    "densenet121": 32,
    "wide_resnet28_10": 8,
    "shufflenet_v2": 32,
    "mobilenet_v3": 32,
    "efficientnet_b0": 32,
    "convnext_tiny": 32,
    "unet": 16,
    "vit_tiny": 16,
}
"""Networks that are large, and pixels a side that leave each layer something to do and no more."""


def small(name: str) -> str:
    """The variant of a network that is built and run soonest, itself if it is small."""
    return f"{name}@resolution={SMALL[name]}" if name in SMALL else name


class Truth:
    """A network's images, the reference's outputs for them, and their noise."""

    def __init__(self, network: str, images: int, precision: Precision = FLOAT32) -> None:
        self.precision = precision
        self.graph: Graph = zoo.resolve(network)
        dataset = open_dataset("photo10").fitted_to(self.graph)
        self.batches = list(dataset.batches(images, BATCH))
        accumulator = NoiseAccumulator(precision)
        outputs = []
        for batch in self.batches:
            pixels = image_array(batch)
            outputs.append(self._evaluate(pixels, np.float64))
            plain = self._evaluate(pixels, np.float32)
            dimmed = self._evaluate(pixels * np.float32(DIMMED), np.float32)
            accumulator.add(outputs[-1], plain, dimmed)
        self.reference = np.concatenate(outputs)
        self.noise: Noise = accumulator.result()

    def _evaluate(self, images: np.ndarray, calculation: type[np.floating]) -> np.ndarray:
        name = self.graph.outputs[0].name
        inputs = {self.graph.inputs[0].name: images}
        graph = self.graph
        narrow = self.precision == BFLOAT16 and calculation is np.float32
        return evaluate(
            *(graph.nodes, graph.weights, inputs, [name]),
            calculation=calculation,
            bfloat16_factors=narrow,
        )[name]

    def judge(self, output: np.ndarray) -> Verdict:
        """By the noise alone."""
        judge = Judge(Tolerance(np.inf, 0.0), self.noise, precision=self.precision)
        judge.add(output, self.reference)
        return judge.verdict()


def run(label: str, graph: Graph, batches: list[pa.RecordBatch]) -> np.ndarray:
    """What a backend in a configuration, NAME:CONFIGURATION, makes of the images."""
    name, _, configuration = label.partition(":")
    backend = registry.load(name)(graph, Settings(configuration, 1, BATCH))
    outputs = list(backend.infer(iter(batches), Stopwatch()))
    backend.close()
    return np.concatenate([tensor_column.to_numpy(batch.column(0)) for batch in outputs])

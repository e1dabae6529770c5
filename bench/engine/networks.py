"""Large networks, and those for small devices, beside the two strongest other engines."""

from __future__ import annotations

from dataclasses import dataclass

from bench.data.dataset import dataset_for
from bench.engine.setup import Setup
from bench.results.result import Result
from bench.workers.selection import select
from columnar_nn.model import zoo

NETWORKS = (
    "resnet50",
    "resnet18",
    "vgg16",
    "densenet121",
    "mobilenet_v2",
    "mobilenet_v3",
    "efficientnet_b0",
    "convnext_tiny",
    "unet",
)
OURS = "columnar:pipeline/auto"
PEERS = {"onnxruntime:default": "ONNX Runtime", "openvino:float32": "OpenVINO"}
"""The other engines, and what the tables call them."""

SAMPLES = (1, 8)
IMAGES = 64
"""How many there are, of which outputs are checked."""


@dataclass(frozen=True)
class Networks:
    """One comparison for each network, its engines interleaved in it, one thread."""

    comparisons: tuple[Result, ...]


def measure(setup: Setup) -> Networks:
    """Compares the engines on each, in float32; the network and images of the setup are not used.

    Weights are the seeded random ones, images noise of each network's size.
    """
    found = []
    for index, name in enumerate(NETWORKS):
        graph = zoo.resolve(name)
        dataset = dataset_for(graph, "synthetic", IMAGES)
        own = setup.of_several(index, len(NETWORKS), graph, dataset)
        found.append(own.compare("networks", select([OURS, *PEERS]), SAMPLES))
    return Networks(tuple(found))

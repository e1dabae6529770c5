"""The algorithms that "auto" chooses stay within three times the error of direct convolution."""

from __future__ import annotations

from pathlib import Path

import convolutional_networks
import numpy as np
import pyarrow as pa
import pytest
import torch
from exec.networks import column
from generated import normal

from adapters.pytorch.network import network
from columnar_nn.data import tensor_column
from columnar_nn.exec.executable import prepare
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model import zoo
from columnar_nn.model.graph import Graph
from columnar_nn.plan.builder import PlanBuilder

FACTOR = 3
WITHOUT_WINOGRAD = {"mobilenet_v2"}  # its 3x3 filters are depthwise
NETWORKS = (
    *("plain9", "resnet20", "resnet18", "resnet50", "mobilenet_v2", "squeezenet"),
    "googlenet@resolution=64",
    *(
        pytest.param(name, marks=pytest.mark.nightly)
        for name in ("vgg16@resolution=64", "unet@resolution=32", "wide_resnet28_10@resolution=16")
    ),
)


def smooth(count: int, shape: tuple[int, ...]) -> np.ndarray:
    """Pixels from 0 to 1, most like their neighbours, as photographs have them."""
    coarse = torch.tensor(normal(1, count, shape[0], 6, 6))
    pixels = torch.nn.functional.interpolate(coarse, shape[1:], mode="bicubic").numpy()
    noise = normal(2, count, *shape)
    return np.clip(0.45 + 0.26 * pixels + 0.04 * noise, 0, 1).astype(np.float32)


def outputs(graph: Graph, images: np.ndarray, algorithm: str) -> tuple[np.ndarray, list[str]]:
    """What the engine makes of images, and the kernels that it took."""
    batch = pa.record_batch({"image": tensor_column.from_numpy(images)})
    plan = PlanBuilder().values([batch]).project(network_outputs(graph, "image")).plan()
    with prepare(plan, algorithm=algorithm) as executable:
        table = executable.run().to_table()
        return column(table, graph.outputs[0].name), [step.kernel for step in executable.steps]


def root_mean_square(error: np.ndarray) -> float:
    return float(np.sqrt((error**2).mean()))


def largest(error: np.ndarray) -> float:
    return float(np.abs(error).max())


def check(graph: Graph, count: int) -> list[str]:
    """Fails unless auto is accurate, on images of either kind; the kernels that it took."""
    shape = tuple(size for size in graph.inputs[0].shape[1:] if size is not None)
    exact, kernels = network(graph).double(), []
    for images in (smooth(count, shape), normal(3, count, *shape)):
        direct, usual = outputs(graph, images, "direct")
        auto, kernels = outputs(graph, images, "auto")
        if kernels == usual:
            np.testing.assert_array_equal(auto, direct)
            continue
        with torch.no_grad():
            truth = exact(torch.tensor(images).double())[0].numpy()
        for measure in (root_mean_square, largest):
            assert measure(auto - truth) <= FACTOR * measure(direct - truth)
    return kernels


@pytest.mark.slow
@pytest.mark.parametrize("name", NETWORKS)
def test_of_the_built_in_networks(name: str) -> None:
    graph = zoo.resolve(name)
    kernels = check(graph, 16 if name in ("plain9", "resnet20") else 1)
    assert any("winograd" in kernel for kernel in kernels) == (name not in WITHOUT_WINOGRAD)


@pytest.mark.filterwarnings("ignore")  # the exporter warns about itself
@pytest.mark.parametrize("name", convolutional_networks.NETWORKS)
def test_of_exported_networks(name: str, tmp_path: Path) -> None:
    kernels = check(zoo.resolve(str(convolutional_networks.export(name, tmp_path))), 8)
    assert any("winograd" in kernel for kernel in kernels)

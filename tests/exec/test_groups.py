"""Networks whose last layers groups of images go through: results, order, threads, explain."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from closeness import assert_close
from generated import normal

from bench.explain import text as explain_text
from columnar_nn.data import tensor_column
from columnar_nn.exec.executable import Executable, prepare
from columnar_nn.kernels import Layout, conv2d, dense, max_pool
from columnar_nn.kernels.regions import IMAGE_BY_IMAGE, Regions, choose
from columnar_nn.lowering.network import network_outputs
from columnar_nn.model.graph import Graph
from columnar_nn.model.networks.builder import NetworkBuilder
from columnar_nn.plan.builder import PlanBuilder
from reference.evaluate import evaluate

SHAPE = (3, 16, 15)
CHANNELS = 96
"""Filters of F(4x4) between as many channels are 1.3 MB."""

ROWS = 21


def narrow_network() -> Graph:
    """Residual blocks whose filters outgrow a core's cache, on few pixels, and a classifier."""
    network = NetworkBuilder("narrow", SHAPE)
    tensor = network.relu("relu1", network.conv("conv1", "image", CHANNELS, 3, pad=1, bias=True))
    tensor = network.max_pool("pool", tensor, 2, 2)
    for block in range(2):
        name = f"block{block}"
        inner = network.conv(f"{name}.conv1", tensor, CHANNELS, 3, pad=1, bias=True)
        inner = network.conv(
            f"{name}.conv2", network.relu(f"{name}.relu1", inner), CHANNELS, 1, bias=True
        )
        tensor = network.relu(f"{name}.relu2", network.add(f"{name}.add", inner, tensor))
    features = network.flatten("flat", tensor)
    return network.graph(network.dense("classifier", features, 100, output="logits"))


def batch(pixels: np.ndarray) -> pa.RecordBatch:
    return pa.record_batch({"image": tensor_column.from_numpy(pixels)})


def executable(graph: Graph, threads: int = 1) -> Executable:
    pixels = batch(np.zeros((1, *SHAPE), np.float32))
    projections = network_outputs(graph, graph.columns)
    plan = PlanBuilder().table_scan(pa.table(pixels)).project(projections).plan()
    return prepare(plan, threads, "pipeline", "auto")


def logits(executable: Executable, pixels: np.ndarray) -> np.ndarray:
    return tensor_column.to_numpy(executable.call(batch(pixels)).column(0))


def test_a_group_gives_each_image_what_it_gets_alone() -> None:
    graph, pixels = narrow_network(), np.abs(normal(1, ROWS, *SHAPE))
    with executable(graph) as runs:
        (program,) = runs.programs
        assert program.regions.images == 16
        first = program.steps[program.regions.first_grouped]
        assert first.label.startswith("block0.conv1")
        assert first.kernel == "conv2d_winograd_f4x4_3x3"
        together = logits(runs, pixels)
        alone = np.concatenate([logits(runs, pixels[row : row + 1]) for row in range(ROWS)])
    np.testing.assert_array_equal(together, alone)
    expected = evaluate(graph.nodes, graph.weights, {"image": pixels}, ["logits"])["logits"]
    scale = np.abs(expected).max()
    assert_close(together, expected.astype(np.float32), rtol=0, atol=1e-5 * float(scale))


@pytest.mark.parametrize("rows", [1, 2, 7, ROWS])
def test_threads_share_the_groups(rows: int) -> None:
    graph, pixels = narrow_network(), np.abs(normal(2, rows, *SHAPE))
    with executable(graph) as one, executable(graph, threads=3) as three:
        for _ in range(3):
            assert_close(logits(three, pixels), logits(one, pixels), rtol=1e-5, atol=1e-5)


def test_an_infinite_pixel_spoils_its_own_image_only() -> None:
    graph, pixels = narrow_network(), np.abs(normal(3, 9, *SHAPE))
    beyond = pixels.copy()
    beyond[4, 1, 5, 5] = np.inf
    with executable(graph) as runs:
        expected, found = logits(runs, pixels), logits(runs, beyond)
    others = np.arange(9) != 4
    assert not np.isfinite(found[4]).all()
    assert_close(found[others], expected[others], rtol=1e-4, atol=1e-4)


def test_explain_names_the_first_step_and_states_the_memory() -> None:
    with executable(narrow_network()) as runs:
        (program,) = runs.programs
        told = " ".join(explain_text.text(runs, None, None).split())
    assert " image by image before block0.conv1" in told
    assert "; from there on groups of up to 16 images go through a step before the next" in told
    assert f"activation memory of a group: {program.group_bytes / 1e3:.1f} kB" in told
    images = 16 * 4 * CHANNELS * 8 * 7
    assert 2 * images <= program.group_bytes <= 4 * images + 2**17


def test_the_rule_weighs_weights_against_activations() -> None:
    def regions(*sizes: tuple[int, int]) -> Regions:
        kernels = []
        for channels, size in sizes:
            layout = Layout("nchw16c", (channels, size, size))
            weight = np.ones((channels, channels, 3, 3), np.float32)
            kernels.append(conv2d(layout, weight, pads=(1, 1, 1, 1), algorithm="winograd_f4"))
        return choose(kernels)

    assert regions((32, 8), (64, 8)) == IMAGE_BY_IMAGE
    assert regions((32, 8), (96, 8)) == Regions(1, 16)
    assert regions((96, 8), (32, 8)) == Regions(0, 16)
    assert regions((96, 8), (32, 60), (32, 60), (128, 8)) == Regions(3, 16)
    assert regions((96, 68)) == Regions(0, 4)
    assert regions((96, 80)) == IMAGE_BY_IMAGE


def test_steps_whose_kernels_take_one_image_are_no_reason_for_groups() -> None:
    layout = Layout("nchw16c", (600, 2, 2))
    pool = max_pool(layout, (2, 2), (2, 2), (0, 0, 0, 0))
    direct = conv2d(layout, np.ones((600, 600, 1, 1), np.float32))
    assert choose([direct, pool]) == IMAGE_BY_IMAGE
    classifier = dense(pool.output_layout, np.ones((600, 600), np.float32))
    assert choose([direct, pool, classifier]) == Regions(2, 16)


def test_groups_are_of_one_size_and_leave_no_thread_without() -> None:
    regions = Regions(3, 8)
    assert [regions.group(rows) for rows in (1, 8, 9, 16, 17)] == [1, 8, 5, 8, 6]
    assert [regions.group(rows, members=2) for rows in (1, 2, 8, 40)] == [1, 1, 4, 8]
    assert IMAGE_BY_IMAGE.group(100) == 1

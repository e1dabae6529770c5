"""The bundle that comes with the project, verified with every backend that is installed."""

from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest

from adapters import registry
from adapters.base import image_array
from bench.data.dataset import open_dataset
from bench.golden import checks, tap_selection
from bench.golden.bisect import bisect
from bench.golden.bundle import Bundle, open_bundle
from bench.golden.create import create
from bench.golden.diff import Side, diff
from bench.golden.manifest import recreate_command
from bench.golden.verify import Comparing, Verification, verify
from bench.machine import cpus
from bench.verdict.status import PASSED, SKIPPED
from bench.workers.options import Options
from bench.workers.selection import select_one
from columnar_nn.model import zoo
from reference.evaluate import evaluate

ELEMENTWISE = Comparing(checks.parse("elementwise"))
FOLDER = Path(__file__).parents[2] / "golden" / "plain9-photo10"
MAX_BYTES = 20_000_000
NUM_IMAGES = 16
ALGORITHMS = ("auto", "direct", "winograd")
SLOW_TO_START = ("tensorflow", "velox")
SPOILED = {"SwappedFilters": "conv4", "DroppedBias": "conv3", "Float16Filters": "conv2"}


@pytest.fixture(scope="module")
def committed() -> Bundle:
    return open_bundle(FOLDER)


def run(bundle: Bundle, backend: str, taps: str, algorithm: str = "auto") -> Verification:
    options = Options(cpus.choose(1), 300.0, bundle.manifest.rows, algorithm)
    comparing = replace(ELEMENTWISE, taps=(taps,))
    verification = verify(bundle, select_one(backend), options, comparing)
    if verification.status == SKIPPED:
        pytest.skip(verification.reason)
    return verification


def assert_passed(verification: Verification) -> None:
    """Fails naming the tensor, its status and its error."""
    for result in verification.results:
        assert result.status == PASSED, f"{result.tensor.name}: {result.reason}"
    assert verification.status == PASSED, verification.reason


def test_it_is_small_and_has_every_tensor(committed: Bundle) -> None:
    assert sum(entry.bytes for entry in committed.manifest.files.values()) < MAX_BYTES
    assert len(committed.manifest.tensors) == len(committed.manifest.operators) == 16
    assert committed.manifest.creation.model == "plain9"
    assert committed.manifest.creation.data == "photo10"
    assert committed.manifest.rows == NUM_IMAGES


def test_its_images_are_the_first_in_a_row_that_all_say_something(committed: Bundle) -> None:
    """In the last layer but one an image is either dead or tells; every other run has one."""
    noises = committed.noises()
    assert all(noise.telling.all() for noise in noises.values())
    graph = committed.graph()
    graph = graph.with_outputs(tap_selection.select(graph, ("relu7",)))
    start = committed.manifest.creation.start
    (images,) = open_dataset("photo10").batches(start + NUM_IMAGES, start + NUM_IMAGES)
    inputs = {graph.inputs[0].name: image_array(images)}
    (dead,) = np.nonzero(
        ~evaluate(graph.nodes, graph.weights, inputs, ["relu7"])["relu7"].any((1, 2, 3))
    )
    assert dead.max() == start - 1
    assert np.diff(dead, prepend=-1).max() <= NUM_IMAGES


def test_it_is_of_the_shipped_network_and_data(committed: Bundle, tmp_path: Path) -> None:
    """Fails when weights or images change: then the bundle has to be created again."""
    creation = committed.manifest.creation
    dataset = open_dataset(creation.data)
    create(tmp_path / "again", zoo.resolve(creation.model), dataset, creation)
    again = open_bundle(tmp_path / "again")
    ours, new = committed.manifest, again.manifest
    for file in (ours.model_file, ours.data.file):
        assert ours.files[file] == new.files[file], recreate_command(asdict(creation))
    comparison = diff(Side(FOLDER, committed), Side(again.folder, again), ELEMENTWISE)
    assert comparison.status == PASSED


@pytest.mark.parametrize(
    ("backend", "taps"),
    [
        pytest.param(backend, taps, marks=[pytest.mark.slow] if backend in SLOW_TO_START else [])
        for backend in registry.BACKENDS
        for taps in (("all",) if backend in SLOW_TO_START else ("all", "outputs"))
    ],
)
def test_every_backend_passes(committed: Bundle, backend: str, taps: str) -> None:
    verification = run(committed, backend, taps)
    assert_passed(verification)
    assert len(verification.results) == (16 if taps == "all" else 1)


@pytest.mark.parametrize("taps", ["all", "outputs"])
@pytest.mark.parametrize("algorithm", ALGORITHMS[1:])
def test_columnar_passes_with_each_algorithm(committed: Bundle, algorithm: str, taps: str) -> None:
    verification = run(committed, "columnar", taps, algorithm)
    assert_passed(verification)
    assert algorithm in verification.description["algorithm"]


@pytest.mark.parametrize("backend", SPOILED)
def test_fault_in_the_columnar_engine_is_found(committed: Bundle, backend: str) -> None:
    verification = run(committed, f"golden.spoiled_backends.{backend}", "all")
    first = verification.first_diverging
    assert first is not None
    assert (first.status, first.tensor.operator) == ("FAILED", SPOILED[backend])


@pytest.mark.parametrize(
    ("backend", "operator"), [("ChannelsLastDense", "dense"), ("ShiftedPadding", "conv2")]
)
def test_fault_in_the_columnar_engine_on_another_network(
    bundle: Bundle, backend: str, operator: str
) -> None:
    first = run(bundle, f"golden.spoiled_backends.{backend}", "all").first_diverging
    assert first is not None
    assert (first.status, first.tensor.operator) == ("FAILED", operator)


def test_bisect_of_the_columnar_engine(committed: Bundle) -> None:
    selection = select_one("golden.spoiled_backends.DroppedBias")
    options = Options(cpus.choose(1), 300.0, committed.manifest.rows)
    bisection = bisect(committed, selection, options, ELEMENTWISE)
    assert [error.tensor.operator for error in bisection.culprits] == ["conv3"]
    assert all(error.own is not None for error in bisection.operators)

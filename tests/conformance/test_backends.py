"""Every backend gives what the reference gives, and the reference what ONNX's evaluator gives."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from closeness import assert_close
from conformance.backend_gaps import GAPS
from conformance.backend_workers import BackendWorkers
from conformance.op_cases import BATCH_SIZE, CASES, NETWORKS, PLAIN, Case, plain, taps
from onnx.reference import ReferenceEvaluator

from adapters import registry
from bench.verdict.status import UNIMPLEMENTED
from bench.workers.process import WorkerError
from columnar_nn.model import onnx_io
from columnar_nn.model.graph import Graph, Node, TensorSpec
from columnar_nn.settings import cache_root
from reference.evaluate import evaluate

NARROW = {"bfloat16": 0.05, "float16": 0.01}
"""Tolerances of engines that compute in a narrower precision on processors that have it."""


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BackendWorkers]:
    running = BackendWorkers(tmp_path_factory.mktemp("conformance"))
    yield running
    running.close()


def expected(graph: Graph, images: np.ndarray) -> dict[str, np.ndarray]:
    """The reference's outputs by name; uint8 pixels are divided by 255 first."""
    pixels = images / np.float32(255) if images.dtype == np.uint8 else images
    names = [spec.name for spec in graph.outputs]
    return evaluate(graph.nodes, graph.weights, {graph.inputs[0].name: pixels}, names)


def assert_outputs(
    actual: dict[str, np.ndarray], truth: dict[str, np.ndarray], tolerance: float
) -> None:
    """Fails unless the outputs are those of the truth, in its order, within the tolerance."""
    assert list(actual) == list(truth)
    for name, array in truth.items():
        largest = float(np.abs(array).max())
        assert_close(actual[name], array, rtol=tolerance, atol=tolerance * largest)


def run_or_skip(
    workers: BackendWorkers, engine: str, case: Case, graph: Graph, threads: int = 1
) -> dict[str, np.ndarray]:
    """The outputs of a case's graph; skips the test if it is a known gap that is still open."""
    reason = gap(engine, case)
    if reason is None:
        return workers.infer(engine, graph, case.images, BATCH_SIZE, threads)
    with pytest.raises(WorkerError) as raised:
        workers.infer(engine, graph, case.images, BATCH_SIZE, threads)
    assert raised.value.status == UNIMPLEMENTED
    return pytest.skip(reason)


def gap(engine: str, case: Case) -> str | None:
    """Why a backend does not run a case; None if it does."""
    backend, _, configuration = engine.partition(":")
    gaps = GAPS.get(backend, {}).items()
    return next((why for pattern, why in gaps if fits(pattern, configuration, case)), None)


def fits(pattern: str, configuration: str, case: Case) -> bool:
    """Whether a pattern of the table of gaps is about a case in a configuration."""
    name = f"{configuration}:{case.name}" if ":" in pattern else case.name
    return fnmatchcase(name, pattern)


@pytest.mark.parametrize("case", CASES[len(NETWORKS) :], ids=lambda case: case.name)
def test_case(workers: BackendWorkers, backend: str, case: Case) -> None:
    outputs = run_or_skip(workers, backend, case, case.graph)
    assert_outputs(outputs, expected(case.graph, case.images), case.tolerance)


@pytest.mark.parametrize("case", NETWORKS, ids=lambda case: case.name)
def test_network(workers: BackendWorkers, engine: str, case: Case) -> None:
    outputs = run_or_skip(workers, engine, case, case.graph)
    narrow = NARROW.get(workers.describe(engine, threads=1)["precision"], 0.0)
    assert_outputs(outputs, expected(case.graph, case.images), max(case.tolerance, narrow))


@pytest.mark.parametrize("case", NETWORKS, ids=lambda case: case.name)
def test_every_tensor_can_be_an_output(workers: BackendWorkers, backend: str, case: Case) -> None:
    graph = taps(case.graph)
    outputs = run_or_skip(workers, backend, case, graph)
    assert_outputs(outputs, expected(graph, case.images), case.tolerance)


@pytest.mark.parametrize("case", NETWORKS, ids=lambda case: case.name)
def test_two_threads_agree_with_one(workers: BackendWorkers, backend: str, case: Case) -> None:
    two = run_or_skip(workers, backend, case, case.graph, threads=2)
    assert_outputs(two, expected(case.graph, case.images), case.tolerance)
    one = run_or_skip(workers, backend, case, case.graph)
    assert_outputs(two, one, case.tolerance)


def two_inputs() -> tuple[Graph, dict[str, np.ndarray]]:
    """A network of pixels and of five numbers, which are not in the order of their names."""
    random = np.random.default_rng(21)
    nodes = (
        Node("conv", "Conv", ("pixels", "filters"), ("map",), {"kernel_shape": [3, 3]}),
        Node("flatten", "Flatten", ("map",), ("features",), {"axis": 1}),
        Node("concat", "Concat", ("numbers", "features"), ("row",), {"axis": 1}),
        Node("dense", "Gemm", ("row", "weight"), ("scores",), {}),
        Node("twice", "Add", ("numbers", "numbers"), ("doubled",), {}),
    )
    inputs = (TensorSpec("pixels", (None, 2, 6, 5)), TensorSpec("numbers", (None, 5)))
    outputs = (TensorSpec("scores", (None, 3)), TensorSpec("doubled", (None, 5)))
    weights = {
        "filters": random.standard_normal((4, 2, 3, 3), np.float32),
        "weight": random.standard_normal((5 + 4 * 4 * 3, 3), np.float32),
    }
    graph = onnx_io.from_proto(
        onnx_io.to_proto(Graph("two", nodes, inputs, outputs, weights)), Path()
    )
    pixels = random.integers(0, 256, (7, 2, 6, 5), np.uint8)
    return graph, {"numbers": random.standard_normal((7, 5), np.float32), "pixels": pixels}


def test_two_inputs(workers: BackendWorkers, engine: str) -> None:
    """Of two types, in columns of their names, which stand in another order."""
    if engine == "pytorch:compile":
        pytest.skip("a module as eager has it, and compiling another one takes half a minute")
    graph, inputs = two_inputs()
    if engine.startswith("velox"):
        with pytest.raises(
            WorkerError, match=r"numbers .input.: its plans read one column"
        ) as raised:
            workers.infer(engine, graph, inputs, BATCH_SIZE)
        assert raised.value.status == UNIMPLEMENTED
        return
    outputs = workers.infer(engine, graph, inputs, BATCH_SIZE)
    given = {**inputs, "pixels": inputs["pixels"] / np.float32(255)}
    names = [spec.name for spec in graph.outputs]
    truth = evaluate(graph.nodes, graph.weights, given, names)
    narrow = NARROW.get(workers.describe(engine, threads=1)["precision"], 0.0)
    assert_outputs(outputs, truth, max(2e-5, narrow))


def test_images_of_both_types_are_one_network_input(workers: BackendWorkers, backend: str) -> None:
    case = PLAIN
    pixels = run_or_skip(workers, backend, case, case.graph)
    values = workers.run(backend, case.images / np.float32(255), BATCH_SIZE)
    assert_outputs(values, pixels, case.tolerance)


def test_batch_sizes_do_not_matter(workers: BackendWorkers, backend: str) -> None:
    case = PLAIN
    truth = run_or_skip(workers, backend, case, case.graph)
    for batch_size in (1, len(case.images)):
        outputs = workers.run(backend, case.images, batch_size)
        assert_outputs(outputs, truth, case.tolerance)
    first = {name: array[:1] for name, array in truth.items()}
    assert_outputs(workers.run(backend, case.images[:1], 1), first, case.tolerance)


def test_a_backend_keeps_nothing_of_earlier_images(workers: BackendWorkers, backend: str) -> None:
    case = PLAIN
    first = run_or_skip(workers, backend, case, case.graph)
    workers.run(backend, 255 - case.images, BATCH_SIZE)
    assert_outputs(workers.run(backend, case.images, BATCH_SIZE), first, 0.0)


def test_a_closed_backend_makes_room_for_another(workers: BackendWorkers, backend: str) -> None:
    case = PLAIN
    run_or_skip(workers, backend, case, case.graph)
    workers.close_backend(backend)
    other = plain("network_plain_other").graph
    outputs = workers.infer(backend, other, case.images, BATCH_SIZE)
    assert_outputs(outputs, expected(other, case.images), case.tolerance)


def test_a_backend_leaves_no_files_behind(
    backend: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    temporary, home = tmp_path / "temporary", tmp_path / "home"
    temporary.mkdir()
    home.mkdir()
    monkeypatch.setenv("CNN_BENCH_CACHE_DIR", str(cache_root.root()))
    monkeypatch.setenv("TMPDIR", str(temporary))
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY")  # which the tests set, as the backend does
    workers = BackendWorkers(tmp_path)
    try:
        run_or_skip(workers, backend, PLAIN, PLAIN.graph)
        workers.close_backend(backend)
    finally:
        workers.close()
    assert list(temporary.rglob("*")) == []
    assert {path.name for path in home.iterdir()} <= {".keras"}  # Keras keeps its settings


@pytest.mark.parametrize("threads", [1, 2])
def test_the_threads_asked_for_are_in_force(
    workers: BackendWorkers, backend: str, threads: int
) -> None:
    run_or_skip(workers, backend, PLAIN, PLAIN.graph, threads)
    description = workers.describe(backend, threads)
    explained = [note for note in description["notes"] if "thread" in note or "driver" in note]
    assert description["threads"] == threads or explained


def test_a_description_says_what_ran(workers: BackendWorkers, engine: str) -> None:
    run_or_skip(workers, engine, PLAIN, PLAIN.graph)
    description = workers.describe(engine, threads=1)
    assert description["versions"]
    assert all(description["versions"].values())
    assert all(description[key] for key in ("precision", "layout", "algorithm"))


def test_every_unsupported_node_is_listed(workers: BackendWorkers, backend: str) -> None:
    nodes = (
        Node("first", "Det", ("image",), ("a",)),
        Node("second", "Relu", ("a",), ("b",)),
        Node("third", "Einsum", ("b",), ("c",)),
    )
    image, output = TensorSpec("image", (None, 1, 4, 4)), TensorSpec("c", (None, 4))
    with pytest.raises(WorkerError) as raised:
        workers.build(backend, Graph("unsupported", nodes, (image,), (output,), {}), BATCH_SIZE)
    assert raised.value.status == UNIMPLEMENTED
    for node, op_type in (("first", "Det"), ("third", "Einsum")):
        assert f"{node} ({op_type})" in str(raised.value)


EVALUATOR_FAULTS = {
    "lp_normalization_1": "adds up numbers, not their magnitudes",
    "lrn": "takes the number of images for the number of channels",
    "lrn_even": "takes the number of images for the number of channels",
    "transposed_convolution_groups": "takes the filters for those of a single group",
    "pad_crop": "cannot pad by a negative width",
}
"""Where ONNX's own evaluator (1.23) is wrong; every engine agrees with the reference there."""


def with_evaluator_faults(case: Case) -> Any:
    fault = EVALUATOR_FAULTS.get(case.name)
    marks = [pytest.mark.xfail(strict=True, reason=f"ONNX's evaluator {fault}")] if fault else []
    return pytest.param(case, id=case.name, marks=marks)


@pytest.mark.parametrize("case", [with_evaluator_faults(case) for case in CASES])
def test_the_reference_gives_what_onnx_gives(case: Case) -> None:
    graph = case.graph
    model = onnx_io.to_proto(graph)
    images = case.images
    if images.dtype == np.uint8:
        images = images / np.float32(255)
    results = ReferenceEvaluator(model).run(None, {graph.inputs[0].name: images})
    truth = dict(zip([spec.name for spec in graph.outputs], results, strict=True))
    assert_outputs(expected(graph, case.images), truth, max(case.tolerance, 1e-6))


@pytest.mark.parametrize("backend_name", GAPS)
def test_every_gap_names_a_case_and_a_kind(backend_name: str) -> None:
    configurations = registry.load(backend_name).configurations
    for pattern, reason in GAPS[backend_name].items():
        assert any(fits(pattern, c, case) for c in configurations for case in CASES), pattern
        assert reason.partition(":")[0] in ("notimpl", "notyet", "never"), reason


def test_onnx_checks_every_case() -> None:
    for case in CASES:
        onnx.checker.check_model(onnx_io.to_proto(case.graph))

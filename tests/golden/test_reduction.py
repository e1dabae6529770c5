"""Networks that an engine gets wrong, cut down: to the operator with the seeded fault."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from golden.small_network import mixed_network, small_network
from golden.test_several_inputs import network as two_inputs

from adapters.base import Settings, Stopwatch
from bench.cli.app import main
from bench.golden import tap_selection
from bench.golden.reduction import Outcome, Reduction
from bench.golden.streamed_backend import StreamedBackend
from bench.verdict.status import CRASHED
from bench.workers.process import WorkerError
from columnar_nn.data import tensor_column
from columnar_nn.model import onnx_io
from columnar_nn.model.graph import Graph
from golden import faulty_backends
from reference.evaluate import evaluate

IMAGES = np.random.default_rng(3).random((16, 3, 8, 8), np.float32)


class _EndedError(Exception):
    """What a backend that takes its process down raises here."""


class InProcess:
    """A backend of faulty_backends.py as a worker answers for it, without one."""

    def __init__(self, backend: str) -> None:
        self._class = getattr(faulty_backends, backend)

    def build(self, graph: Graph) -> None:
        self._backend = self._class(graph, Settings("usual", 1, len(IMAGES)))

    def infer(
        self, batches: Iterable[pa.RecordBatch]
    ) -> Generator[dict[str, np.ndarray], None, None]:
        try:
            for output in self._backend.infer(batches, Stopwatch()):
                names = output.schema.names
                yield {name: tensor_column.to_numpy(output.column(name)) for name in names}
        except _EndedError:
            raise WorkerError(CRASHED, "ended with exit status 3", fatal=True) from None
        except Exception as error:
            reason = f"{type(error).__name__}: {error}"
            raise WorkerError(CRASHED, reason, fatal=False) from None


def reduced(backend: str, graph: Graph) -> Reduction:
    reduction = Reduction(graph, {"image": IMAGES}, InProcess(backend))
    reduction.run()
    return reduction


@pytest.fixture
def no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """What would end the process is an exception."""

    def end(status: int) -> None:
        raise _EndedError

    monkeypatch.setattr(os, "_exit", end)


@pytest.mark.usefixtures("no_end")
@pytest.mark.parametrize(
    "backend",
    [
        *("SwappedChannels", "ShiftedPadding", "ForgottenPadding", "ConfusedFlatten"),
        *("DroppedBias", "ForgottenResidual", "Float16", "NotANumber", "Dead"),
        *("RolledClasses", "ReversedRows", "Crashing"),
    ],
)
def test_a_seeded_fault_is_cut_down_to_its_operator(backend: str) -> None:
    part = reduced(backend, small_network()).part
    names = [node.name for node in part.graph.nodes]
    assert getattr(faulty_backends, backend).faulty in names
    assert len(names) <= 2
    assert part.outcome.status == ("CRASHED" if backend == "Crashing" else "FAILED")


@pytest.mark.parametrize("backend", ["ShuffledSmallClasses", "OneWrongRow", "Float16Channel"])
def test_a_fault_that_only_rows_or_columns_show_is_cut_down(backend: str) -> None:
    """The last one shows where it is made: the logits have another scale."""
    graph = mixed_network()
    if backend == "Float16Channel":
        graph = graph.with_outputs(tap_selection.select(graph, ["conv2"]))
    names = [node.name for node in reduced(backend, graph).part.graph.nodes]
    assert getattr(faulty_backends, backend).faulty in names
    assert len(names) <= 2


@pytest.mark.parametrize("backend", ["Correct", "OneUlpNoise"])
def test_of_a_right_engine_nothing_is_tried(backend: str) -> None:
    reduction = reduced(backend, small_network())
    assert reduction.part.outcome == Outcome("PASSED", "")
    assert reduction.trials == 0


def test_an_inner_tensor_becomes_the_input_with_its_own_values() -> None:
    graph = small_network()
    part = reduced("RolledClasses", graph).part
    assert [node.name for node in part.graph.nodes] == ["dense"]
    (own,) = part.graph.inputs
    assert own.name == "flatten"
    known = evaluate(graph.nodes, graph.weights, {"image": IMAGES}, [own.name])
    np.testing.assert_array_equal(part.inputs[own.name], known[own.name])


@pytest.mark.parametrize(
    ("backend", "nodes", "inputs"),
    [
        ("ForgottenResidual", ["add"], ["dense", "flatten"]),
        ("RolledClasses", ["dense"], ["state"]),
        ("Dead", ["pool"], ["photo"]),
    ],
)
def test_of_several_inputs_those_are_left_that_the_fault_reads(
    backend: str, nodes: list[str], inputs: list[str]
) -> None:
    graph = two_inputs()
    given = {"photo": IMAGES[:, :, :4, :4], "state": IMAGES[:, :, 5, 5]}
    reduction = Reduction(graph, given, InProcess(backend))
    reduction.run()
    part = reduction.part
    assert [node.name for node in part.graph.nodes] == nodes
    assert sorted(part.inputs) == inputs
    inner = [name for name in inputs if name not in given]
    known = given | evaluate(graph.nodes, graph.weights, given, inner)
    shapes = {spec.name: spec.shape[1:] for spec in part.graph.inputs}
    for name, array in part.inputs.items():
        assert array.shape[1:] == shapes[name]
        whole = known[name][tuple(map(slice, array.shape))]
        np.testing.assert_array_equal(array, whole)


def test_another_crash_is_another_mistake() -> None:
    crash = Outcome("CRASHED", "killed by SIGSEGV: last words")
    assert crash.is_like(Outcome("CRASHED", "killed by SIGSEGV: others"))
    assert not crash.is_like(Outcome("CRASHED", "ValueError: of a part that is no network"))
    assert not crash.is_like(Outcome("FAILED", "killed by SIGSEGV"))
    assert Outcome("FAILED", "a: 3 elements").is_like(Outcome("FAILED", "b: 1 element"))


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command line in a folder with small.onnx: exit status, output, errors."""
    monkeypatch.chdir(tmp_path)
    onnx_io.save(small_network(), tmp_path / "small.onnx")

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["cnn-bench", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return (int(ended.value.code or 0), *capsys.readouterr())

    return call


REDUCE = ("model", "reduce", "small.onnx", "--data", "synthetic", "--backend")
SWAPPED, ROLLED = (
    f"golden.faulty_backends.{name}" for name in ("SwappedChannels", "RolledClasses")
)


def test_what_is_left_shows_the_fault_to_golden_verify(run: Run) -> None:
    status, output, errors = run(*REDUCE, ROLLED, "-o", "found")
    assert (status, errors) == (1, "")
    assert f"{ROLLED}:usual on small.onnx: FAILED: " in output
    assert "1 node of 8 left" in output
    assert "dense (Gemm)" in output
    left = onnx_io.load(Path("found", "model.onnx"))
    assert [node.name for node in left.nodes] == ["dense"]
    (command,) = (line for line in output.splitlines() if "golden verify found" in line)
    status, output, _ = run(*command.partition("cnn-bench ")[2].split())
    assert status == 1
    assert "FAILED: 0 of 1 tensors passed" in output


def test_ctrl_c_keeps_the_smallest_so_far(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    build, built = StreamedBackend.build, list[Graph]()

    def interrupted(self: StreamedBackend, graph: Graph) -> None:
        built.append(graph)
        if len(built) == 6:
            raise KeyboardInterrupt
        build(self, graph)

    monkeypatch.setattr(StreamedBackend, "build", interrupted)
    status, output, errors = run(*REDUCE, SWAPPED)
    assert (status, errors) == (130, "cnn-bench: interrupted\n")
    left = onnx_io.load(Path("small-smallest", "model.onnx")).nodes
    assert "conv2" in {node.name for node in left}
    assert len(left) < 8
    assert f"{len(left)} nodes of 8 left after" in output


def test_nothing_to_reduce_is_one_line(run: Run) -> None:
    status, output, errors = run(*REDUCE, "reference", "-o", "found")
    assert (status, output) == (
        0,
        "nothing to reduce: reference:float64 on small.onnx: PASSED\n",
    )
    assert not errors
    assert not Path("found").exists()


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (["lost.onnx", "--backend", "reference"], "lost.onnx"),
        (["small.onnx", "--backend", "nobody"], "nobody"),
        (["small.onnx", "--backend", "reference", "-o", "small.onnx"], "exists already"),
        (["small.onnx", "--backend", "golden.faulty_backends.NotInstalled"], "nothing"),
    ],
)
def test_wrong_usage_is_one_line(run: Run, arguments: list[str], reason: str) -> None:
    status, output, errors = run("model", "reduce", *arguments)
    assert (status, output) == (2, "")
    assert errors.startswith("cnn-bench: ")
    assert errors.count("\n") == 1
    assert reason in errors

"""The smallest part of a network that an engine still gets wrong.

Each part that bench/model/reduce.py proposes is made a golden bundle, by the reference, and run by
the engine as `golden verify --taps outputs` would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
import onnx
import pyarrow as pa

from bench.files.temporary import temporary_folder
from bench.golden import checks, tap_selection
from bench.golden.bundle import open_bundle
from bench.golden.comparison import compare
from bench.golden.create import create
from bench.golden.manifest import Creation
from bench.golden.verify import Comparing, select
from bench.model.reduce import MOST_CALLS, reduce
from bench.text.figures import counted
from bench.text.progress import Progress, silent
from bench.verdict.status import CRASHED, FAILED, TIMEOUT, worst
from bench.workers.process import WorkerError
from columnar_nn.data import tensor_column
from columnar_nn.model import onnx_io
from columnar_nn.model.graph import Graph
from reference.evaluate import evaluate

_OUTPUTS = Comparing(checks.parse(checks.ELEMENTWISE), (tap_selection.OUTPUTS,))


class Engine(Protocol):
    """What runs the parts: bench.golden.streamed_backend.StreamedBackend, say.

    Both methods raise WorkerError; after one that is fatal, `build` works again.
    """

    def build(self, graph: Graph) -> None: ...
    def infer(
        self, batches: Iterable[pa.RecordBatch]
    ) -> Generator[dict[str, np.ndarray], None, None]: ...


@dataclass(frozen=True)
class Outcome:
    """How an engine ended on a network: one of bench.verdict.status, and why."""

    status: str
    reason: str

    @property
    def is_wrong(self) -> bool:
        """Whether there is something to reduce."""
        return self.status in (FAILED, CRASHED, TIMEOUT)

    def __str__(self) -> str:
        return f"{self.status}: {self.reason}" if self.reason else self.status

    def is_like(self, other: Outcome) -> bool:
        """Whether it is the same mistake; of a crash, the same exception, signal or status."""
        if self.status != CRASHED:
            return self.status == other.status
        return other.status == CRASHED and self._kind == other._kind

    @property
    def _kind(self) -> str:
        return self.reason.partition(":")[0]


Inputs = Mapping[str, np.ndarray]
"""float32 [rows, ...] for each input of a network, by its name."""


class Rows:
    """Inputs of a network as `create` takes a data set; of any shape, for inner tensors too."""

    def __init__(self, graph: Graph, inputs: Inputs) -> None:
        self._columns = {column: inputs[name] for name, column in graph.columns.items()}

    @property
    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for array in self._columns.values():
            digest.update(array.tobytes())
        return digest.hexdigest()

    def batches(self, num_samples: int, batch_size: int, start: int) -> Iterator[pa.RecordBatch]:
        for first in range(start, start + num_samples, batch_size):
            rows = slice(first, first + batch_size)
            arrays = [tensor_column.from_numpy(array[rows]) for array in self._columns.values()]
            yield pa.RecordBatch.from_arrays(arrays, names=list(self._columns))


@dataclass(frozen=True)
class Part:
    """A network, what its inputs are given, and how the engine ended on that."""

    graph: Graph
    inputs: Inputs
    outcome: Outcome

    @property
    def num_rows(self) -> int:
        """Rows of each input."""
        return len(next(iter(self.inputs.values())))


class Reduction:
    """A network that is cut down as long as the engine ends in the same way.

    `part` is the smallest so far, also where `run` was interrupted: the whole, to begin with.
    `trials` counts the parts that were tried.
    """

    def __init__(self, graph: Graph, inputs: Inputs, engine: Engine) -> None:
        """Runs the network as a whole. Raises as `create` does."""
        self._engine = engine
        self.trials = 0
        self.part = self._tried(graph, inputs)

    def run(self, progress: Progress = silent) -> None:
        """Cuts it down, if the engine got the whole of it wrong."""
        if not self.part.outcome.is_wrong:
            return

        def fails(model: onnx.ModelProto) -> bool:
            nodes = counted(len(self.part.graph.nodes), "node")
            progress(self.trials, MOST_CALLS, f"parts tried, {nodes} left")
            self.trials += 1
            return self._fails(model)

        reduce(onnx_io.to_proto(self.part.graph), fails)

    def save(self, folder: Path, model: str, data: str) -> None:
        """Makes the smallest part a golden bundle, all of its tensors expected, in a new folder.

        Its manifest says that it was made of `model` and `data`. Raises as `create` does.
        """
        asked = Creation(model, data, self.part.num_rows, (tap_selection.ALL,))
        create(folder, self.part.graph, Rows(self.part.graph, self.part.inputs), asked)

    def _fails(self, model: onnx.ModelProto) -> bool:
        """Whether the engine ends on a part as on the whole, which is then the smallest."""
        try:
            graph = onnx_io.load_bytes(model.SerializeToString())
            tried = self._tried(graph, self._inputs_of(graph))
        except Exception:  # a part need not be a network, nor one that the reference can compute
            return False
        if not tried.outcome.is_like(self.part.outcome):
            return False
        self.part = tried
        return True

    def _tried(self, graph: Graph, inputs: Inputs) -> Part:
        """A part, and what the engine makes of its inputs."""
        count = len(next(iter(inputs.values())))
        with temporary_folder() as folder:
            asked = Creation(graph.name, "", count, (tap_selection.OUTPUTS,))
            create(folder / "bundle", graph, Rows(graph, inputs), asked)
            bundle = open_bundle(folder / "bundle")
            tensors = select(bundle, _OUTPUTS)
            expected = bundle.expected([tensor.name for tensor in tensors])
            try:
                self._engine.build(bundle.graph())
                with closing(self._engine.infer(bundle.images())) as outputs:
                    results = compare(
                        tensors, _OUTPUTS.check, expected, outputs, noises=bundle.noises()
                    )
            except WorkerError as error:
                return Part(graph, inputs, Outcome(error.status, error.reason))
        wrong = [f"{result.tensor.name}: {result.reason}" for result in results if result.diverges]
        outcome = Outcome(worst(result.status for result in results), "; ".join(wrong))
        return Part(graph, inputs, outcome)

    def _inputs_of(self, graph: Graph) -> Inputs:
        """The smallest part's inputs; where another of its tensors is an input now, that tensor of
        them, by the reference; cut to the sizes that the inputs have now."""
        whole, known = self.part.graph, dict(self.part.inputs)
        inner = [spec for spec in graph.inputs if spec.name not in known]
        if inner:
            before = whole.with_outputs(inner)
            names = [spec.name for spec in inner]
            known |= evaluate(before.nodes, before.weights, known, names)
        return {
            spec.name: np.ascontiguousarray(
                known[spec.name][(slice(None), *map(slice, spec.shape[1:]))]
            )
            for spec in graph.inputs
        }

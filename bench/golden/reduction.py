"""The smallest part of a network that an engine still gets wrong.

Each part that bench/model/reduce.py proposes is made a golden bundle, by the reference, and run by
the engine as `golden verify --taps outputs` would.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterable, Iterator
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
from bench.golden.manifest import IMAGE, Creation
from bench.golden.verify import Comparing, select
from bench.model.reduce import MOST_CALLS, reduce
from bench.text.figures import counted
from bench.text.progress import Progress, silent
from bench.verdict.status import CRASHED, FAILED, TIMEOUT, worst
from bench.workers.process import WorkerError
from columnar_nn.data import tensor_column
from columnar_nn.model import onnx_io
from columnar_nn.model.graph import Graph, TensorSpec
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


class Images:
    """float32 [rows, ...] as `create` takes a data set; of any shape, for inner tensors too."""

    def __init__(self, array: np.ndarray) -> None:
        self._array = array

    @property
    def fingerprint(self) -> str:
        return hashlib.sha256(self._array.tobytes()).hexdigest()

    def batches(self, num_samples: int, batch_size: int, start: int) -> Iterator[pa.RecordBatch]:
        for first in range(start, start + num_samples, batch_size):
            column = tensor_column.from_numpy(self._array[first : first + batch_size])
            yield pa.RecordBatch.from_arrays([column], names=[IMAGE])


@dataclass(frozen=True)
class Part:
    """A network with one input, images for it [rows, ...], and how the engine ended on them."""

    graph: Graph
    images: np.ndarray
    outcome: Outcome


class Reduction:
    """A network that is cut down as long as the engine ends in the same way.

    `part` is the smallest so far, also where `run` was interrupted: the whole, to begin with.
    `trials` counts the parts that were tried.
    """

    def __init__(self, graph: Graph, images: np.ndarray, engine: Engine) -> None:
        """Runs the network as a whole; it has one input. Raises as `create` does."""
        self._engine = engine
        self.trials = 0
        self.part = self._tried(graph, images)

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
        asked = Creation(model, data, len(self.part.images), (tap_selection.ALL,))
        create(folder, self.part.graph, Images(self.part.images), asked)

    def _fails(self, model: onnx.ModelProto) -> bool:
        """Whether the engine ends on a part as on the whole, which is then the smallest."""
        try:
            graph = onnx_io.load_bytes(model.SerializeToString())
            tried = self._tried(graph, self._images_of(graph))
        except Exception:  # a part need not be a network, nor one that the reference can compute
            return False
        if not tried.outcome.is_like(self.part.outcome):
            return False
        self.part = tried
        return True

    def _tried(self, graph: Graph, images: np.ndarray) -> Part:
        """A part, and what the engine makes of its images."""
        with temporary_folder() as folder:
            asked = Creation(graph.name, "", len(images), (tap_selection.OUTPUTS,))
            create(folder / "bundle", graph, Images(images), asked)
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
                return Part(graph, images, Outcome(error.status, error.reason))
        wrong = [f"{result.tensor.name}: {result.reason}" for result in results if result.diverges]
        outcome = Outcome(worst(result.status for result in results), "; ".join(wrong))
        return Part(graph, images, outcome)

    def _images_of(self, graph: Graph) -> np.ndarray:
        """The smallest part's images; where another of its tensors is the input, that tensor of
        them, by the reference; cut to the size that the input has now."""
        (spec,), (own,) = graph.inputs, self.part.graph.inputs
        images = self.part.images
        if spec.name != own.name:
            before = self.part.graph.with_outputs([TensorSpec(spec.name, spec.shape)])
            made = evaluate(before.nodes, before.weights, {own.name: images}, [spec.name])
            images = made[spec.name]
        return np.ascontiguousarray(images[(slice(None), *map(slice, spec.shape[1:]))])

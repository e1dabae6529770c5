"""Each operator fed its golden input alone: what is its own error, and what it inherited.

With y the backend's tensor in the whole network, a the same operator's output for its golden
input and g the golden tensor: y - g = (a - g) + (y - a), its own error plus the inherited one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters.base import input_arrays
from bench.files.temporary import temporary_folder
from bench.golden import single_operator, tensor_stream
from bench.golden.bundle import Bundle
from bench.golden.comparison import ComparedTensor, TensorResult, aligned, compare
from bench.golden.streamed_backend import StreamedBackend
from bench.golden.verify import Comparing, Verification, select, verify
from bench.text.progress import Progress, silent
from bench.verdict.noise import Noise
from bench.verdict.status import FAILED
from bench.workers.options import Options
from bench.workers.process import WorkerError
from bench.workers.selection import Selection
from columnar_nn.errors import InvalidModelError
from columnar_nn.model.graph import Graph, Node
from columnar_nn.model.shapes import infer_shapes

OWN, INHERITED, UNKNOWN = "own", "inherited", "unknown"


@dataclass(frozen=True)
class OperatorError:
    """An operator's result in the whole network, and alone on its golden input.

    `inherited` is the largest |y - a|, NaN unless both are known. `whole` is None if the
    network as a whole did not run; `own` if the operator alone did not, and `reason` says why.
    """

    tensor: ComparedTensor
    whole: TensorResult | None
    own: TensorResult | None
    inherited: float
    reason: str

    @property
    def source(self) -> str:
        """Where the tensor's error comes from: own, inherited, unknown, or "" if it has none."""
        if self.own is not None and self.own.diverges:
            return OWN
        if self.whole is None or not self.whole.diverges:
            return ""
        return UNKNOWN if self.own is None else INHERITED


@dataclass(frozen=True)
class Bisection:
    """A verification and, for each tensor of it, the operator's error taken apart."""

    verification: Verification
    operators: tuple[OperatorError, ...]

    @property
    def culprits(self) -> tuple[OperatorError, ...]:
        """The operators that are wrong by themselves."""
        return tuple(error for error in self.operators if error.source == OWN)

    def exit_code(self) -> int:
        """0 if the network is right, and every operator that could be run alone, one at least.

        Otherwise as the verification, or 1.
        """
        alone = [error.own for error in self.operators if error.own is not None]
        passed = bool(alone) and all(own.status != FAILED for own in alone)
        return self.verification.exit_code() or int(not passed)


def bisect(
    bundle: Bundle,
    selection: Selection,
    options: Options,
    comparing: Comparing,
    progress: Progress = silent,
) -> Bisection:
    """Verifies the backend, then runs every operator alone on its golden input.

    An operator is a network of its own, built with the same settings; fused groups come
    apart, as they do whenever inner tensors are asked for. It is judged like the network: by
    the tensor's noise, of which its own is a part.
    """
    graph = bundle.graph()
    noises = bundle.noises()
    with temporary_folder() as folder:
        whole_file = folder / "whole.arrows"
        verification = verify(bundle, selection, options, comparing, whole_file, progress)
        results = {result.tensor.name: result for result in verification.results}
        operators = []
        alone_folder = folder / "alone"
        alone_folder.mkdir()
        with closing(StreamedBackend(selection, options, alone_folder)) as backend:
            tensors = select(bundle, comparing)
            for index, tensor in enumerate(tensors):
                progress(index, len(tensors), f"operator {tensor.operator} alone")
                own, inherited, reason = None, np.nan, ""
                try:
                    node = _producer(graph, tensor)
                    alone = single_operator.isolate(node, graph, infer_shapes(graph))
                    images = _golden_images(bundle, graph, node, alone)
                    alone_file = folder / "alone.arrows"
                    own = _run_alone(
                        backend,
                        alone,
                        images,
                        bundle=bundle,
                        tensor=tensor,
                        comparing=comparing,
                        noises=noises,
                        file=alone_file,
                    )
                    if results:
                        inherited = _largest_difference(whole_file, alone_file, tensor.name)
                except (InvalidModelError, WorkerError) as error:
                    reason = str(error)
                whole = results.get(tensor.name)
                operators.append(OperatorError(tensor, whole, own, inherited, reason))
    return Bisection(verification, tuple(operators))


def _run_alone(
    backend: StreamedBackend,
    alone: Graph,
    images: Iterator[pa.RecordBatch],
    *,
    bundle: Bundle,
    tensor: ComparedTensor,
    comparing: Comparing,
    noises: Mapping[str, Noise],
    file: Path,
) -> TensorResult:
    backend.build(alone)
    with closing(tensor_stream.save(file, backend.infer(images))) as outputs:
        expected = bundle.expected([tensor.name])
        (result,) = compare([tensor], comparing.check, expected, outputs, noises=noises)
    return result


def _golden_images(
    bundle: Bundle, graph: Graph, node: Node, alone: Graph
) -> Iterator[pa.RecordBatch]:
    """Batches that feed a node, `alone`, its golden inputs; the first layer gets the very images.

    Raises InvalidModelError if the bundle lacks an input.
    """
    names = single_operator.activations(node, graph)
    if names == tuple(graph.columns):
        return bundle.images()
    made = [name for name in names if name not in graph.columns]
    stored = {entry.name for entry in bundle.manifest.tensors}
    missing = [name for name in made if name not in stored]
    if missing:
        raise InvalidModelError(f"the bundle lacks {', '.join(missing)}: create it with --taps all")
    values: Iterator[Mapping[str, np.ndarray]] = bundle.expected(made)
    if not made:
        values = (_inputs(batch, graph) for batch in bundle.images())
    elif len(made) < len(names):
        values = (
            {**_inputs(batch, graph), **tensors}
            for batch, tensors in zip(bundle.images(), values, strict=True)
        )
    return single_operator.feed(alone, values)


def _inputs(batch: pa.RecordBatch, graph: Graph) -> dict[str, np.ndarray]:
    """The network's inputs by name."""
    return dict(zip(graph.columns, input_arrays(batch, graph), strict=True))


def _largest_difference(whole: Path, alone: Path, name: str) -> float:
    """max |whole - alone| of one tensor of two saved streams; NaN if one of them lacks it."""
    largest = 0.0
    for left, right in aligned(tensor_stream.read(whole), tensor_stream.read(alone)):
        if name not in left or name not in right or left[name].shape != right[name].shape:
            return np.nan
        with np.errstate(invalid="ignore"):
            difference = np.abs(left[name].astype(np.float64) - right[name])
        largest = float(np.maximum(largest, difference.max(initial=0.0)))
    return largest


def _producer(graph: Graph, tensor: ComparedTensor) -> Node:
    node = graph.producer(tensor.name)
    if node is None:
        raise InvalidModelError(f"no operator of the bundle's model makes {tensor.name}")
    return node
